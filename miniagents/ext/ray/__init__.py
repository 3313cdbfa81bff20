"""A cluster on Ray (extra `ray`). Importing this package does not load Ray."""

from miniagents.ext.ray.cluster import RayCluster

__all__ = ["RayCluster"]

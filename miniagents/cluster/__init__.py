"""The cluster: one system on several nodes, joined by links. Only the loss of messages, time and places differ from one
process; references, promises and supervision stay what they are."""

from miniagents.cluster.cluster import Cluster, NodeInfo
from miniagents.cluster.node_runtime import NodeRuntime
from miniagents.cluster.transport import Launcher, LossCause, NodeId, Place, Transport

__all__ = ["Cluster", "Launcher", "LossCause", "NodeId", "NodeInfo", "NodeRuntime", "Place", "Transport"]

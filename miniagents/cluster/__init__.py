"""The cluster: one system on several nodes, joined by links. Only the loss of messages, time and places differ from one
process; references, promises and supervision stay what they are."""

from miniagents.cluster.transport import Launcher, LossCause, NodeId, Place, Transport

__all__ = ["Launcher", "LossCause", "NodeId", "Place", "Transport"]

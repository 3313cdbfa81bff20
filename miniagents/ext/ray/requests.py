"""What the driver asks of the keeper of its own Ray cluster, and what that answers. Each is a line of JSON."""

import msgspec

LOOPBACK = "127.0.0.1"
"""The address of all processes of an own cluster. With any other, Ray's processes listen on all interfaces."""


class Head(msgspec.Struct, frozen=True):
    """Start the head of a cluster: its metadata store and the raylet of the driver.

    Attributes:
        object_store_bytes: The size of the object store of each raylet.
    """

    object_store_bytes: int


class RayletRequest(msgspec.Struct, frozen=True):
    """Start a raylet for a place, or a new one where it was lost.

    Attributes:
        place: The name of the place.
        resources: What it offers, by Ray's names; CPU counts as 1 if it is absent.
    """

    place: str
    resources: dict[str, float]


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the keeper answers.

    Attributes:
        address: The address of the cluster, from the start of the head.
        pid: The process of the raylet.
        store_pid: The process of the metadata store, from the start of the head.
        error: What the request failed with, or "".
    """

    address: str = ""
    pid: int = 0
    store_pid: int = 0
    error: str = ""

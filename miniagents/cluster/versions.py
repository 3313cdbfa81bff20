"""Versions: what two nodes must have in common to understand each other. They are compared when a node joins."""

import inspect
import sys
from hashlib import blake2b

import msgspec

from miniagents.errors import VersionMismatchError
from miniagents.messages.registry import message_classes

CODEC = 1
"""The version of frames, items and of the encoding of messages."""


class Versions(msgspec.Struct, array_like=True, frozen=True):
    """What one node is made of.

    Attributes:
        package: The version of this package.
        codec: The version of the codec.
        python: The version of Python, without the patch level.
        types: The hash of the fields of each message type that the node knows, by its tag.
    """

    package: str
    codec: int
    python: str
    types: dict[str, int]

    def __str__(self) -> str:
        return f"miniagents {self.package}, codec {self.codec}, Python {self.python}"


def versions_here() -> Versions:
    """Return the versions of this process, with all message types that are defined now."""
    types = {tag: _hash_of(cls) for tag, cls in message_classes().items()}
    package: str = sys.modules["miniagents"].__version__  # that of the code, also where nothing was installed
    return Versions(package, CODEC, ".".join(map(str, sys.version_info[:2])), types)


def _hash_of(cls: type) -> int:
    annotations: dict[str, object] = {}
    for base in reversed(cls.__mro__):
        annotations |= inspect.get_annotations(base)
    text = repr(sorted((name, str(kind)) for name, kind in annotations.items()))
    return int.from_bytes(blake2b(text.encode(), digest_size=6).digest(), "big")


def check_fit(name: str, here: Versions, other_name: str, other: Versions) -> None:
    """Refuse a node that would not understand another one. A message type that only one of them knows is no obstacle:
    the other one may import it later.

    Args:
        name: The name of the one node.
        here: Its versions.
        other_name: The name of the other node.
        other: Its versions.

    Raises:
        VersionMismatchError: They do not fit.
    """
    if str(here) != str(other):
        raise VersionMismatchError(
            f"node {name!r} ({here}) and node {other_name!r} ({other}) do not fit: install the same versions on both"
        )
    differing = sorted(tag for tag, fields in here.types.items() if other.types.get(tag, fields) != fields)
    if differing:
        raise VersionMismatchError(
            f"node {name!r} and node {other_name!r} do not fit: the fields of {', '.join(differing)} differ; run the "
            f"same code on both"
        )

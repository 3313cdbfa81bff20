"""The content that not every agent takes: sound, files by id, parts of one provider's API."""

from collections.abc import Collection
from typing import Literal, TypeAlias, get_args

import msgspec

from miniagents.ext.serving.http.problems import Problem

Want: TypeAlias = Literal["audio", "file_ids", "items", "blocks"]
"""The content that an agent may take besides text, images, files and function calls."""

WANTS: tuple[str, ...] = get_args(Want)
_NAMED = 5


class Special(msgspec.Struct, frozen=True):
    """A part of a request that not every agent takes.

    Attributes:
        want: The kind of content.
        type: The type of the part or item in the API.
        where: The field of the request, with its index.
    """

    want: Want
    type: str
    where: str


def check_wanted(specials: Collection[Special], wants: frozenset[str], agent: str | None) -> None:
    """Check that an agent takes all content of a request.

    Args:
        specials: The content that not every agent takes.
        wants: The content that the agent takes.
        agent: The name of the agent; None if it is not known yet.

    Raises:
        Problem: 400: the agent does not take some of the content; the text names the first parts.
    """
    refused = [special for special in specials if special.want not in wants][:_NAMED]
    if refused:
        named = ", ".join(f"{special.type!r} ({special.where})" for special in refused)
        subject = f"The agent {agent!r} takes" if agent is not None else "No agent here takes"
        text = f"{subject} no input of the type {named}"
        raise Problem(400, text, param=refused[0].where, code="unsupported_input")

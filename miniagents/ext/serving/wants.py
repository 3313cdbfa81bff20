"""What not every agent takes: sound, files by their ids, parts that only one provider's models understand."""

from collections.abc import Collection
from typing import Literal, TypeAlias, get_args

import msgspec

from miniagents.ext.serving.http.problems import Problem

Want: TypeAlias = Literal["audio", "file_ids", "items", "blocks"]
"""What an agent may take beside text, images, files, and calls of functions."""

WANTS: tuple[str, ...] = get_args(Want)
_NAMED = 5


class Special(msgspec.Struct, frozen=True):
    """Something in a request that not every agent takes.

    Attributes:
        want: What the agent must want.
        type: The type of the part or of the item, in the words of the API.
        where: The field, with its index.
    """

    want: Want
    type: str
    where: str


def check_wanted(specials: Collection[Special], wants: frozenset[str], agent: str | None) -> None:
    """Refuse what an agent does not want.

    Args:
        specials: What is in the request.
        wants: What the agent wants.
        agent: Its name; None where it is not known yet.

    Raises:
        Problem: 400, with what it does not want, the first few of it.
    """
    refused = [one for one in specials if one.want not in wants][:_NAMED]
    if refused:
        named = ", ".join(f"{one.type!r} ({one.where})" for one in refused)
        who = f"The agent {agent!r} takes" if agent is not None else "No agent here takes"
        text = f"{who} no input of the type {named}"
        raise Problem(400, text, param=refused[0].where, code="unsupported_input")

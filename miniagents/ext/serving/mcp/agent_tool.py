"""`AgentTool`: a served agent, as a client of the Model Context Protocol sees and calls it."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
from mcp_types import Tool
from msgspec import UNSET, UnsetType

from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.schemas import parameters_schemas
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.served_agent import Entry
from miniagents.messages import UserMessage

_MESSAGE = "message"
_TEXT: Any = Annotated[str, msgspec.Meta(description="The message to the agent.")]


class AgentTool:
    """A served agent as a tool.

    The arguments of the tool are those that clients may give the agent, and `message`, the text that is sent to the
    agent. The message is required if the agent takes no arguments. An argument of the agent with the name `message`
    takes its place.

    Args:
        entry: The agent.

    Attributes:
        entry: The agent.
        listed: The tool for the list: its name, description and input schema.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self._has_message = _MESSAGE not in entry.argument_names
        fields: list[Any] = [
            (field.name, field.type) if field.required else (field.name, field.type, UNSET)
            for field in msgspec.structs.fields(entry.arguments)
        ]
        if self._has_message:
            fields.insert(0, (_MESSAGE, _TEXT | UnsetType, UNSET) if fields else (_MESSAGE, _TEXT))
        struct = msgspec.defstruct(entry.arguments.__name__, fields, kw_only=True, forbid_unknown_fields=True)
        schema, _ = parameters_schemas(struct, {}, (), {})
        name = entry.name.replace(":", "_")  # the protocol takes the other characters of names
        self.listed = Tool(name=name, description=entry.description or None, input_schema=schema)

    def call_of(self, arguments: Mapping[str, Any]) -> tuple[tuple[UserMessage, ...], dict[str, Any]]:
        """Return the messages and the arguments of a call of the agent.

        Args:
            arguments: The arguments that the client gives.

        Raises:
            Problem: 422: an argument is missing, unknown, or of the wrong type.
        """
        others = dict(arguments)
        message = others.pop(_MESSAGE, UNSET) if self._has_message else UNSET
        if message is UNSET:
            if self._has_message and not self.entry.argument_names:
                raise Problem(422, "The argument `message` is missing.", param=_MESSAGE, code="invalid")
            return (), self.entry.call_arguments(others)
        if not isinstance(message, str):
            raise Problem(422, "The argument `message` must be a text.", param=_MESSAGE, code="invalid")
        return (UserMessage(message),), self.entry.call_arguments(others)


def agent_tools(entries: Iterable[Entry]) -> dict[str, AgentTool]:
    """Return the tools by name.

    Raises:
        InvalidOptionError: Two agents have the same name.
    """
    tools: dict[str, AgentTool] = {}
    for entry in entries:
        tool = AgentTool(entry)
        if tools.setdefault(tool.listed.name, tool) is not tool:
            raise InvalidOptionError(f"two agents are the tool {tool.listed.name!r}: serve one by another name")
    return tools

"""`FrontEndApi`: an agent behind the protocol of a chat front end."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, TypeAlias, get_args

from starlette.requests import Request
from starlette.responses import Response

from miniagents.errors import InvalidOptionError, MissingDependencyError
from miniagents.ext.serving.front_ends.part_writer import Asked, PartWriter, is_whole
from miniagents.ext.serving.front_ends.ui_message_input import parse_chat
from miniagents.ext.serving.front_ends.ui_messages import UI_MESSAGE_HEADERS, UiMessageWriter
from miniagents.ext.serving.http.parsing import Parse, Parsed
from miniagents.ext.serving.http.request_body import read_body
from miniagents.ext.serving.http.streaming import EventStream
from miniagents.ext.serving.reply_pieces import spoken
from miniagents.ext.serving.request_options import options_for
from miniagents.ext.serving.served_agent import Entry
from miniagents.ext.serving.service import Service
from miniagents.ext.serving.wants import check_wanted

FrontEnd: TypeAlias = Literal["ag-ui", "ai-sdk"]
"""A protocol of chat front ends: AG-UI, or the UI message stream of the Vercel AI SDK."""

_TOOLS = "tools"


@dataclass(frozen=True)
class Protocol:
    """A protocol of chat front ends.

    Attributes:
        parse: Parses a request.
        writer: Makes the writer of an answer.
        headers: The headers of a stream.
    """

    parse: Parse
    writer: Callable[..., PartWriter]
    headers: Mapping[str, str] = field(default_factory=dict)


class FrontEndApi:
    """The endpoint of a protocol.

    Args:
        service: The service.
        protocol: The protocol.
    """

    def __init__(self, service: Service, protocol: Protocol) -> None:
        self._service = service
        self._protocol = protocol

    async def call(self, request: Request, key: str) -> Response:
        """Answer `POST /agents/{name}/{protocol}`: a stream of the replies."""
        service, protocol = self._service, self._protocol
        entry = service.entry(request.path_params["name"])
        parsed = await service.parser.parsed(protocol.parse, await read_body(request, service.limits))
        asked: Asked = parsed.wanted
        check_wanted(asked.specials, entry.wants, entry.name)
        run = await service.begin(request, entry, key, parsed.messages, options_for(entry, _fitting(entry, parsed)))
        reader = run.reading.reader()
        writer = protocol.writer(run, asked, shows_tools=service.shows_tools)
        stream = EventStream(
            spoken(run.replies, reader, is_whole=is_whole, has_results=service.shows_tools, has_thoughts=True),
            reader,
            write=writer.of,
            problem=partial(service.problem, run=run),
            as_event=writer.failed,
            limits=service.limits,
            gone=run.leave,
            first=writer.start(),
        )
        stream.headers.update(protocol.headers)
        return stream


def protocols(names: Iterable[str]) -> dict[str, Protocol]:
    """Return the protocols by their names, "ag-ui" and "ai-sdk".

    Raises:
        InvalidOptionError: A name is unknown.
        MissingDependencyError: The package of AG-UI's types is not installed.
    """
    names = (names,) if isinstance(names, str) else tuple(names)
    found: dict[str, Protocol] = {}
    for name in names:
        if name == "ai-sdk":
            found[name] = Protocol(parse_chat, UiMessageWriter, UI_MESSAGE_HEADERS)
        elif name == "ag-ui":
            found[name] = _ag_ui()
        else:
            known = ", ".join(map(repr, get_args(FrontEnd)))
            raise InvalidOptionError(f"front_ends= takes {known}, not {name!r}")
    return found


def _ag_ui() -> Protocol:
    try:
        from miniagents.ext.serving.front_ends.ag_ui import AgUiWriter
        from miniagents.ext.serving.front_ends.ag_ui_input import parse_run
    except ModuleNotFoundError as error:
        raise MissingDependencyError(f"AG-UI needs {error.name}: pip install 'miniagents[ag-ui]'") from error
    return Protocol(parse_run, AgUiWriter)


def _fitting(entry: Entry, parsed: Parsed) -> Parsed:
    """Return a request whose tools have the form of the agent's API. They come in the form of chat completions."""
    tools: Any = parsed.fields.get(_TOOLS)
    if not entry.takes_anthropic_tools or not isinstance(tools, list):
        return parsed
    return parsed._replace(fields={**parsed.fields, _TOOLS: [_anthropic(tool) for tool in tools]})


def _anthropic(tool: Any) -> Any:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict):
        return tool
    named = {name: function[name] for name in ("name", "description") if name in function}
    return {**named, "input_schema": function.get("parameters", {"type": "object", "properties": {}})}

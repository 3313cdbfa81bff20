"""`Served`: an agent as it is served, under a name, with the arguments that clients may give."""

import re
import typing
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from miniagents.actors.arguments import parameters
from miniagents.agents import AgentRef, MiniAgent, MiniAgents
from miniagents.agents.arguments import live_parameters
from miniagents.errors import ActorStoppedError, InvalidOptionError
from miniagents.ext.llms.llm_agent import LLMAgent
from miniagents.ext.llms.parameters import MESSAGES
from miniagents.ext.serving.http.request_body import convert
from miniagents.ext.serving.wants import WANTS, Want
from miniagents.messages import Messages

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_API_OPTIONS = "api_options"


@dataclass(frozen=True, slots=True)
class Served:
    """An agent, and what clients may do with it.

    Args:
        agent: The agent; the reference of one that was spawned; or the path of one, "/research/searcher", which is
            looked up at each request.
        arguments: The names of the arguments that clients may give; None for those that the agent cannot do without.
            Of an LLM agent these may be options of the API call too: `arguments=("temperature", "tools")`.
        description: What it is for; None for what the agent says.
        wants: What it takes beside text, images, files and calls of functions: "audio" (`AudioMessage`), "file_ids"
            (images and files by their ids), "items" (items of OpenAI's Responses API as `NativeMessage`s: calls of
            hosted and custom tools, their results, what a model thought), "blocks" (what only models of Anthropic
            understand, as `NativeMessage`s and in the metadata of replies; agents that talk to these always want them).
            What an agent does not want is a 400 for the client.
        count_tokens: Counts the tokens of a conversation, for `/v1/messages/count_tokens`: a function of the messages
            that gives an int; it may be async. None for an estimate.

    Example:
        >>> @miniagent
        ... async def greeter(ctx, greeting="Hello"):
        ...     ctx.reply(f"{greeting}, {await ctx.message_promises}!")
        >>> from miniagents.ext.serving import agent_app
        >>> from starlette.testclient import TestClient
        >>> app = agent_app(Served(greeter, arguments=("greeting",)), auth="a-secret-token", admin_auth=None)
        >>> with TestClient(app, "http://localhost", headers={"Authorization": "Bearer a-secret-token"}) as client:
        ...     answer = client.post("/agents/greeter", json={"messages": "Ada", "arguments": {"greeting": "Hi"}})
        >>> answer.json()["messages"][0]["text"]
        'Hi, Ada!'
    """

    agent: MiniAgent | AgentRef | str
    arguments: tuple[str, ...] | None = None
    description: str | None = None
    wants: tuple[Want, ...] = ()
    count_tokens: Callable[[Messages], int | Awaitable[int]] | None = None


Agents: typing.TypeAlias = (
    "MiniAgent | AgentRef | Served | Sequence[MiniAgent | AgentRef | Served] | "
    "Mapping[str, MiniAgent | AgentRef | Served | str]"
)
"""One agent, several, which go by their aliases, or agents by the names that clients call them."""


class Entry:
    """What is served under one name.

    Args:
        name: The name.
        served: The agent, with its arguments.
        system: Where it lives.

    Attributes:
        name: The name.
        description: What it is for, or None.
        arguments: A Struct of the arguments that clients may give.
        argument_names: Their names.
        wants: What it takes beside what all take.
        count_tokens: Counts the tokens of a conversation, or None.

    Raises:
        InvalidOptionError: The name is none, the agent does not take one of the arguments, or it wants something that
            there is not.
    """

    def __init__(self, name: str, served: Served, system: MiniAgents) -> None:
        if not _NAME.fullmatch(name):
            raise InvalidOptionError(
                f"an agent cannot be served as {name!r}: names have letters, digits, '.', '_', ':' and '-'"
            )
        for want in served.wants:
            if want not in WANTS:
                raise InvalidOptionError(f"{name}: wants= takes {', '.join(map(repr, WANTS))}, not {want!r}")
        self.name = name
        self.wants = frozenset[str](served.wants)
        self._system = system
        agent = served.agent
        self._target = agent.bind(system) if isinstance(agent, MiniAgent) else agent
        known = agent.called_agent() if isinstance(agent, (MiniAgent, AgentRef)) else None
        self.description = (
            served.description if served.description is not None else known.description if known is not None else None
        )
        self.wants = frozenset((*served.wants, *_wants_of(known)))
        self.count_tokens = served.count_tokens
        self._into_api_options: frozenset[str] = frozenset()
        if known is None:
            fields = {one: (Any, True) for one in served.arguments or ()}
        else:
            fields = self._fields(known, served.arguments)
        self.argument_names = tuple(fields)
        self.arguments: type[msgspec.Struct] = msgspec.defstruct(
            f"{name.replace(':', '-colon-')}_arguments",
            [(one, kind) if needed else (one, kind | UnsetType, UNSET) for one, (kind, needed) in fields.items()],
            kw_only=True,
            forbid_unknown_fields=True,
        )

    def _fields(self, agent: MiniAgent, wanted: tuple[str, ...] | None) -> dict[str, tuple[Any, bool]]:
        """The arguments that clients may give: their types, and whether they must."""
        function: Callable[..., Any] = agent.wrapped.__call__ if agent.is_class else agent.wrapped
        names, required, others = parameters(function, 2 if agent.is_class else 1)
        live = live_parameters(function)
        fixed = frozenset() if agent.is_class else frozenset((*agent.arguments, *agent.live_arguments))
        if wanted is None:
            wanted = tuple(sorted(required - fixed - live))
        try:
            hints = typing.get_type_hints(function, include_extras=True)
        except (NameError, TypeError):
            hints = {}
        fields, options = {}, set()
        for name in wanted:
            if _API_OPTIONS in names and (name not in names or name in live):
                options.add(name)
                fields[name] = (Any, False)
            elif name in names and name not in live:
                fields[name] = (_decodable(hints.get(name, Any)), name in required and name not in fixed)
            elif others and name not in names:
                fields[name] = (Any, False)
            else:
                takes = ", ".join(sorted(names - live)) or "none"
                raise InvalidOptionError(f"{self.name}: clients cannot give an argument {name!r}; there are: {takes}")
        self._into_api_options = frozenset(options)
        return fields

    def target(self) -> MiniAgent | AgentRef:
        """Whom to call.

        Raises:
            ActorStoppedError: There is nobody at the path.
        """
        target = self._target
        if not isinstance(target, str):
            return target
        ref = self._system.lookup(target)
        if not isinstance(ref, AgentRef):
            raise ActorStoppedError(f"{target}: there is no agent at this path", path=target)
        return ref

    def options_in(self, arguments: Mapping[str, Any]) -> tuple[str, ...]:
        """Which of the options that clients may give are among the arguments of a call."""
        given = arguments.get(_API_OPTIONS, {})
        return tuple(name for name in self._into_api_options if name in given)

    def call_arguments(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of a call, checked.

        Raises:
            Problem: 422, with the argument that is wrong.
        """
        checked = convert(given, self.arguments, under="arguments", status=422)
        values = {name: value for name in self.argument_names if (value := getattr(checked, name)) is not UNSET}
        options = {name: values.pop(name) for name in self._into_api_options & values.keys()}
        if options:
            own = getattr(self._target, "arguments", {}).get(_API_OPTIONS, {})
            values[_API_OPTIONS] = {**own, **options}
        return values


def entries_of(agents: Any, system: MiniAgents) -> dict[str, Entry]:
    """What is served, by name.

    Raises:
        InvalidOptionError: A name is taken or none, or something is no agent.
    """
    if isinstance(agents, (MiniAgent, AgentRef, Served)):
        agents = (agents,)
    pairs = agents.items() if isinstance(agents, Mapping) else [(None, one) for one in agents]
    found: dict[str, Entry] = {}
    for name, one in pairs:
        served = one if isinstance(one, Served) else Served(one)
        if not isinstance(served.agent, (MiniAgent, AgentRef, str)):
            raise InvalidOptionError(f"what is served is an agent, the reference or the path of one, not {one!r}")
        if name is None:
            if isinstance(served.agent, str):
                raise InvalidOptionError(f"the agent at {served.agent} needs a name: give a dict")
            name = served.agent.called_agent().alias
        if name in found:
            raise InvalidOptionError(f"two agents are called {name!r}: give a dict with other names")
        found[name] = Entry(name, served, system)
    if not found:
        raise InvalidOptionError("agent_app() needs an agent to serve")
    return found


def _wants_of(agent: MiniAgent | None) -> tuple[Want, ...]:
    """What an agent can hand on to its model."""
    return ("blocks",) if isinstance(agent, LLMAgent) and agent.apis(agent.arguments) == (MESSAGES,) else ()


def _decodable(kind: Any) -> Any:
    """The same type, or Any if msgspec cannot decode it."""
    try:
        msgspec.json.schema(kind)
    except TypeError:
        return Any
    return kind

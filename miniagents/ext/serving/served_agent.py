"""`Served`: an agent in a service, with its name, and the arguments that clients may give."""

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
    """An agent, with the options of its service.

    Args:
        agent: The agent; or the reference of a spawned agent; or the path of one, "/research/searcher", which is looked
            up at each request.
        arguments: The names of the arguments that clients may give; None for those that the agent requires. For an LLM
            agent these may be options of the model's API too: `arguments=("temperature", "tools")`.
        description: The description; None for that of the agent.
        wants: The content that the agent takes besides text, images, files and function calls: "audio"
            (`AudioMessage`), "file_ids" (images and files by their ids), "items" (items of OpenAI's Responses API as
            `NativeMessage`s: calls of hosted and custom tools, their results, thoughts of models), "blocks" (content
            that only Anthropic's models understand, as `NativeMessage`s and in the metadata of replies; agents for
            these models always want it). Other content is a 400 for the client.
        count_tokens: A function that counts the tokens of a conversation, for `/v1/messages/count_tokens`. It gets the
            messages and returns an int; it may be async. None for an estimate.

    Example:
        >>> @miniagent
        ... async def weather(ctx: InteractionContext, city: str, unit: str = "C") -> None:
        ...     ctx.reply({"city": city, "unit": unit})
        >>> system = MiniAgents()
        >>> entries_of(weather, system)["weather"].argument_names  # by default only the required ones
        ('city',)
        >>> entries_of(Served(weather, arguments=("city", "unit")), system)["weather"].argument_names
        ('city', 'unit')
    """

    agent: MiniAgent | AgentRef | str
    arguments: tuple[str, ...] | None = None
    description: str | None = None
    wants: tuple[Want, ...] = ()
    count_tokens: Callable[[Messages], int | Awaitable[int]] | None = None


Agents: typing.TypeAlias = (
    MiniAgent
    | AgentRef
    | Served
    | Sequence[MiniAgent | AgentRef | Served]
    | Mapping[str, MiniAgent | AgentRef | Served | str]
)
"""One agent, several, served under their aliases, or agents by the names for clients."""


class Entry:
    """An agent that is served under a name.

    Args:
        name: The name.
        served: The agent, with its options.
        system: The system that runs the agent.

    Attributes:
        name: The name.
        description: The description, or None.
        arguments: A Struct of the arguments that clients may give.
        argument_names: The names of these arguments.
        wants: The content that the agent takes besides that which all agents take.
        count_tokens: The function that counts the tokens of a conversation, or None.
        takes_anthropic_tools: Whether the agent's tools have the form of Anthropic's API, and not that of OpenAI's.

    Raises:
        InvalidOptionError: The name is not valid, the agent does not take one of the arguments, or it wants an unknown
            kind of content.
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
        self._system = system
        agent = served.agent
        self._target = agent.bind(system) if isinstance(agent, MiniAgent) else agent
        known = agent.called_agent() if isinstance(agent, (MiniAgent, AgentRef)) else None
        self.description = (
            served.description if served.description is not None else known.description if known is not None else None
        )
        self.takes_anthropic_tools = isinstance(known, LLMAgent) and known.apis(known.arguments) == (MESSAGES,)
        own: tuple[Want, ...] = ("blocks",) if self.takes_anthropic_tools else ()  # passed on to the model
        self.wants = frozenset[str]((*served.wants, *own))
        self.count_tokens = served.count_tokens
        self._into_api_options: frozenset[str] = frozenset()
        if known is None:
            fields = {argument: (Any, True) for argument in served.arguments or ()}
        else:
            fields = self._fields(known, served.arguments)
        self.argument_names = tuple(fields)
        self.arguments: type[msgspec.Struct] = msgspec.defstruct(
            f"{name.replace(':', '-colon-')}_arguments",
            [(field, kind) if needed else (field, kind | UnsetType, UNSET) for field, (kind, needed) in fields.items()],
            kw_only=True,
            forbid_unknown_fields=True,
        )

    def _fields(self, agent: MiniAgent, wanted: tuple[str, ...] | None) -> dict[str, tuple[Any, bool]]:
        """Return the arguments that clients may give: their types, and whether they are required."""
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
        """Return the agent to call.

        Raises:
            ActorStoppedError: There is no agent at the path.
        """
        target = self._target
        if not isinstance(target, str):
            return target
        ref = self._system.lookup(target)
        if not isinstance(ref, AgentRef):
            raise ActorStoppedError(f"{target}: there is no agent at this path", path=target)
        return ref

    def options_in(self, arguments: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the options of the model's API that are in the arguments of a call."""
        options = arguments.get(_API_OPTIONS, {})
        return tuple(name for name in self._into_api_options if name in options)

    def call_arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Check the values that a client gives, and return the arguments of the call.

        Raises:
            Problem: 422: a value is wrong.
        """
        checked = convert(values, self.arguments, under="arguments", status=422)
        arguments = {name: value for name in self.argument_names if (value := getattr(checked, name)) is not UNSET}
        options = {name: arguments.pop(name) for name in self._into_api_options & arguments.keys()}
        if options:
            own = getattr(self._target, "arguments", {}).get(_API_OPTIONS, {})
            arguments[_API_OPTIONS] = {**own, **options}
        return arguments


def entries_of(agents: Any, system: MiniAgents) -> dict[str, Entry]:
    """Return the served agents by name.

    Raises:
        InvalidOptionError: A name is taken or not valid, or an object is not an agent.
    """
    if isinstance(agents, (MiniAgent, AgentRef, Served, type)):
        agents = (agents,)
    pairs = agents.items() if isinstance(agents, Mapping) else [(None, agent) for agent in agents]
    entries: dict[str, Entry] = {}
    for name, agent in pairs:
        served = agent if isinstance(agent, Served) else Served(agent)
        if not isinstance(served.agent, (MiniAgent, AgentRef, str)):
            is_class = isinstance(served.agent, type)
            instead = f"; a class becomes an agent by a call: miniagent({served.agent.__name__})" if is_class else ""
            raise InvalidOptionError(
                f"agent_app() serves agents, their references or their paths, not {agent!r}{instead}"
            )
        if name is None:
            if isinstance(served.agent, str):
                raise InvalidOptionError(f"the agent at {served.agent} needs a name: give a dict")
            name = served.agent.called_agent().alias
        if name in entries:
            raise InvalidOptionError(f"two agents are called {name!r}: give a dict with other names")
        entries[name] = Entry(name, served, system)
    if not entries:
        raise InvalidOptionError("agent_app() needs an agent to serve")
    return entries


def _decodable(kind: Any) -> Any:
    """Return the same type, or Any if msgspec cannot decode it."""
    try:
        msgspec.json.schema(kind)
    except TypeError:
        return Any
    return kind

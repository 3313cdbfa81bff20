"""`Tool`: a function or an agent, as a model sees and calls it."""

import asyncio
import copy
import inspect
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import msgspec

from miniagents.actors.threads import DaemonExecutor, exit_grace
from miniagents.agents import AgentRef, InteractionContext, MiniAgent
from miniagents.agents.durable.names import name_of
from miniagents.agents.durable.versions import code_key
from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.given_schema import GivenSchema
from miniagents.ext.llms.messages import ToolCall
from miniagents.ext.llms.provider import ToolSpec
from miniagents.ext.llms.signatures import Injected, Signature, injected_parameters, signature_of
from miniagents.ext.llms.tool_records import Recovery
from miniagents.ext.llms.tool_results import contained, each, outcome_of, pieces_of
from miniagents.log import log as _log
from miniagents.messages import TextToken, Token, UserMessage
from miniagents.supervision.checking import check_kind

_LONGEST_NAME = 64
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]+")
_OF_AGENTS = Signature("agent", {"message": str}, {})


class Tool:
    """A function or an agent, as a model sees it.

    `tools=` takes functions and agents as they are. Wrap one into a `Tool` to give it another name or description, or
    a JSON schema that does not come from type hints, such as the schema of a tool on an MCP server.

    A function gets its arguments by name. A parameter that is annotated with `InteractionContext` gets the context of
    the agent, and one that is annotated with `ToolCall` gets the call itself, whose `id` tells repeated calls apart.
    The model is told of neither.

    Args:
        target: The function, async or not, or the agent. A plain function runs in a thread.
        name: The name that the model is told; None for the name of the function or the alias of the agent. Letters that
            providers do not take become `_`, and a name ends after 64 letters.
        description: What the tool does, for the model; None for the docstring, or the description of the agent.
            What a docstring in the style of Google, NumPy or Sphinx says of parameters stands in the schema instead.
        schema: The JSON schema of the arguments, for a function; None for the one that its type hints give. With a
            schema, the function gets what the model wrote, as dicts, lists, strings, numbers and None. Only the names
            of the properties and `required` are checked.
        recovery: In a system with a journal: what becomes of a call of the function that was started when the process
            ended, and has no result.
        stands_for: For a tool that calls others: a function that returns the call of another tool that a call of this
            one stands for. `approve=` is asked about that call. It must not fail.

    Attributes:
        target: The function or the agent.
        recovery: As above.
        spec: The name, description and schemas that the model is told.

    Raises:
        InvalidOptionError: `target` is neither function nor agent, a parameter has no JSON schema, or `schema` is not
            the JSON schema of an object.

    Example:
        ```python
        from miniagents import MiniAgents
        from miniagents.ext.llms import OpenAIAgent, Tool

        async def call_server(**arguments: object) -> str:
            return f"Sunny in {arguments['city']}."

        weather = Tool(
            call_server,
            name="weather",
            description="Tells the weather of a city.",
            schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        )

        async def main() -> None:
            agent = OpenAIAgent.fork(model="gpt-5-mini", tools=[weather])
            print(await agent.inquire("How is the weather in Paris?"))

        MiniAgents().run(main())
        ```
    """

    def __init__(
        self,
        target: Callable[..., object] | MiniAgent | AgentRef,
        name: str | None = None,
        *,
        description: str | None = None,
        schema: Mapping[str, Any] | None = None,
        recovery: Recovery = Recovery.RERUN,
        stands_for: Callable[[ToolCall], ToolCall] | None = None,
    ) -> None:
        self.target = target
        self._stands_for = stands_for
        check_kind("Tool(recovery=)", recovery, Recovery)
        self.recovery = recovery
        self._injected: Injected = {}
        self._parameters: Signature | GivenSchema = _OF_AGENTS
        self._runs_in_loop = False
        agent = _agent_of(target)
        name = _allowed(name or _own_name(agent or target))
        if agent is not None:
            if schema is not None:
                raise InvalidOptionError(f"Tool(schema=) is for functions; the agent {agent.alias} takes one message")
            own_description = agent.description
        elif callable(target):
            if schema is not None:
                self._parameters, self._injected = GivenSchema(name, schema), injected_parameters(target, name)
                own_description = inspect.getdoc(target.func if isinstance(target, partial) else target)
            else:
                self._parameters = signature = signature_of(target, name)
                self._injected, own_description = signature.injected, signature.description
            self._runs_in_loop = _is_async(target) or _is_async(getattr(target, "__call__", None))  # noqa: B004
        else:
            raise InvalidOptionError(f"tools= takes functions and agents, not {target!r}")
        if description is None:
            description = own_description or ""
        self.spec = ToolSpec(name, description, self._parameters.schema, self._parameters.strict_schema)

    def __repr__(self) -> str:
        return f"Tool({self.spec.name!r}, {self.target!r})"

    @property
    def is_agent(self) -> bool:
        """True if the tool is an agent, and no function."""
        return _agent_of(self.target) is not None

    def asked_about(self, call: ToolCall) -> ToolCall:
        """Return the call that `approve=` is asked about: that which a call of this tool stands for.

        Args:
            call: The call of this tool.
        """
        return self._stands_for(call) if self._stands_for is not None else call

    @property
    def journal_key(self) -> str:
        """What the journal knows the tool by: what the model is told, and the code of the function."""
        spec, target = self.spec, self.target
        agent = _agent_of(target)
        if agent is not None:
            own = name_of(agent)
        else:
            code: Any = target.func if isinstance(target, partial) else target
            function: Any = getattr(code, "__func__", code if hasattr(code, "__qualname__") else type(code))
            own = code_key(function)
        return f"{spec.name} {own} {msgspec.json.encode((spec.description, spec.schema), order='sorted').decode()}"

    def renamed(self, name: str) -> "Tool":
        """Return the same tool under another name."""
        tool = copy.copy(self)
        tool.spec = replace(self.spec, name=name)
        return tool

    def tokens(self, call: ToolCall, ctx: InteractionContext) -> AsyncGenerator[Token, None]:
        """Run a call of the tool and stream its answer.

        Args:
            call: The call. Its id is unique within one answer of the model.
            ctx: The context of the agent whose model makes the call.

        Raises:
            msgspec.DecodeError: The arguments of the call do not fit.
        """
        arguments = self._parameters.decode(call.arguments)
        if isinstance(self.target, (MiniAgent, AgentRef)):
            return self._run_agent(self.target, arguments["message"])
        for parameter, kind in self._injected.items():
            arguments[parameter] = call if kind is ToolCall else ctx
        return self._run_function(self.target, arguments, call, ctx)

    async def _run_agent(self, agent: MiniAgent | AgentRef, message: str) -> AsyncGenerator[Token, None]:
        replies = agent.inquire(UserMessage(message))
        try:
            async with aclosing(each(aiter(replies.as_single_text_promise()))) as tokens:
                async for token in tokens:
                    yield token
        finally:
            replies.cancel("its tool call is over")

    async def _run_function(
        self, function: Callable[..., object], arguments: dict[str, object], call: ToolCall, ctx: InteractionContext
    ) -> AsyncGenerator[Token, None]:
        if self._runs_in_loop:
            result = function(**arguments)
        else:
            result = await _in_thread(partial(function, **arguments), call, ctx)
        while inspect.isawaitable(result):
            result = await contained(result)
        if isinstance(result, str):
            yield TextToken(result)
            return
        async with aclosing(pieces_of(result)) as pieces:
            async for piece in pieces:
                yield piece


Target: TypeAlias = Callable[..., object] | MiniAgent | AgentRef | Tool
"""A function, an agent or a tool: `tools_of` makes tools of these."""


async def _in_thread(function: Callable[[], object], call: ToolCall, ctx: InteractionContext) -> object:
    """Call a plain function in a thread of the system's tools.

    Python cannot stop a thread: when the call is cancelled, the function runs on, and an iterator that it returned is
    read no further.
    """
    threads = ctx.system.shared(("threads of tools",), partial(DaemonExecutor, name="tools"), _close)
    has_begun = False
    is_wanted = True

    def work() -> object:
        nonlocal has_begun
        has_begun = True
        return outcome_of(function, lambda: is_wanted)

    work.__qualname__ = call.name  # the executor names a hanging function by this
    try:
        return await asyncio.get_running_loop().run_in_executor(threads, copy_context().run, work)
    except asyncio.CancelledError as cancelled:
        is_wanted = False
        if has_begun:
            _log.warning(
                "llm.tool_thread_runs_on", **ctx.interaction.log_fields, tool=call.name, running=threads.running
            )
        else:
            cancelled.add_note(f"no thread was free for it: they run {threads.running}")
        raise


async def _close(threads: DaemonExecutor) -> None:
    """Close the executor at the end of the system; running functions get their grace, while the loop goes on."""
    if threads.running:
        threads.grace = exit_grace()
        await asyncio.to_thread(threads.shutdown)
    else:
        threads.shutdown(wait=False)


def tools_of(targets: Iterable[Target]) -> dict[str, Tool]:
    """Make tools of functions and agents, each under a name of its own.

    Args:
        targets: Functions, agents and tools. A second one of the same name becomes `name_2`, and so on.

    Returns:
        The tools by name, in their order.

    Raises:
        InvalidOptionError: See `Tool`.
    """
    tools: dict[str, Tool] = {}
    for target in targets:
        tool = target if isinstance(target, Tool) else Tool(target)
        name = base = tool.spec.name
        number = 2
        while name in tools:
            ending = f"_{number}"
            name = base[: _LONGEST_NAME - len(ending)] + ending
            number += 1
        tools[name] = tool if name == tool.spec.name else tool.renamed(name)
    return tools


def _agent_of(target: object) -> MiniAgent | None:
    """Return the agent that a call of `target` reaches; None if `target` is neither agent nor reference of one."""
    return target.called_agent() if isinstance(target, (MiniAgent, AgentRef)) else None


def _own_name(target: object) -> str:
    name = getattr(target, "alias", None) or getattr(target, "__name__", None) or type(target).__name__
    return str(name)


def _allowed(name: str) -> str:
    """Return a name that all providers take: 1 to 64 letters, digits, `_` and `-`."""
    return _NOT_IN_NAMES.sub("_", name)[:_LONGEST_NAME].strip("_") or "tool"


def _is_async(target: object) -> bool:
    return inspect.iscoroutinefunction(target) or inspect.isasyncgenfunction(target)

"""Tools: functions and agents that a model may call."""

import asyncio
import inspect
import re
import typing
import weakref
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

import msgspec
import structlog

from miniagents.actors import EventKind
from miniagents.errors import InvalidOptionError
from miniagents.ext.llms.messages import ToolCall, ToolResultMessage
from miniagents.ext.llms.model import ToolSpec
from miniagents.ext.llms.schemas import strict_schema
from miniagents.messages import Message, MessagePromise, TextToken, Token, UserMessage
from miniagents.messages.message import to_json
from miniagents.miniagents import AgentRef, InteractionContext, MiniAgent

_log = structlog.get_logger("miniagents")

Approve: typing.TypeAlias = Callable[[ToolCall], Any] | MiniAgent
"""Is asked before a call is made: a callable, async or not, or an agent. True (an agent says `yes`) lets it pass.
False, or a reason, does not, and the reason goes to the model."""

_YES = frozenset({"true", "yes", "y", "ok", "approve", "approved"})


class _Said(msgspec.Struct):
    message: str


class _Signature:
    """The arguments of a tool: how they are decoded, and what a model is told of them.

    Args:
        name: What the tool is called in errors.
        arguments: The Struct that they are decoded into.
        context: The name of the parameter that gets the agent's context, or None.

    Raises:
        InvalidOptionError: They have no schema.
    """

    def __init__(self, name: str, arguments: Any, context: str | None = None) -> None:
        self.arguments = arguments
        self.context = context
        try:
            self.schema, self.strict = strict_schema(arguments)
        except TypeError as error:
            raise InvalidOptionError(f"the tool {name}: its parameters have no JSON schema: {error}") from error
        self.schema.pop("title", None)
        self.schema.pop("description", None)


_SAID = _Signature("agent", _Said)
_signatures: "weakref.WeakKeyDictionary[Any, _Signature]" = weakref.WeakKeyDictionary()
"""Those of functions: a schema takes longer to make than a call to be prepared."""


def _signature_of(function: Callable[..., Any], name: str) -> _Signature:
    try:
        known = _signatures.get(function)
    except TypeError:  # it cannot be hashed or referred to weakly
        return _read_signature(function, name)
    if known is None:
        known = _signatures[function] = _read_signature(function, name)
    return known


def _read_signature(function: Callable[..., Any], name: str) -> _Signature:
    try:
        hints = typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError):
        hints = {}
    context: str | None = None
    fields: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise InvalidOptionError(f"the tool {name}: a model gives arguments by name, not {parameter}")
        kind = hints.get(parameter.name, Any)
        if kind is InteractionContext:
            context = parameter.name
        elif parameter.default is parameter.empty:
            fields.append((parameter.name, kind))
        else:
            fields.append((parameter.name, kind, msgspec.field(default_factory=partial(_same, parameter.default))))
    arguments = msgspec.defstruct(name, fields, kw_only=True, forbid_unknown_fields=True)
    return _Signature(name, arguments, context)


class Tool:
    """A function or an agent, as a model sees it.

    Args:
        target: The function, async or not, or the agent.
        name: What the model calls it.

    Attributes:
        spec: What the model is told of it.

    Raises:
        InvalidOptionError: It is neither, or its parameters have no schema.
    """

    def __init__(self, target: Any, name: str) -> None:
        self.target = target
        if isinstance(target, (MiniAgent, AgentRef)):
            self._signature = _SAID
            agent = target if isinstance(target, MiniAgent) else target._called_agent()
            description = agent.description or ""
        elif callable(target):
            self._signature = _signature_of(target, name)
            description = inspect.getdoc(target) or ""
        else:
            raise InvalidOptionError(f"tools= takes functions and agents, not {target!r}")
        self.spec = ToolSpec(name, description, self._signature.schema, self._signature.strict)

    def tokens(self, call: ToolCall, ctx: InteractionContext) -> AsyncGenerator[Token, None]:
        """Make the call, and stream its answer."""
        arguments = msgspec.json.decode(call.arguments or "{}", type=self._signature.arguments)
        if isinstance(self.target, (MiniAgent, AgentRef)):
            return self._of_agent(arguments.message)
        given = {name: getattr(arguments, name) for name in arguments.__struct_fields__}
        if self._signature.context is not None:
            given[self._signature.context] = ctx
        return self._of_function(given, call, ctx)

    async def _of_agent(self, message: str) -> AsyncGenerator[Token, None]:
        replies = self.target.inquire(UserMessage(message))
        try:
            async for token in replies.as_single_text_promise():
                yield token
        finally:
            replies.cancel("its tool call is over")

    async def _of_function(
        self, given: dict[str, Any], call: ToolCall, ctx: InteractionContext
    ) -> AsyncGenerator[Token, None]:
        if inspect.iscoroutinefunction(self.target) or inspect.iscoroutinefunction(
            getattr(self.target, "__call__", None)  # noqa: B004 - it is looked at, not called
        ):
            yield TextToken(_as_text(await self.target(**given)))
            return
        thread = asyncio.ensure_future(asyncio.to_thread(self.target, **given))
        try:
            result = await asyncio.shield(thread)
        except asyncio.CancelledError:
            if not thread.done():
                thread.add_done_callback(_forget)
                _log.warning(
                    "a tool in a thread cannot be stopped: it runs on, and its result is thrown away",
                    actor=ctx.interaction.path,
                    tool=call.name,
                )
            raise
        yield TextToken(_as_text(result))


def _same(value: Any) -> Any:
    return value


def _forget(thread: "asyncio.Future[Any]") -> None:
    if not thread.cancelled():
        thread.exception()


def _as_text(result: Any) -> str:
    if isinstance(result, str):
        return result
    if result is None:
        return "(no result)"
    return str(result) if isinstance(result, Message) else to_json(result)


def tools_of(targets: Iterable[Any]) -> dict[str, Tool]:
    """Tools by the names that the model is told: 1 to 64 letters, digits, `_` and `-`, each one once."""
    found: dict[str, Tool] = {}
    for target in targets:
        agent = target._called_agent() if isinstance(target, AgentRef) else target
        own = getattr(agent, "alias", None) or getattr(agent, "__name__", None) or type(agent).__name__
        name = base = re.sub(r"[^a-zA-Z0-9_-]+", "_", own)[:64].strip("_") or "tool"
        number = 2
        while name in found:
            ending = f"_{number}"
            name = base[: 64 - len(ending)] + ending
            number += 1
        found[name] = Tool(target, name)
    return found


def call_tools(
    calls: Sequence[ToolCall],
    tools: dict[str, Tool],
    ctx: InteractionContext,
    *,
    approve: Approve | None,
    timeout: float | None,
) -> list[MessagePromise]:
    """Make all calls of a turn at once.

    Args:
        calls: The calls.
        tools: The tools, by name.
        ctx: The agent's context.
        approve: Is asked first, or None.
        timeout: Seconds that each call may take, approval not included; None for no limit.

    Returns:
        Promises of their results, in order: they stream, and whatever happens each one resolves to a result.
    """
    return [
        ToolResultMessage.promise(
            message_token_streamer=_Result(call, tools, ctx, approve, timeout).tokens,
            call_id=call.id,
            name=call.name,
        )
        for call in calls
    ]


class _Result:
    def __init__(
        self,
        call: ToolCall,
        tools: dict[str, Tool],
        ctx: InteractionContext,
        approve: Approve | None,
        timeout: float | None,
    ) -> None:
        self._call = call
        self._tools = tools
        self._ctx = ctx
        self._approve = approve
        self._timeout = timeout

    async def tokens(self, late: dict[str, Any]) -> AsyncGenerator[Token, None]:
        late["is_error"] = True
        any_token = False
        try:
            tool = self._tools.get(self._call.name)
            if tool is None:
                raise LookupError(f"there is no such tool; there are: {', '.join(self._tools) or 'none'}")
            refusal = await self._refusal()
            if refusal is not None:
                yield TextToken(f"failed: not approved: {refusal}")
                return
            async with aclosing(self._pieces(tool)) as pieces:
                async for token in pieces:
                    any_token = True
                    yield token
            late["is_error"] = False
        except asyncio.CancelledError:
            # The call has a result whatever happens: a history without one could never be sent again.
            reason = self._ctx.interaction.cancelled
            yield TextToken(("\n" if any_token else "") + f"cancelled: {reason if reason is not None else 'stopped'}")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            yield TextToken(f"failed: the arguments do not fit: {error}")
        except Exception as error:
            self._report(error)
            text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            yield TextToken(("\n" if any_token else "") + f"failed: {text}")

    async def _pieces(self, tool: Tool) -> AsyncGenerator[Token, None]:
        """Make the call, within its time, seen by the system's observer."""
        ctx, observer = self._ctx, self._ctx.system.observer
        seen = observer.tool_called(ctx.interaction, tool, self._call) if observer is not None else None
        failed: BaseException | None = None
        try:
            async with asyncio.timeout(self._timeout) as timer, aclosing(tool.tokens(self._call, ctx)) as pieces:
                async for token in pieces:
                    if seen is not None:
                        seen.piece(token)
                    yield token
        except TimeoutError as error:
            failed = error
            if not timer.expired():
                raise
            raise TimeoutError(f"it took longer than {self._timeout} s (tool_timeout)") from None
        except BaseException as error:
            failed = error
            raise
        finally:
            if seen is not None:
                seen.ended(None, failed)
            failed = None  # or the error would hold this frame, and the frame the error

    async def _refusal(self) -> str | None:
        """Why the call may not be made, or None."""
        approve = self._approve
        if approve is None:
            return None
        if isinstance(approve, MiniAgent):
            said: Any = str(await approve.inquire(self._call)).strip()
            said = True if said.lower() in _YES else said or False
        else:
            said = approve(self._call)
            if inspect.isawaitable(said):
                said = await said
        if said is True:
            return None
        return str(said) if said else "the call was refused"

    def _report(self, error: Exception) -> None:
        path, number = self._ctx.interaction.path, self._ctx.interaction.id
        crashed = f"{path}/{self._call.name}"
        self._ctx.system.events.publish(EventKind.CRASH, crashed, error=error, detail=number, logged=True)
        _log.warning("a tool failed", actor=path, interaction=number, tool=self._call.name, error=repr(error))

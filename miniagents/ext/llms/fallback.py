"""`Fallback`: an agent that asks the next model when one is down."""

from collections.abc import AsyncIterator
from typing import Any, TypeVar, cast

from miniagents.agents import AgentRef, InteractionContext, Live, MiniAgent, miniagent
from miniagents.errors import (
    AllModelsFailedError,
    BudgetExceededError,
    InvalidOptionError,
    LLMError,
    MissingKeyError,
    ProviderUnavailableError,
    RateLimitedError,
)
from miniagents.ext.llms.breaker import Breaker, Failover, current_failover
from miniagents.ext.llms.messages import ReplyMessage
from miniagents.ext.llms.replies import ModelReplyPromise
from miniagents.ext.llms.requesting import is_down
from miniagents.log import log as _log
from miniagents.messages import Message, MessagePromise, Messages, MessageSequencePromise

M = TypeVar("M", bound=Message)


def _moves_on(error: LLMError) -> bool:
    """Return whether another model may succeed: the problem is not the request itself."""
    return is_down(error) or isinstance(error, (RateLimitedError, BudgetExceededError, MissingKeyError))


class _Models:
    """The models of one `Fallback`, with their circuit breakers."""

    __miniagents_immutable__ = True  # forks share it

    def __init__(self, agents: tuple[Any, ...], failures: int, rest: float) -> None:
        self.all = tuple((agent, Breaker(failures, rest)) for agent in agents)


@miniagent
async def _fallback(ctx: InteractionContext, models: Live[_Models], patience: float | None = None) -> None:
    """Answer with the replies of the first model that is available."""
    system = ctx.system
    messages = await ctx.message_promises
    run = _Run(ctx, messages)
    errors: list[BaseException] = []
    for agent, breaker in models.all:
        name = agent.alias if isinstance(agent, MiniAgent) else str(agent.path)
        if not breaker.lets_through(system.time()):
            errors.append(ProviderUnavailableError(f"{name}: rests after failures"))
            continue
        failover = Failover(patience, breaker, ctx.interaction)
        current_failover.set(failover)
        is_decided = False
        try:
            await run.ask(agent)
            is_decided = True
            breaker.succeeded()
            return
        except LLMError as error:
            if not _moves_on(error):
                run.fail(error)
                raise
            is_decided = True
            if not failover.has_failed:
                breaker.failed(system.time())
            if run.was_delivered:
                run.fail(error)
                raise
            errors.append(error)
            _log.warning("llm.fallback", **ctx.interaction.log_fields, model=name, error=str(error))
        except BaseException as error:
            run.fail(error)
            raise
        finally:
            if not is_decided:
                breaker.undecided()
    causes = "; ".join(f"{type(error).__name__}: {error}" for error in errors)
    none_left = AllModelsFailedError(
        f"{ctx.interaction.path}: no model answered: {causes}", path=ctx.interaction.path, errors=tuple(errors)
    )
    run.fail(none_left)
    raise none_left


class _Run:
    """One call of a `Fallback`: its first reply streams the tokens of the model that is asked now."""

    def __init__(self, ctx: InteractionContext, messages: Messages) -> None:
        self._ctx = ctx
        self._messages = messages
        self._reply: ModelReplyPromise | None = None
        self._passed_on = False

    @property
    def was_delivered(self) -> bool:
        """True if a reader has a token or a message of the replies."""
        return self._passed_on or (self._reply is not None and self._reply.was_delivered)

    async def ask(self, agent: MiniAgent | AgentRef) -> None:
        """Call one model and pass its replies on."""
        replies: MessageSequencePromise = agent.inquire(self._messages)
        promises: AsyncIterator[MessagePromise] = aiter(replies)
        try:
            async for promise in promises:
                if self._passed_on or not isinstance(promise, ModelReplyPromise):
                    self._passed_on = True  # messages after the first reply are passed on as they are
                    self._ctx.reply(promise)
                    continue
                self._begin(promise).end(cast(ReplyMessage, await promise))
                self._passed_on = True
            await replies
        finally:
            replies.cancel("its fallback is over")

    def _begin(self, promise: ModelReplyPromise) -> ModelReplyPromise:
        reply = self._reply
        if reply is None:
            reply = self._reply = ModelReplyPromise(self._ctx.interaction, promise.known_beforehand)
            self._ctx.reply(reply)
        else:
            reply.retract()
            reply.known_beforehand = promise.known_beforehand
        promise.add_follower(reply)
        return reply

    def fail(self, error: BaseException) -> None:
        """End the reply and the call with an error; the readers get it once, in its place."""
        if self._reply is not None and not self._reply.done():
            explained = self._ctx.interaction.explain(error)
            self._ctx.interaction.mark(explained)
            self._reply.break_off(explained)
            self._ctx.close_replies()


def Fallback(
    *agents: MiniAgent[M] | AgentRef[M],
    patience: float | None = 10.0,
    failures: int = 3,
    rest: float = 30.0,
    alias: str = "Fallback",
) -> MiniAgent[M]:
    """Make an agent that calls one model after the other, until one answers.

    It calls the next model when one is down, has no valid key or no budget, does not exist, or is rate-limited. It does
    so at once if the model cannot be reached, or a retry is of no use (401, 403, 404), and otherwise when `failures`
    requests in a row have failed or `patience` has passed. It does not call another model after an invalid request
    (400), or when a token was delivered. The failed requests of all callers count together. While a model rests, calls
    go to the next one at once.

    Args:
        *agents: The agents with the models, the preferred one first.
        patience: Seconds that a model may be rate-limited or fail, more than 0; None for as long as its own retries
            take.
        failures: The number of failed requests in a row after which a model rests, 1 or more.
        rest: Seconds that a model rests, 0 or more; then a single request probes it.
        alias: The name of the agent.

    Raises:
        InvalidOptionError: There is no agent, or an option is outside its range.

    Example:
        ```python
        from miniagents import MiniAgents
        from miniagents.ext.llms import AnthropicAgent, Fallback, OpenAIAgent

        async def main() -> None:
            agent = Fallback(OpenAIAgent.fork(model="gpt-5-mini"), AnthropicAgent.fork(model="claude-haiku-4-5"))
            print(await agent.inquire("Hi"))

        MiniAgents().run(main())
        ```
    """
    if not agents:
        raise InvalidOptionError("Fallback() needs agents")
    if failures < 1 or not rest >= 0:
        raise InvalidOptionError(
            f"Fallback(): failures= must be 1 or more, rest= 0 or more, not {failures!r}, {rest!r}"
        )
    fallback: Any = _fallback.fork(alias=alias, models=_Models(agents, failures, rest), patience=patience)
    return fallback  # type: ignore[no-any-return]  # its replies are those of the agents

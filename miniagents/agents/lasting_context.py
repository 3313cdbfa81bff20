"""`LastingContext`: what a call takes from outside and keeps across restarts: time, chance, effects, answers."""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar, overload

import msgspec

from miniagents.actors.cells.spawning import Spawner
from miniagents.agents.interaction import Interaction
from miniagents.agents.recorded_values import taken_number, taken_once
from miniagents.errors import InvalidOptionError
from miniagents.messages import Message
from miniagents.supervision.checking import check_seconds

P = ParamSpec("P")
T = TypeVar("T")
MessageT = TypeVar("MessageT", bound=Message)

_HALF = 2**53


class LastingContext(Spawner):
    """The part of `InteractionContext` that outlives the process, if the call is in a journal.

    Without a journal all of it works as long as the process lives.
    """

    __slots__ = ()

    _interaction: Interaction

    async def sleep(self, seconds: float) -> None:
        """Wait. After a restart of the process only the rest is waited for.

        The due time is a time of day. A wait of more than 30 seconds follows the clock of the machine if that is set,
        or if the machine sleeps.

        Args:
            seconds: How long, 0 or more.

        Raises:
            InvalidOptionError: `seconds` is no such number.
            JournalError: The journal cannot be read or written.
        """
        check_seconds("sleep(seconds)", seconds, finite=True)
        interaction, clock = self._interaction, self._interaction.system.wall_clock
        key = msgspec.msgpack.encode(float(seconds))
        due_at = await taken_number(interaction, "sleep", key, lambda: clock.time() + seconds)
        resting = interaction.system.answers.resting.of(interaction, due_at) if interaction.job else nullcontext()
        with resting:
            await clock.sleep_until(due_at)

    @overload
    async def wait_for(self, name: str, *, prompt: object = "", timeout: float | None = None) -> Message: ...

    @overload
    async def wait_for(
        self, name: str, *, prompt: object = "", timeout: float | None = None, type: type[MessageT]
    ) -> MessageT: ...

    async def wait_for(
        self, name: str, *, prompt: object = "", timeout: float | None = None, type: type[Any] = Message
    ) -> Any:
        """Wait for a message from outside, which `MiniAgents.deliver` brings, for days if need be.

        The call is listed by `MiniAgents.pending` meanwhile. An answer that was delivered before the call waits for it
        was kept, and is returned at once. A call that is run again after a restart gets the same answer again, and
        nobody is asked twice.

        Args:
            name: The name of what is waited for, without `#`.
            prompt: What those who answer are told: a text, a dict, or a message.
            timeout: Seconds until the call waits no more, more than 0; None for no limit. They go on while no process
                runs.
            type: The class of messages that an answer must be of; any other is refused.

        Returns:
            The answer.

        Raises:
            DeadlineExceededError: The timeout has passed.
            InvalidOptionError: An argument is outside its range.
            JournalError: The journal cannot be read or written.

        Example:
            >>> @miniagent
            ... async def publisher(ctx):
            ...     answer = await ctx.wait_for("approval", prompt="Publish it?", timeout=86400)
            ...     ctx.reply(f"The editor says {answer}.")
            >>> async with MiniAgents() as mini:
            ...     replies = publisher.inquire()
            ...     await asyncio.sleep(0.1)
            ...     print([wait.prompt for wait in await mini.pending()])
            ...     delivered = await mini.deliver("", "approval", "yes")
            ...     print(await replies)
            ['Publish it?']
            The editor says yes.
        """
        _check_message_class(type)
        answer = await self._interaction.system.answers.wait(self._interaction, name, prompt, timeout, type)
        return answer.message

    @overload
    async def once(self, key: str, func: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T: ...

    @overload
    async def once(self, key: str, func: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T: ...

    async def once(self, key: str, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Call a function once. When the call is run again, it gets the recorded result.

        The result is in the journal before this returns. A process that is killed between the effect of the function
        and that moment repeats the effect: pass on an `idempotency_key` where that must not be. Calls with the same key
        at the same time share one result. A function that fails is called again the next time.

        Args:
            key: Tells it from other functions of this call.
            func: The function, async or not.
            *args: Its arguments.
            **kwargs: Its arguments by name.

        Returns:
            The result, as a message would hold it: lists come back as tuples, and dicts as `FrozenDict`s.

        Raises:
            NotSendableError: A message cannot hold the result.
            JournalError: The journal cannot be read or written.

        Example:
            >>> @miniagent
            ... async def buyer(ctx):
            ...     for _ in range(2):
            ...         ctx.reply(await ctx.once("order", lambda: print("ordering") or "order 17"))
            >>> async with MiniAgents():
            ...     print(len(await buyer.inquire()))
            ordering
            2
        """
        return await taken_once(self._interaction, "once", key, lambda: func(*args, **kwargs))

    async def now(self) -> datetime:
        """Return the time, in UTC. When the call is run again, it gets the times that it got before."""
        at = await taken_number(self._interaction, "now", b"", self._interaction.system.wall_clock.time)
        return datetime.fromtimestamp(at, UTC)

    async def random(self) -> float:
        """Return a random number, 0 or more and less than 1. When the call is run again, it gets the same ones."""
        return await taken_number(self._interaction, "random", b"", self._interaction.system.random)

    async def idempotency_key(self, key: str) -> str:
        """Return a text that is equal whenever this call is run again, and equal to no other.

        Give it to a service that takes such keys, so that an effect which a crash repeats happens once. It is in the
        journal before this returns.

        Args:
            key: Tells it from other ones of this call.

        Returns:
            28 hexadecimal digits.
        """
        random = self._interaction.system.random
        made: str = await taken_once(
            self._interaction, "idempotency", key, lambda: f"{int(random() * _HALF):014x}{int(random() * _HALF):014x}"
        )
        return made


def _check_message_class(value: object) -> None:
    if not (isinstance(value, type) and issubclass(value, Message)):
        raise InvalidOptionError(f"wait_for(type=) takes a class of messages, not {value!r}")

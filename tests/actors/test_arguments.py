"""What is said of mistakes: names, arguments, hooks, and messages that nobody handles."""

import functools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    DeadLetterReason,
    Message,
    MiniAgents,
    Terminated,
    TextMessage,
    miniagent,
)
from miniagents.errors import AgentArgumentError, NotSendableError, UnhandledMessageError
from tests.actors.actors import Add, Counter, Read, turns
from tests.agents.agents import echo


class Picky(Actor):
    """Takes an `Add`, and keeps whatever else comes until it is asked for a total."""

    def __init__(self, kept: Message | None = None) -> None:
        self.kept = kept

    async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
        match message:
            case Add():
                return message
            case Read():
                assert self.kept is not None
                ctx.unhandled(self.kept)
                return TextMessage("read")
            case _:
                return ctx.unhandled(message)


async def test_who_asks_what_no_case_takes_gets_an_error_and_the_actor_lives() -> None:
    async with ActorSystem() as system:
        picky = system.spawn(Picky)
        with pytest.raises(UnhandledMessageError, match=r"^/Picky-1: has no case for a TextMessage") as caught:
            await picky.ask(TextMessage("hello"))
        assert (caught.value.path, caught.value.message) == ("/Picky-1", TextMessage("hello"))
        assert await picky.ask(Add(1)) == Add(1)
        assert system.tree(picky.path).restarts == 0
    assert system.dead_letters.total == 0


async def test_what_is_told_and_no_case_takes_is_a_dead_letter() -> None:
    async with ActorSystem() as system:
        system.spawn(Picky).tell(TextMessage("hello"))
        await turns()
        (letter,) = system.dead_letters
        assert (letter.reason, letter.message) == (DeadLetterReason.UNHANDLED, TextMessage("hello"))
        assert system.dead_letters.counts == {DeadLetterReason.UNHANDLED: 1}


async def test_unhandled_of_another_message_than_the_one_in_hand_leaves_its_answer_alone() -> None:
    async with ActorSystem() as system:
        picky = system.spawn(Picky, kept=TextMessage("kept"))
        answer: Any = await picky.ask(Read())
        assert answer == TextMessage("read")
        assert [letter.message for letter in system.dead_letters] == [TextMessage("kept")]


async def test_a_terminated_that_no_case_takes_is_no_dead_letter() -> None:
    class Watcher(Picky):
        async def on_start(self, ctx: ActorContext) -> None:
            ctx.watch(watched)

        async def receive(self, message: Message, ctx: ActorContext) -> Message | Exception | None:
            seen.append(type(message))
            return await super().receive(message, ctx)

    seen: list[Any] = []
    async with ActorSystem() as system:
        watched = system.spawn(Counter)
        await system.spawn(Watcher).started()
        await watched.stop()
        await turns()
    assert seen == [Terminated]
    assert system.dead_letters.total == 0


async def test_a_name_that_is_taken_at_the_top_is_told_with_the_root() -> None:
    async with ActorSystem() as system:
        system.spawn(Counter, name="a")
        with pytest.raises(ValueError, match=r"^/: the name 'a' is taken, by /a$"):
            system.spawn(Counter, name="a")
        with pytest.raises(ValueError, match=r"^/: an actor's name must be a string, not empty"):
            system.spawn(Counter, name="")


async def test_a_class_in_the_place_of_a_message_is_told_to_be_one() -> None:
    class Wrong(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Any:
            return Read

    @miniagent
    async def wrong(ctx: Any) -> None:
        ctx.reply(Read)

    async with MiniAgents() as system:
        ref: Any = system.spawn(Wrong)
        for send in (ref.tell, ref.ask):
            with pytest.raises(NotSendableError, match=r"^/Wrong-1: .* that is the class: write Read\(\)$"):
                send(Read)
        with pytest.raises(NotSendableError, match=r"write Read\(\)$"):
            await ref.send(Read)
        with pytest.raises(NotSendableError, match=r"write Read\(\)$"):
            await ref.ask(Read())
        with pytest.raises(NotSendableError, match=r"write Read\(\)$"):
            wrong.inquire([Read])  # type: ignore[list-item]
        with pytest.raises(NotSendableError, match=r"write Read\(\)"):
            await wrong.inquire()


def test_a_hook_that_is_not_async_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"^Sync\.receive must be `async def receive`"):

        class Sync(Actor):
            def receive(self, message: Message, ctx: ActorContext) -> None:  # type: ignore[override]
                pass

    with pytest.raises(TypeError, match=r"^Yields\.on_stop must be `async def on_stop`, without `yield`"):

        class Yields(Actor):
            async def on_stop(self, reason: Any) -> AsyncIterator[int]:  # type: ignore[override]
                yield 1


def test_a_hook_with_a_decorator_around_it_is_taken() -> None:
    def counted(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        return wrapper

    class Decorated(Actor):
        @counted
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            pass

    assert issubclass(Decorated, Actor)


async def test_a_wrong_name_of_an_argument_is_told_by_spawn_with_those_that_there_are() -> None:
    class Parent(Picky):
        async def on_start(self, ctx: ActorContext) -> None:
            ctx.spawn(Counter, strat=1)  # type: ignore[call-overload]

    class Bare(Actor):
        pass

    class Any_(Actor):
        def __init__(self, **given: Any) -> None:
            pass

    async with ActorSystem() as system:
        with pytest.raises(
            AgentArgumentError, match=r"^Counter: takes no argument 'nmae'; it takes gate, log, start, .* name"
        ):
            system.spawn(Counter, nmae="x")  # type: ignore[call-overload]
        with pytest.raises(AgentArgumentError, match=r"^Bare: takes no argument 'nmae'; it takes no arguments"):
            system.spawn(Bare, nmae="x")  # type: ignore[call-overload]
        with pytest.raises(AgentArgumentError, match="'strat'"):
            await system.spawn(Parent).started()
        await system.spawn(Any_, nmae="x").started()
        assert system.lookup("/Counter-1") is None


class Dated(Actor):
    def __init__(self, year: int, month: int = 1, *, day: int = 1) -> None:
        self.date = (year, month, day)

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        return TextMessage(str(self.date))


async def test_the_arguments_of_a_constructor_may_be_given_by_position() -> None:
    async with ActorSystem() as system:
        ref = system.spawn(Dated, 1815, day=10)
        named = system.spawn(Dated, 1906, 12, name="named", day=9)

        assert str(await ref.ask(TextMessage("when?"))) == "(1815, 1, 10)"
        assert str(await named.ask(TextMessage("when?"))) == "(1906, 12, 9)"


async def test_arguments_that_cannot_be_given_by_position_are_refused() -> None:
    async with MiniAgents() as system:
        with pytest.raises(AgentArgumentError, match="Dated: takes 2 arguments by position, not 3"):
            system.spawn(Dated, 1815, 12, 10)  # type: ignore[call-overload]
        with pytest.raises(AgentArgumentError, match="Dated: the argument 'year' was given by position and by name"):
            system.spawn(Dated, 1815, year=1815)  # type: ignore[arg-type, misc]
        with pytest.raises(AgentArgumentError, match="echo: takes 0 arguments by position, not 1"):
            system.spawn(echo, "Hello")  # type: ignore[call-overload]

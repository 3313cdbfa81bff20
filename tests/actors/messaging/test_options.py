"""What is said of options and arguments that cannot be meant: at once, where they were given."""

import datetime as dt
import math
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import pytest
import structlog

from miniagents import (
    Actor,
    ActorContext,
    ActorSystem,
    Backoff,
    ChildSpec,
    InteractionContext,
    Mailbox,
    Message,
    MessagePromise,
    MiniAgents,
    OneForOne,
    Pool,
    Promise,
    RetryPolicy,
    SpawnOptions,
    Supervisor,
    TextMessage,
    miniagent,
)
from miniagents.errors import AgentArgumentError, ChildNotFoundError, InvalidOptionError, NotSendableError, StartError
from tests.actors.actors import Counter, Read, turns

NO_DURATION = [-1, math.nan, "5", None, True, dt.timedelta(seconds=5)]
NO_COUNT = [-1, math.nan, 1.5, "5", True]


@pytest.mark.parametrize("delay", [*NO_DURATION, math.inf])
async def test_a_timer_takes_seconds_and_nothing_else(delay: Any) -> None:
    class Ticks(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            every = message == TextMessage("every")
            try:
                ctx.schedule_every(delay, Read()) if every else ctx.schedule(delay, Read())
            except InvalidOptionError as error:
                return TextMessage(str(error))
            return TextMessage("taken")

    async with ActorSystem() as system:
        ref = system.spawn(Ticks)
        with pytest.raises(InvalidOptionError, match=r"^/Ticks-1: schedule\(delay=\) must be 0 seconds or more, and "):
            system.schedule(delay, ref, Read())
        with pytest.raises(InvalidOptionError, match=r"^/Ticks-1: schedule_every\(interval=\) must be more than 0 sec"):
            system.schedule_every(delay, ref, Read())
        assert str(await ref.ask(TextMessage("once"))).startswith("/Ticks-1: schedule(delay=) must be 0 seconds")
        assert str(await ref.ask(TextMessage("every"))).startswith("/Ticks-1: schedule_every(interval=) must be more")


def test_who_gives_a_timedelta_is_told_the_seconds() -> None:
    with pytest.raises(InvalidOptionError, match=r"; write 5\.0$"):
        Backoff(dt.timedelta(seconds=5), 10.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", NO_DURATION)
@pytest.mark.parametrize(
    ("option", "make"),
    [
        ("handler_timeout=", lambda s: SpawnOptions(handler_timeout=s if s is not None else "none")),  # type: ignore[arg-type]
        ("passivate_after=", lambda s: SpawnOptions(passivate_after=s if s is not None else "none")),  # type: ignore[arg-type]
        (r"RetryPolicy\(max_retry_after=\)", lambda s: RetryPolicy(max_retry_after=s)),
        (r"Backoff\(first=\)", lambda s: Backoff(s, 10.0)),
        (r"Backoff\(maximum=\)", lambda s: Backoff(1.0, s)),
        (r"OneForOne\(within=\)", lambda s: OneForOne(within=s)),
        (
            r"ChildSpec 'a': shutdown \(seconds, or a Shutdown\)",
            lambda s: ChildSpec("a", Counter, shutdown=s if s is not None else "none"),  # type: ignore[arg-type]
        ),
        ("grace=", lambda s: ActorSystem(grace=s)),
    ],
)
def test_a_duration_is_a_number_of_seconds(option: str, make: Callable[[Any], Any], seconds: Any) -> None:
    with pytest.raises(InvalidOptionError, match=rf"^{option} must be .*seconds"):
        make(seconds)


@pytest.mark.parametrize("number", NO_COUNT)
@pytest.mark.parametrize(
    ("option", "make"),
    [
        (r"Mailbox\(capacity=\)", lambda n: Mailbox(capacity=n)),
        ("poison_after=", lambda n: SpawnOptions(poison_after=n)),
        (r"RetryPolicy\(attempts=\)", lambda n: RetryPolicy(attempts=n)),
        (r"OneForOne\(max_restarts=\)", lambda n: OneForOne(max_restarts=n)),
        (r"pool\(size=\)", lambda n: Pool(Counter, size=n)),
        ("dead_letters_kept=", lambda n: ActorSystem(dead_letters_kept=n)),
        ("agent parrot: max_concurrency=", lambda n: miniagent(max_concurrency=n)(parrot)),
    ],
)
def test_a_count_is_a_whole_number(option: str, make: Callable[[Any], Any], number: Any) -> None:
    with pytest.raises(InvalidOptionError, match=rf"^{option} must be [01] or more"):
        make(number)


async def parrot(ctx: Any) -> None:
    ctx.reply(ctx.message_promises)


@pytest.mark.parametrize(
    ("text", "make"),
    [
        (r"mailbox= must be a Mailbox, not .*write Mailbox\(\.\.\.\)$", lambda: SpawnOptions(mailbox=Mailbox)),  # type: ignore[arg-type]
        (r"retry= must be a RetryPolicy or None, not 3$", lambda: SpawnOptions(retry=3)),  # type: ignore[arg-type]
        (r"supervision= must be a Strategy or None.*write OneForOne", lambda: SpawnOptions(supervision=OneForOne)),  # type: ignore[arg-type]
        (r"strategy= must be a Strategy or None, not 'all'$", lambda: SpawnOptions(strategy="all")),  # type: ignore[arg-type]
        (r"RetryPolicy\(backoff=\) must be a Backoff or None, not 1$", lambda: RetryPolicy(backoff=1)),  # type: ignore[arg-type]
        (r"RetryPolicy\(on=\) must be a tuple of exception classes", lambda: RetryPolicy(on=[ValueError])),  # type: ignore[arg-type]
        (r"Backoff\(jitter=\) must be from 0 to 1, not 'x'$", lambda: Backoff(1, 2, "x")),  # type: ignore[arg-type]
        (r"Mailbox\(priority=\) must be a function or None, not 5", lambda: Mailbox(priority=5)),  # type: ignore[arg-type]
        (
            r"Supervisor 's': children must be ChildSpecs, .*\[\.\.\.\]",
            lambda: Supervisor("s", children=ChildSpec("a", Counter)),  # type: ignore[arg-type]
        ),
        ("on_failure= must be a function or None, not 5", lambda: ActorSystem(on_failure=5)),  # type: ignore[arg-type]
        (r"pool\(key=\) must be a function or None, not 5", lambda: Pool(Counter, size=1, key=5)),  # type: ignore[arg-type]
        (r"agent parrot: errors= must be a tuple of exc", lambda: miniagent(errors=[ValueError])(parrot)),  # type: ignore[call-overload]
    ],
)
def test_an_option_of_the_wrong_kind_is_refused_where_it_is_given(text: str, make: Callable[[], Any]) -> None:
    with pytest.raises(InvalidOptionError, match=text):
        make()


def test_an_exception_class_alone_will_do() -> None:
    assert RetryPolicy(on=ValueError).on is ValueError  # type: ignore[arg-type, comparison-overlap]


@pytest.mark.parametrize("timeout", [-1, math.nan, "5", dt.timedelta(seconds=5)])
async def test_the_timeout_of_an_ask_or_a_call_is_a_number_of_seconds(timeout: Any) -> None:
    agent = miniagent(parrot)
    async with MiniAgents() as system:
        ref = system.spawn(Counter)
        with pytest.raises(InvalidOptionError, match=r"^/Counter-1: ask\(timeout=\) must be 0 seconds or more, not "):
            ref.ask(Read(), timeout=timeout)
        for call in (agent.inquire, agent.initiate_call):
            with pytest.raises(InvalidOptionError, match=r"^agent parrot: timeout= must be 0 seconds or more, not "):
                call(timeout=timeout)
        assert system.tree("/Counter-1").mailbox_depth == 0


async def test_what_spawn_takes_for_itself_is_checked() -> None:
    async with ActorSystem() as system:
        with pytest.raises(InvalidOptionError, match=r"^/Counter-1: options= must be a SpawnOptions or None, not 5$"):
            system.spawn(Counter, options=5)  # type: ignore[call-overload]
        with pytest.raises(ValueError, match=r"^/: an actor's name must be a string, .* not 5$"):
            system.spawn(Counter, name=5)  # type: ignore[call-overload]
        with pytest.raises(InvalidOptionError, match=r"^kwargs= must be a Mapping or None, not 5$"):
            system.spawn(Counter, kwargs=5)  # type: ignore[call-overload]
        with pytest.raises(
            InvalidOptionError, match=r"give the class, and what its constructor takes: spawn\(Counter,"
        ):
            system.spawn(Counter())  # type: ignore[call-overload]
        assert system.tree("/").children == ()


async def test_options_of_the_wrong_kind_are_a_start_that_fails() -> None:
    async with MiniAgents() as system:
        for child in (Counter, miniagent(parrot)):
            spec = ChildSpec("a", child, options=5)  # type: ignore[arg-type]
            with pytest.raises(StartError, match=r"'a' did not start: .* options= must be a SpawnOptions or None"):
                await system.supervise(Supervisor("s", children=[spec]))


async def test_the_class_actor_itself_is_no_actor() -> None:
    async with ActorSystem() as system:
        with pytest.raises(InvalidOptionError, match=r"^/Actor-1: Actor itself handles nothing"):
            system.spawn(Actor)
        with pytest.raises(StartError, match=r"'a' did not start: InvalidOptionError: /s/a: Actor itself"):
            await system.supervise(Supervisor("s", children=[ChildSpec("a", Actor)]))
        with pytest.raises(StartError, match="Actor itself handles nothing"):
            await system.pool(Actor, size=1)


async def test_who_gives_something_else_than_a_ref_is_told_so() -> None:
    class Confused(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> Message:
            wrong: Any = Counter
            does: dict[str, Callable[[Any], Any]] = {"watch": ctx.watch, "unwatch": ctx.unwatch, "stop": ctx.stop}
            try:
                does[str(message)](wrong)
            except InvalidOptionError as error:
                return TextMessage(str(error))
            return TextMessage("taken")

    async with ActorSystem() as system:
        ref = system.spawn(Confused)
        wrong: Any = Counter
        for what in ("watch", "unwatch", "stop"):
            text = str(await ref.ask(TextMessage(what)))
            assert (
                text == f"/Confused-1: {what}(ref=) must be an ActorRef{' or None' * (what == 'stop')}, not {Counter!r}"
            )
        for schedule in (system.schedule, system.schedule_every):
            with pytest.raises(InvalidOptionError, match=r"^schedule.*\(ref=\) must be an ActorRef, not "):
                schedule(1.0, wrong, Read())
        for change in (system.group("g").join, system.group("g").leave):
            with pytest.raises(InvalidOptionError, match=r"^group 'g': .*\(ref=\) must be an ActorRef, not "):
                change(wrong)
        with pytest.raises(InvalidOptionError, match=r"^supervise\(parent=\) must be an ActorRef or None, not "):
            await system.supervise(Supervisor("s"), parent=wrong)
        for look in (system.lookup, system.tree):
            with pytest.raises(InvalidOptionError, match=r"^(lookup|tree)\(path=\) must be a str, not <ActorRef"):
                look(ref)  # type: ignore[arg-type,call-overload]


@pytest.mark.parametrize("number", NO_COUNT)
async def test_a_tree_has_whole_levels(number: Any) -> None:
    async with ActorSystem() as system:
        with pytest.raises(InvalidOptionError, match=r"^tree\(depth=\) must be 0 or more, or None, not "):
            system.tree(depth=number)
        with pytest.raises(InvalidOptionError, match=r"^tree\(limit=\) must be 0 or more, or None, not "):
            system.tree(limit=number)


def test_a_hook_that_the_runtime_cannot_call_is_refused_when_the_class_is_made() -> None:
    with pytest.raises(
        TypeError, match=r"^Short\.receive must be `async def receive\(self, message, ctx\)`, not \(self,"
    ):

        class Short(Actor):
            async def receive(self, message: Message) -> None:  # type: ignore[override]
                pass

    with pytest.raises(
        TypeError, match=r"^Long\.on_start must be `async def on_start\(self, ctx\)`, not \(self, ctx: .*, x: int"
    ):

        class Long(Actor):
            async def on_start(self, ctx: ActorContext, x: int) -> None:  # type: ignore[override]
                pass

    with pytest.raises(TypeError, match=r"^Nothing\.on_stop must be `async def on_stop\(self, reason\)`, not \(self\)"):

        class Nothing(Actor):
            async def on_stop(self) -> None:  # type: ignore[override]
                pass


def test_a_hook_may_have_parameters_with_defaults_or_take_anything() -> None:
    class Fine(Actor):
        async def receive(self, *args: Any) -> None:
            pass

        async def on_start(self, ctx: ActorContext, more: int = 1) -> None:
            pass

    assert issubclass(Fine, Actor)


def test_what_a_class_says_of_errors_and_of_its_children_is_checked_when_it_is_made() -> None:
    with pytest.raises(InvalidOptionError, match=r"^Listed\.errors must be a tuple of exception classes, not \["):

        class Listed(Actor):
            errors: ClassVar[Any] = [ValueError]

    with pytest.raises(InvalidOptionError, match=r"^Strategic\.strategy must be a Strategy or None.*write OneForOne"):

        class Strategic(Actor):
            strategy = OneForOne


def test_an_agent_that_takes_no_context_is_refused_when_it_is_made() -> None:
    async def nothing() -> None:
        pass

    async def keyword(*, ctx: Any) -> None:
        pass

    class Closed:
        async def __call__(self) -> None:
            pass

    for wrong in (nothing, keyword):
        with pytest.raises(TypeError, match=r"takes no context: its first parameter is the InteractionContext"):
            miniagent(wrong)
    with pytest.raises(TypeError, match=r"Closed.*takes no context: .* `async def __call__\(self, ctx\)`"):
        miniagent(Closed)


def test_the_description_of_an_agent_is_text() -> None:
    with pytest.raises(InvalidOptionError, match=r"^agent parrot: description= must be a str or None, not 5$"):
        miniagent(description=5)(parrot)  # type: ignore[call-overload]


async def test_a_streamer_in_the_place_of_the_content_is_told_where_it_belongs() -> None:
    async def stream(late: dict[str, Any]) -> AsyncIterator[str]:
        yield "a"

    async with MiniAgents():
        for wrong in (stream({}), stream):
            with pytest.raises(NotSendableError, match=r"^TextMessage: .* write message_token_streamer="):
                TextMessage.promise(wrong)  # type: ignore[arg-type]
        for other in (5, b"bytes", TextMessage("x")):
            with pytest.raises(NotSendableError, match=r"^TextMessage: its content is a str, not "):
                TextMessage.promise(other)  # type: ignore[arg-type]
        with pytest.raises(
            TypeError, match=r"message_token_streamer= is an async generator function .*, not <async_gen"
        ):
            TextMessage.promise(message_token_streamer=stream({}))  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"prefill_message= is a Message, not 'x'"):
            MessagePromise(prefill_message="x")  # type: ignore[arg-type]


class Cart:
    async def __call__(self, ctx: InteractionContext) -> None: ...


async def test_an_agent_in_the_place_of_an_actor_is_told_where_it_belongs() -> None:
    async with ActorSystem() as system:
        with pytest.raises(InvalidOptionError, match="an actor is a subclass of Actor, not <MiniAgent parrot>"):
            system.spawn(miniagent(parrot))
        with pytest.raises(InvalidOptionError, match=r"not <class .*Cart'>; a class becomes .* miniagent\(Cart\)$"):
            system.spawn(Cart)
        with pytest.raises(AgentArgumentError, match="takes no argument 'x'"):
            system.spawn(Counter, x=1)  # type: ignore[call-overload]


def test_a_program_that_was_not_called_is_told_so() -> None:
    async def main() -> None:
        pass

    wrong: Any = main
    with pytest.raises(InvalidOptionError, match=r"run\(\) takes the coroutine of a program, not .*: run\(main\(\)\)$"):
        ActorSystem().run(wrong)
    with pytest.raises(InvalidOptionError, match=r"not 5$"):
        ActorSystem().run(5)  # type: ignore[arg-type]


async def test_what_is_piped_to_an_actor_can_be_awaited_and_becomes_a_message() -> None:
    class Piper(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            match str(message):
                case "number":
                    ctx.pipe_to_self(5, lambda _: message)  # type: ignore[arg-type]
                case "no wrap":
                    ctx.pipe_to_self(done(), None)  # type: ignore[arg-type]
                case "text":
                    ctx.pipe_to_self(done(), lambda _: "text")  # type: ignore[arg-type, return-value]
                case "callback":
                    ctx.reply_later().on_cancel(5)  # type: ignore[arg-type]

    def done() -> Promise[int]:
        return Promise(prefill_result=1)

    async with ActorSystem() as system:
        ref = system.spawn(Piper)
        with pytest.raises(InvalidOptionError, match=r"^/Piper-1: pipe_to_self\(\) takes something to await, not 5$"):
            await ref.ask(TextMessage("number"))
        with pytest.raises(InvalidOptionError, match=r"^/Piper-1: pipe_to_self\(wrap=\) must be a function, not None$"):
            await ref.ask(TextMessage("no wrap"))
        with pytest.raises(InvalidOptionError, match=r"^/Piper-1: on_cancel\(callback=\) must be a function or None"):
            await ref.ask(TextMessage("callback"))
        handled = system.tree("/Piper-1").handled
        with structlog.testing.capture_logs() as logs:
            await ref.ask(TextMessage("text"))
            await turns()
        assert [entry["event"] for entry in logs] == ["actor.pipe_wrap_failed"]
        assert "/Piper-1: an actor takes Messages, not str" in logs[0]["stack"]
        assert system.tree("/Piper-1").handled == handled + 1


async def test_a_supervisor_knows_no_child_of_a_number() -> None:
    async with ActorSystem() as system:
        supervisor = await system.supervise(Supervisor("s", children=[ChildSpec("a", Counter)]))
        for call in (supervisor.restart_child, supervisor.delete_child):
            with pytest.raises(ChildNotFoundError, match=r"^/s: there is no child 5$"):
                await call(5)  # type: ignore[arg-type]

"""`Observers`: the observers of a system, each told what it has subscribed to."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from miniagents.actors.observing.events import EventKind, Events
from miniagents.actors.observing.observer import ObservedCall, Observer
from miniagents.errors import InvalidOptionError
from miniagents.log import log as _log
from miniagents.promising.tracebacks import traceback_text

Hook = Callable[..., Any]
"""A method of an observer."""


class Observers:
    """The observers of a system: `system.observers`.

    Args:
        observers: Those that are attached from the start.
        events: The events of the system, which tell of an observer that has failed.

    Raises:
        InvalidOptionError: One of them is no `Observer`.

    Attributes:
        outer_trace: Returns the trace context of code outside of all actors; None if no observer has one.
        actor_ended: The hooks of the observers that override `Observer.actor_ended`.
        interaction_started: The same for `Observer.interaction_started`.
        interaction_ended: The same for `Observer.interaction_ended`.
        interaction_over: The same for `Observer.interaction_over`.

    Example:
        >>> from miniagents import ActorSystem, Observer
        >>> system, observer = ActorSystem(), Observer()
        >>> system.observers.attach(observer)
        >>> observer in system.observers
        True
        >>> system.observers.detach(observer)
    """

    __slots__ = (
        "_answer_awaited",
        "_attached",
        "_events",
        "_model_called",
        "_tool_called",
        "actor_ended",
        "interaction_ended",
        "interaction_over",
        "interaction_started",
        "outer_trace",
    )

    def __init__(self, observers: Iterable[Observer], events: Events) -> None:
        self._events = events
        self._attached: tuple[Observer, ...] = tuple(observers)
        for observer in self._attached:
            _check_observer("observers=", observer)
        self._subscribe()

    def __iter__(self) -> Iterator[Observer]:
        return iter(self._attached)

    def attach(self, observer: Observer) -> None:
        """Tell an observer what happens from now on. Attaching it again changes nothing.

        Args:
            observer: The observer. It may be told the end of something whose beginning it has not seen.

        Raises:
            InvalidOptionError: It is no `Observer`.
        """
        _check_observer("attach(observer=)", observer)
        if observer not in self._attached:
            self._attached = (*self._attached, observer)
            self._subscribe()

    def detach(self, observer: Observer) -> None:
        """Tell an observer nothing more. Detaching one that is not attached changes nothing.

        Model requests and tool calls that it already follows still report their end.

        Args:
            observer: The observer.
        """
        self._attached = tuple(attached for attached in self._attached if attached is not observer)
        self._subscribe()

    def model_called(self, interaction: Any, provider: Any, request: Any) -> ObservedCall | None:
        """Tell the observers of a request to a model; see `Observer.model_called`."""
        return self._followed(self._model_called, interaction, provider, request)

    def tool_called(self, interaction: Any, tool: Any, call: Any) -> ObservedCall | None:
        """Tell the observers of a call of a tool; see `Observer.tool_called`."""
        return self._followed(self._tool_called, interaction, tool, call)

    def answer_awaited(self, interaction: Any, wait: Any) -> ObservedCall | None:
        """Tell the observers of a wait for an answer from outside; see `Observer.answer_awaited`."""
        return self._followed(self._answer_awaited, interaction, wait)

    def started(self, system: Any) -> None:
        """Tell the observers that the system has started; see `Observer.system_started`."""
        for hook in self._hooks("system_started"):
            try:
                hook(system)
            except Exception as error:
                self.failed(hook, error)

    def failed(self, hook: Hook, error: Exception) -> None:
        """Log, and tell those who follow the events, that a hook of an observer has raised.

        Args:
            hook: The hook.
            error: The exception.
        """
        name = hook.__qualname__
        _log.error("observer.failed", hook=name, error=repr(error), stack=traceback_text(error))
        self._events.publish(EventKind.OBSERVER_FAILED, "/", error=error, detail=name, logged=True)

    def _subscribe(self) -> None:
        self.outer_trace = self._first_of(self._hooks("outer_trace"))
        # The caller of these hooks iterates over them itself: a method here would be one more call for each message.
        self.actor_ended = self._hooks("actor_ended")
        self.interaction_started = self._hooks("interaction_started")
        self.interaction_ended = self._hooks("interaction_ended")
        self.interaction_over = self._hooks("interaction_over")
        self._model_called = self._hooks("model_called")
        self._tool_called = self._hooks("tool_called")
        self._answer_awaited = self._hooks("answer_awaited")

    def _hooks(self, name: str) -> tuple[Hook, ...]:
        return tuple(
            getattr(observer, name)
            for observer in self._attached
            if getattr(type(observer), name) is not getattr(Observer, name)
        )

    def _followed(self, hooks: tuple[Hook, ...], *arguments: Any) -> ObservedCall | None:
        followers: list[ObservedCall] = []
        for hook in hooks:
            try:
                follower = hook(*arguments)
            except Exception as error:
                self.failed(hook, error)
            else:
                if follower is not None:
                    followers.append(follower)
        return _FollowedCall(self, followers) if followers else None

    def _first_of(self, hooks: tuple[Hook, ...]) -> Callable[[], object] | None:
        def outer_trace() -> object:
            for hook in hooks:
                try:
                    trace = hook()
                except Exception as error:
                    self.failed(hook, error)
                else:
                    if trace is not None:
                        return trace
            return None

        return outer_trace if hooks else None


class _FollowedCall:
    """A call that several observers follow, or one."""

    def __init__(self, observers: Observers, followers: list[ObservedCall]) -> None:
        self._observers = observers
        self._followers = followers

    def piece(self, piece: object) -> None:
        for follower in self._followers:
            try:
                follower.piece(piece)
            except Exception as error:
                self._observers.failed(follower.piece, error)

    def ended(self, answer: Any, error: BaseException | None) -> None:
        for follower in self._followers:
            try:
                follower.ended(answer, error)
            except Exception as failure:
                self._observers.failed(follower.ended, failure)


def _check_observer(argument: str, observer: object) -> None:
    if not isinstance(observer, Observer):
        raise InvalidOptionError(f"{argument} takes instances of Observer, not {observer!r}")

"""The life of a cell, as a table: the states, the events, and for each pair of them the next state and the actions.

The table decides and does nothing: it has no asyncio and no clock. The cells of `miniagents.actors` carry out the
actions and have no flags beside the table. Each waiter is answered by the transition that ends its wait, so that no
path can forget one. Every way out of a start reports it. What `stop()` has returned settles when the wish is granted
or void. A suspension is reported when there is no instance any more. All others are answered when the life is over.

The vocabulary is that of Erlang/OTP's processes and supervisors. When an OTP process ends, its supervisor starts
another process. Here the cell stays, with its mailbox, in the phase DOWN until it is started again.

The module is longer than most, since the table is one thing: its rules are read together.
"""

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any


class Phase(enum.Enum):
    """The phases of a life."""

    NEW = "new"
    """The cell was made, and no start was asked for."""
    DUE = "due"
    """A start was asked for, and its first step is to come. There is no instance."""
    STARTING = "starting"
    """`__init__`, `on_start` or `on_restart` runs."""
    CLEARING = "clearing"
    """The start failed, and what it has left is being released."""
    UP = "up"
    """The instance handles messages or waits for messages."""
    DOOMED = "doomed"
    """As UP, but the instance crashes as soon as its handler returns: its children needed too many restarts."""
    ENDING = "ending"
    """The instance is being ended: its children first, and after `on_stop` its tasks and timers."""
    CLEANUP = "cleanup"
    """`on_stop` runs."""
    EXITED = "exited"
    """The instance has ended. The verdict on the exit follows in the same step."""
    UNSTARTED = "unstarted"
    """A restart failed. The verdict on the exit follows in the same step."""
    DOWN = "down"
    """There is no instance. The mailbox stays, since a start is to come."""
    OVER = "over"
    """The life has ended for good."""


class Wish(enum.IntEnum):
    """The strongest wish for an end that was asked for and has not been granted yet."""

    NONE = 0
    OWN_STOP = 1
    """End after the current message; the actor itself asked. A crash makes the wish void."""
    DRAIN = 2
    """End when the mailbox is empty. After a crash the actor is restarted and goes on draining."""
    STOP = 3
    """End after the current message. The restart type decides about a restart."""
    SUSPEND = 4
    """End the instance. The supervisor starts another one, together with its siblings."""
    TERMINATE = 5
    """End for good, whatever the restart type says."""


class Event(enum.IntEnum):
    """The events of a life."""

    # Events from others. START comes only where no start is under way, the others in every state.
    START = 0
    CANCEL_START = 1
    """The supervisor does not wait for the start any longer: cut it off."""
    STOP_OWN = 2
    STOP_DRAIN = 3
    STOP = 4
    KILL = 5
    SUSPEND = 6
    SUSPEND_NOW = 7
    """As SUSPEND, without a grace."""
    TERMINATE = 8
    TERMINATE_NOW = 9
    FAIL = 10
    """The children needed too many restarts, so that the actor crashes."""
    GRACE_OVER = 11
    ABANDON = 12
    """The system ends, and does not wait any longer for code that swallows its cancellation."""
    # Events from the code of the cell, each in the states where that code runs.
    BEGUN = 13
    """A start that is due takes its first step."""
    STARTED = 14
    START_FAILED = 15
    IGNORED = 16
    """`on_start` has raised `IgnoreStart`: the actor is not needed now."""
    CRASHED = 17
    LET_GO = 18
    """A handler has returned, and there are more messages in the mailbox."""
    DRAINED = 19
    """A handler has returned, and the mailbox is empty."""
    CLEANING = 20
    """The children have ended, and `on_stop` is called."""
    CLEANED = 21
    GONE = 22
    """Nothing is left of the instance."""
    RESTARTS = 23
    """The verdict on an exit: the actor will be started again."""
    ENDS = 24
    """The verdict on an exit: the actor will not be started again."""


class Action(enum.StrEnum):
    """The actions of a step, done in order. The value is the name of the method of the cell that does it.

    GRACE, RESTART, RETRY_START and JUDGE may lead to the next event at once, and so come last.
    """

    RUN = "take_notice"
    """Let the code of the cell look at the new state as soon as the loop turns."""
    INTERRUPT = "interrupt"
    """Cancel the running code of the user. GRACE_OVER comes in a second, in case the code swallows the cancel."""
    GRACE = "arm_grace"
    """Let GRACE_OVER come after the `shutdown` seconds, unless a grace runs already."""
    KILL_GRACE = "arm_kill_grace"
    """Let GRACE_OVER come after the one second that `on_stop` has after a kill."""
    NO_GRACE = "cancel_grace"
    """Cancel the grace: no GRACE_OVER comes any more."""
    NO_RESTART = "cancel_restart"
    """Cancel the restart that is due."""
    REPORT_STARTED = "report_started"
    REPORT_UNSTARTED = "report_unstarted"
    REPORT_STOPPED = "report_stopped"
    """Settle the promises that `stop()` and `kill()` have returned."""
    REPORT_SUSPENDED = "report_suspended"
    SETTLE = "settle"
    """Settle everything that waits for the cell, which has ended for good."""
    RESTART = "restart"
    """Have the cell started again, by its supervisor or by its own supervision."""
    RETRY_START = "retry_start"
    """As RESTART, after a restart that failed, of which the report has told the supervisor."""
    JUDGE = "judge"
    """Ask for the verdict on the exit. RESTARTS or ENDS follows."""


# As names of the module, for hot paths: on Python 3.11 an attribute of an enum costs as much as a call (benchmarks
# `crash`, `stop`).
NEW, DUE, STARTING, CLEARING, UP, DOOMED, ENDING, CLEANUP, EXITED, UNSTARTED, DOWN, _ = Phase
NO_WISH = Wish.NONE


@dataclass(frozen=True, slots=True)
class Step:
    """The consequence of an event.

    Attributes:
        life: The next state.
        actions: The actions, in order.
        methods: The methods that do them, for each class of cells that has taken the step: a method is looked up once
            (benchmarks `crash`, `stop`).
    """

    life: "Life"
    actions: tuple[Action, ...]
    methods: dict[type, tuple[Callable[[Any], None], ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def methods_of(self, cells: type) -> tuple[Callable[[Any], None], ...]:
        """Return the methods of a class of cells that do the actions."""
        methods = self.methods[cells] = tuple(getattr(cells, action.value) for action in self.actions)
        return methods


class ImpossibleEventError(AssertionError):
    """An event that cannot come in this state: a bug of the runtime."""


class Life:
    """One state of the table. Equal states are one object.

    Attributes:
        phase: The phase of the life.
        wish: The wish that is still to be granted.
        brutal: The end must not wait: running code is cancelled, and `on_stop` gets one second.
        again: The cell has been started before, so that a start is a restart.
        steps: The steps that were looked up before, so that a cell need not call `after` for each (benchmark `crash`).
    """

    __slots__ = ("again", "brutal", "phase", "steps", "wish")

    def __init__(self, phase: Phase, wish: Wish, brutal: bool, again: bool) -> None:
        self.phase = phase
        self.wish = wish
        self.brutal = brutal
        self.again = again
        self.steps: list[Step | None] = [None] * len(Event)

    def after(self, event: Event) -> Step:
        """Return the consequence of an event.

        Raises:
            ImpossibleEventError: The event cannot come in this state.
        """
        step = self.steps[event]
        if step is None:
            step = self.steps[event] = _RULES[event](self)
        return step

    def __repr__(self) -> str:
        words = [self.phase.name]
        if self.wish:
            words.append(self.wish.name)
        if self.brutal:
            words.append("brutal")
        if self.again:
            words.append("again")
        return f"<Life {' '.join(words)}>"


_lives: dict[tuple[Phase, Wish, bool, bool], Life] = {}


def life(phase: Phase, wish: Wish = Wish.NONE, *, brutal: bool = False, again: bool = False) -> Life:
    """Return the state with these values."""
    key = (phase, wish, brutal, again)
    state = _lives.get(key)
    if state is None:
        state = _lives[key] = Life(*key)
    return state


BORN = life(Phase.NEW)
OVER = life(Phase.OVER)

EXTERNAL = tuple(event for event in Event if Event.START < event <= Event.ABANDON)
"""The events that are possible in every state, except between an exit and its verdict."""

_ENDS = (Phase.CLEARING, Phase.ENDING, Phase.CLEANUP)


def reachable() -> Iterator[tuple[Life, Event, Step]]:
    """Iterate over the whole table: each state that can be reached from BORN with each event that can come in it."""
    seen = {BORN}
    stack = [BORN]
    while stack:
        state = stack.pop()
        for event in Event:
            try:
                step = state.after(event)
            except ImpossibleEventError:
                continue
            yield state, event, step
            if step.life not in seen:
                seen.add(step.life)
                stack.append(step.life)


# The rules, one for each event


def _to(
    state: Life,
    *actions: Action,
    phase: Phase | None = None,
    wish: Wish | None = None,
    brutal: bool | None = None,
    again: bool | None = None,
) -> Step:
    """Return the step to the state that differs from `state` in the given values."""
    return Step(
        life(
            phase if phase is not None else state.phase,
            wish if wish is not None else state.wish,
            brutal=brutal if brutal is not None else state.brutal,
            again=again if again is not None else state.again,
        ),
        actions,
    )


def _over(state: Life, *actions: Action) -> Step:
    return Step(OVER, (*_no_grace(state), *actions, *_reports(state), Action.SETTLE))


def _no_grace(state: Life) -> tuple[Action, ...]:
    """Return the action that cancels the grace, if there can be one."""
    if state.phase in (Phase.EXITED, Phase.UNSTARTED):
        return ()  # the exit has cancelled the grace
    return (Action.NO_GRACE,) if state.brutal or state.wish >= Wish.DRAIN else ()


def _no_insisting(state: Life) -> tuple[Action, ...]:
    """Return the action that cancels the second after an interrupt which no wish has caused."""
    return () if _no_grace(state) else (Action.NO_GRACE,)


def _reports(state: Life) -> tuple[Action, ...]:
    """Return the reports to those who wait for something that will not come, since the life leaves `state`."""
    unstarted = state.phase in (Phase.DUE, Phase.CLEARING, Phase.UNSTARTED)
    reports = [Action.REPORT_UNSTARTED] if unstarted else []
    if state.wish is not Wish.NONE:
        reports.append(Action.REPORT_STOPPED)
    if state.wish >= Wish.SUSPEND:
        reports.append(Action.REPORT_SUSPENDED)
    return tuple(reports)


def _down(state: Life, *actions: Action) -> Step:
    """Return the step to a state without instance, with all wishes granted and a start to come."""
    return Step(life(Phase.DOWN, again=True), (*_no_grace(state), *_reports(state), *actions))


def _impossible(state: Life, event: Event) -> ImpossibleEventError:
    return ImpossibleEventError(f"{event.name} cannot come in {state!r}")


def _check_judged(state: Life, event: Event) -> None:
    """Raise if the state is between an exit and its verdict, which are one step of the cell."""
    judged = state.phase is Phase.DOWN and state.wish is Wish.STOP
    if judged or state.phase in (Phase.EXITED, Phase.UNSTARTED):
        raise _impossible(state, event)


def _start(state: Life) -> Step:
    _check_judged(state, Event.START)
    match state.phase:
        case Phase.NEW:
            return _to(state, Action.RUN, phase=Phase.DUE)
        case Phase.DOWN:
            return _to(state, Action.RUN, phase=Phase.DUE)
        case Phase.OVER:
            return _to(state, Action.REPORT_UNSTARTED)
    raise _impossible(state, Event.START)


def _cancel_start(state: Life) -> Step:
    _check_judged(state, Event.CANCEL_START)
    match state.phase:
        case Phase.DUE if state.again:
            return _to(state, Action.REPORT_UNSTARTED, Action.RETRY_START, phase=Phase.DOWN)
        case Phase.NEW | Phase.DUE:
            return _over(state)
        case Phase.STARTING:
            return _to(state, Action.RUN, Action.INTERRUPT, brutal=True)
    return _to(state)  # the start has succeeded or failed in between


def _ask(event: Event, wish: Wish, *, brutal: bool = False) -> Callable[[Life], Step]:
    """Return the rule of an event that asks for an end."""

    def rule(state: Life) -> Step:
        _check_judged(state, event)
        asked = max(state.wish, wish)
        rash = brutal or state.brutal
        news = asked is not state.wish or rash is not state.brutal
        if wish is Wish.OWN_STOP and state.phase in (*_ENDS, Phase.DOWN):
            # Code of an instance that ends anyway, or has ended.
            return _to(state, *((Action.REPORT_STOPPED,) if state.wish is Wish.NONE else ()))
        match state.phase:
            case Phase.OVER:
                answers = (Action.REPORT_SUSPENDED,) if wish is Wish.SUSPEND else (Action.REPORT_STOPPED,)
                return _to(state, *answers)
            case Phase.NEW | Phase.DUE if wish is Wish.DRAIN:
                return _to(state, wish=asked)  # what waits before the start is handled, too
            case Phase.NEW | Phase.DUE if wish is Wish.SUSPEND:
                return _down(_to(state, wish=asked).life)
            case Phase.DUE if wish <= Wish.STOP and state.again:
                return _to(state, Action.JUDGE, phase=Phase.UNSTARTED, wish=asked)
            case Phase.NEW | Phase.DUE:
                return _over(_to(state, wish=asked).life)
            case Phase.DOWN if wish is Wish.DRAIN:
                return _to(state, wish=asked)
            case Phase.DOWN if wish is Wish.STOP:
                return _to(state, Action.JUDGE, wish=asked)
            case Phase.DOWN if wish is Wish.SUSPEND:
                return _down(_to(state, wish=asked).life, Action.NO_RESTART)
            case Phase.DOWN:
                return _over(_to(state, wish=asked).life, Action.NO_RESTART)
        if not news:
            return _to(state)
        if wish is Wish.OWN_STOP:
            return _to(state, Action.RUN, wish=asked)
        if rash:
            hurry = (Action.KILL_GRACE,) if state.phase is Phase.CLEANUP else (Action.INTERRUPT,)
            return _to(state, Action.RUN, *hurry, wish=asked, brutal=True)
        return _to(state, Action.RUN, Action.GRACE, wish=asked)

    return rule


def _fail(state: Life) -> Step:
    _check_judged(state, Event.FAIL)
    match state.phase:
        case Phase.UP:
            return _to(state, Action.RUN, Action.INTERRUPT, phase=Phase.DOOMED)
        case Phase.STARTING:
            return _to(state, Action.INTERRUPT)
    return _to(state)  # there is no instance, or it ends already


def _grace_over(state: Life) -> Step:
    _check_judged(state, Event.GRACE_OVER)
    match state.phase:
        case Phase.STARTING | Phase.UP | Phase.DOOMED if state.wish >= Wish.DRAIN or state.brutal:
            wish = Wish.STOP if state.wish is Wish.DRAIN else state.wish
            return _to(state, Action.RUN, Action.INTERRUPT, wish=wish, brutal=True)
        case Phase.STARTING | Phase.DOOMED:
            return _to(state, Action.INTERRUPT)
        case Phase.ENDING | Phase.CLEARING if _no_grace(state):
            return _to(state, Action.INTERRUPT, brutal=True)
        case Phase.CLEANUP if _no_grace(state):
            return _to(state, Action.INTERRUPT)
    return _to(state)  # it fired in the step in which it was called off


def _abandon(state: Life) -> Step:
    _check_judged(state, Event.ABANDON)
    match state.phase:
        case Phase.STARTING:
            return _to(state, *_no_grace(state), phase=Phase.CLEARING, wish=Wish.TERMINATE)
        case Phase.UP | Phase.DOOMED | Phase.CLEANUP:
            return _to(state, *_no_grace(state), phase=Phase.ENDING, wish=Wish.TERMINATE)
    return _to(state)  # none of its code runs


def _begun(state: Life) -> Step:
    _check_judged(state, Event.BEGUN)
    match state.phase:
        case Phase.DUE:
            # A stop that was asked for before has waited for this; from here on it must not wait for ever.
            return _to(state, *((Action.GRACE,) if state.wish is Wish.DRAIN else ()), phase=Phase.STARTING)
        case Phase.DOWN | Phase.OVER:
            return _to(state)  # the start that was due is off
    raise _impossible(state, Event.BEGUN)


def _started(state: Life) -> Step:
    if state.phase is not Phase.STARTING:
        raise _impossible(state, Event.STARTED)
    if state.wish >= Wish.STOP:
        return _to(state, Action.REPORT_STARTED, phase=Phase.UP, again=True)
    # Whoever wanted to cut the start off came too late; a grace for draining begins anew.
    grace = (Action.GRACE,) if state.wish is Wish.DRAIN else ()
    actions = (*_no_grace(state), Action.REPORT_STARTED, *grace)
    return _to(state, *actions, phase=Phase.UP, brutal=False, again=True)


def _start_failed(state: Life) -> Step:
    if state.phase is not Phase.STARTING:
        raise _impossible(state, Event.START_FAILED)
    return _to(state, *_no_insisting(state), phase=Phase.CLEARING)


def _ignored(state: Life) -> Step:
    if state.phase is not Phase.STARTING:
        raise _impossible(state, Event.IGNORED)
    return _to(state, *_no_insisting(state), phase=Phase.CLEARING, wish=Wish.TERMINATE)


def _crashed(state: Life) -> Step:
    match state.phase:
        case Phase.STARTING:  # in `on_restart`: a crash of the fresh instance
            reports: tuple[Action, ...] = (*_no_insisting(state), Action.REPORT_STARTED)
        case Phase.DOOMED:
            reports = _no_insisting(state)
        case Phase.UP:
            reports = ()
        case _:
            raise _impossible(state, Event.CRASHED)
    if state.wish is Wish.OWN_STOP:
        return _to(state, *reports, Action.REPORT_STOPPED, phase=Phase.ENDING, wish=Wish.NONE, again=True)
    return _to(state, *reports, phase=Phase.ENDING, again=True)


def _let_go(state: Life) -> Step:
    match state.phase:
        case Phase.UP if state.wish in (Wish.NONE, Wish.DRAIN):
            return _to(state)
        case Phase.UP:
            return _to(state, phase=Phase.ENDING)
    raise _impossible(state, Event.LET_GO)


def _drained(state: Life) -> Step:
    match state.phase:
        case Phase.UP if state.wish is Wish.NONE:
            return _to(state)
        case Phase.UP if state.wish is Wish.DRAIN:
            return _to(state, phase=Phase.ENDING, wish=Wish.STOP)
        case Phase.UP:
            return _to(state, phase=Phase.ENDING)
    raise _impossible(state, Event.DRAINED)


def _cleaning(state: Life) -> Step:
    if state.phase is not Phase.ENDING:
        raise _impossible(state, Event.CLEANING)
    return _to(state, *((Action.KILL_GRACE,) if state.brutal else ()), phase=Phase.CLEANUP)


def _cleaned(state: Life) -> Step:
    if state.phase is not Phase.CLEANUP:
        raise _impossible(state, Event.CLEANED)
    return _to(state, phase=Phase.ENDING)


def _gone(state: Life) -> Step:
    match state.phase:
        case Phase.ENDING | Phase.CLEARING if state.wish is Wish.TERMINATE:
            return _over(state)
        case Phase.CLEARING if not state.again:
            return _over(state)
        case Phase.ENDING | Phase.CLEARING if state.wish is Wish.SUSPEND:
            return _down(state)
        case Phase.ENDING:
            return _to(state, *_no_grace(state), Action.JUDGE, phase=Phase.EXITED, brutal=False)
        case Phase.CLEARING:
            return _to(state, *_no_grace(state), Action.JUDGE, phase=Phase.UNSTARTED, brutal=False)
    raise _impossible(state, Event.GONE)


def _restarts(state: Life) -> Step:
    match state.phase:
        case Phase.EXITED if state.wish is Wish.DRAIN:
            return _to(state, Action.RESTART, phase=Phase.DOWN)
        case Phase.EXITED:
            return _down(state, Action.RESTART)
        case Phase.UNSTARTED if state.wish is Wish.DRAIN:
            return _to(state, Action.REPORT_UNSTARTED, Action.RETRY_START, phase=Phase.DOWN)
        case Phase.UNSTARTED:
            return _down(state, Action.RETRY_START)
        case Phase.DOWN if state.wish is Wish.STOP:
            return _to(state, Action.REPORT_STOPPED, wish=Wish.NONE)
    raise _impossible(state, Event.RESTARTS)


def _ends(state: Life) -> Step:
    if state.phase in (Phase.EXITED, Phase.UNSTARTED):
        return _over(state)
    if state.phase is Phase.DOWN and state.wish is Wish.STOP:
        return _over(state, Action.NO_RESTART)
    raise _impossible(state, Event.ENDS)


_RULES: tuple[Callable[[Life], Step], ...] = (
    _start,
    _cancel_start,
    _ask(Event.STOP_OWN, Wish.OWN_STOP),
    _ask(Event.STOP_DRAIN, Wish.DRAIN),
    _ask(Event.STOP, Wish.STOP),
    _ask(Event.KILL, Wish.STOP, brutal=True),
    _ask(Event.SUSPEND, Wish.SUSPEND),
    _ask(Event.SUSPEND_NOW, Wish.SUSPEND, brutal=True),
    _ask(Event.TERMINATE, Wish.TERMINATE),
    _ask(Event.TERMINATE_NOW, Wish.TERMINATE, brutal=True),
    _fail,
    _grace_over,
    _abandon,
    _begun,
    _started,
    _start_failed,
    _ignored,
    _crashed,
    _let_go,
    _drained,
    _cleaning,
    _cleaned,
    _gone,
    _restarts,
    _ends,
)
"""In the order of `Event`."""

"""The life of a cell, as a table: its states, what can happen, and for each pair the next state and what is to be done.

The table decides and does nothing: no asyncio, no clock. The cells of `miniagents.actors` carry it out, and have no
flags of their own beside it. Each waiter is answered by the transition that ends its wait, so that no path can forget
one: a start is reported by every way out of it; the exit that `stop()` promised when the wish is granted or void; a
suspension when there is no instance any more; everything else when the life is over.

The vocabulary is that of Erlang/OTP's processes and supervisors. An OTP process that ends is gone, and its supervisor
starts another one; here the cell stays, with its mailbox, in the phase DOWN until it is started again.
"""

import enum
from collections.abc import Callable, Iterator
from typing import NamedTuple


class Phase(enum.Enum):
    """Where a life is."""

    NEW = "new"
    """Made, and not asked to start."""
    DUE = "due"
    """A start was asked for; its first step is to come. There is no instance."""
    STARTING = "starting"
    """`__init__`, `on_start` or `on_restart` runs."""
    CLEARING = "clearing"
    """The start failed; what it has left is being released."""
    UP = "up"
    """The instance handles messages, or waits for some."""
    DOOMED = "doomed"
    """As UP, but the instance crashes as soon as its code lets go: the supervision of its children is used up."""
    ENDING = "ending"
    """The instance is being ended: its children, then, after `on_stop`, its tasks and timers."""
    CLEANUP = "cleanup"
    """`on_stop` runs."""
    EXITED = "exited"
    """The instance is gone, and the exit is to be judged, in this same step."""
    UNSTARTED = "unstarted"
    """A restart failed, and the exit is to be judged, in this same step."""
    DOWN = "down"
    """There is no instance. The mailbox is kept, since a start is to come."""
    OVER = "over"
    """Ended for good."""


class Wish(enum.IntEnum):
    """What was asked of it from outside, the strongest that has not been granted yet."""

    NONE = 0
    OWN_STOP = 1
    """The actor itself wants to end after the message in hand; a crash makes that void."""
    DRAIN = 2
    """End when the mailbox is empty; a crash meanwhile restarts it, and it goes on draining."""
    STOP = 3
    """End after the message in hand; the restart type judges the exit."""
    SUSPEND = 4
    """End the instance; the supervisor starts another one, with its siblings."""
    TERMINATE = 5
    """End for good, whatever the restart type says."""


class Event(enum.IntEnum):
    """What happens to it."""

    # From others. START only where none is under way; the others in every state.
    START = 0
    CANCEL_START = 1
    """The supervisor must go on: a start that is under way is cut off."""
    STOP_OWN = 2
    STOP_DRAIN = 3
    STOP = 4
    KILL = 5
    SUSPEND = 6
    SUSPEND_NOW = 7
    """Without a grace."""
    TERMINATE = 8
    TERMINATE_NOW = 9
    FAIL = 10
    """The supervision of its children is used up, so that it crashes itself."""
    GRACE_OVER = 11
    ABANDON = 12
    """The system ends, and code that has swallowed its cancellation is not waited for any more."""
    # From its own code, each in the states where that code runs.
    BEGUN = 13
    """The first step of a start that is due."""
    STARTED = 14
    START_FAILED = 15
    IGNORED = 16
    """`on_start` says that it is not needed now."""
    CRASHED = 17
    LET_GO = 18
    """Between two messages, with more in the mailbox."""
    DRAINED = 19
    """Between two messages, with none in the mailbox."""
    CLEANING = 20
    """The children have ended; `on_stop` is called."""
    CLEANED = 21
    GONE = 22
    """Nothing of the instance is left."""
    RESTARTS = 23
    """The verdict on an exit: it will be started again."""
    ENDS = 24
    """The verdict on an exit: it will not."""


class Action(enum.StrEnum):
    """What is to be done, in this order; the value is the name of the cell's method that does it.

    GRACE, RESTART, RETRY_START and JUDGE may lead to the next event at once, and so come last.
    """

    RUN = "take_notice"
    """See to it that its code takes notice, as soon as the loop turns."""
    INTERRUPT = "interrupt"
    """Cancel the code of the user that runs, and let GRACE_OVER come in a second, in case that is swallowed."""
    GRACE = "arm_grace"
    """Let GRACE_OVER come when its `shutdown` seconds are over, if no grace runs already."""
    KILL_GRACE = "arm_kill_grace"
    """Let GRACE_OVER come in the second that `on_stop` has after a kill."""
    NO_GRACE = "cancel_grace"
    """No GRACE_OVER any more."""
    NO_RESTART = "cancel_restart"
    """The restart that is due is off."""
    REPORT_STARTED = "report_started"
    REPORT_UNSTARTED = "report_unstarted"
    REPORT_STOPPED = "report_stopped"
    """Settle what `stop()` and `kill()` returned."""
    REPORT_SUSPENDED = "report_suspended"
    SETTLE = "settle"
    """Settle everything that hangs on it: it has ended for good."""
    RESTART = "restart"
    """Have it started again: by its supervisor, or by its own supervision."""
    RETRY_START = "retry_start"
    """The same after a restart that failed, of which the supervisor was told by the report."""
    JUDGE = "judge"
    """Ask for the verdict on the exit: RESTARTS or ENDS follows."""


class Step(NamedTuple):
    """What an event leads to."""

    life: "Life"
    actions: tuple[Action, ...]


class ImpossibleEventError(AssertionError):
    """An event came that cannot come in this state: a fault of the runtime."""


class Life:
    """One state of the table; equal states are one object.

    `steps` has the steps that were looked up before, so that a cell need not call `after` for each (benchmark `crash`).

    Attributes:
        phase: Where the life is.
        wish: What was asked of it and is still to be granted.
        brutal: Whether what is asked must not wait: its code is cancelled, and `on_stop` gets one second.
        again: Whether it has been started before, so that a start is a restart.
    """

    __slots__ = ("again", "brutal", "phase", "steps", "wish")

    def __init__(self, phase: Phase, wish: Wish, brutal: bool, again: bool) -> None:
        self.phase = phase
        self.wish = wish
        self.brutal = brutal
        self.again = again
        self.steps: list[Step | None] = [None] * len(Event)

    def after(self, event: Event) -> Step:
        """What `event` leads to.

        Raises:
            ImpossibleEventError: It cannot come in this state.
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
    """The state with these values."""
    key = (phase, wish, brutal, again)
    found = _lives.get(key)
    if found is None:
        found = _lives[key] = Life(*key)
    return found


BORN = life(Phase.NEW)
OVER = life(Phase.OVER)

EXTERNAL = tuple(event for event in Event if Event.START < event <= Event.ABANDON)
"""The events that are possible in every state, save between an exit and its verdict."""

_ENDS = (Phase.CLEARING, Phase.ENDING, Phase.CLEANUP)


def reachable() -> Iterator[tuple[Life, Event, Step]]:
    """The whole table: every event that can come in every state that can be reached from BORN."""
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
    """The step to a state that differs from `state` in what is given."""
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
    """Call a grace off, where there can be one."""
    return (Action.NO_GRACE,) if state.brutal or state.wish >= Wish.DRAIN else ()


def _no_insisting(state: Life) -> tuple[Action, ...]:
    """Code has ended that was perhaps interrupted because of a failure, and not because of a wish."""
    return () if _no_grace(state) else (Action.NO_GRACE,)


def _reports(state: Life) -> tuple[Action, ...]:
    """Who waits for what `state` is on the way to, and must hear that it is not to come."""
    unstarted = state.phase in (Phase.DUE, Phase.CLEARING, Phase.UNSTARTED)
    reports = [Action.REPORT_UNSTARTED] if unstarted else []
    if state.wish is not Wish.NONE:
        reports.append(Action.REPORT_STOPPED)
    if state.wish >= Wish.SUSPEND:
        reports.append(Action.REPORT_SUSPENDED)
    return tuple(reports)


def _down(state: Life, *actions: Action) -> Step:
    """No instance, all wishes granted, and a start to come."""
    return Step(life(Phase.DOWN, again=True), (*_no_grace(state), *_reports(state), *actions))


def _impossible(state: Life, event: Event) -> ImpossibleEventError:
    return ImpossibleEventError(f"{event.name} cannot come in {state!r}")


def _check_judged(state: Life, event: Event) -> None:
    """Nothing comes between an exit and its verdict: they are one step of the cell."""
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
    """The rule of what asks for an end from outside."""

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
    if state.phase in (Phase.EXITED, Phase.UNSTARTED) or (state.phase is Phase.DOWN and state.wish is Wish.STOP):
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

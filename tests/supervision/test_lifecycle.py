"""The table of a life, walked as a whole: what can happen, who is answered, and that every life can end.

The tests say "fair" of an actor whose code comes to an end: each hook returns, raises or is cancelled, once, and a
mailbox that is drained is empty some day.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from miniagents.actors.cells.living_cell import LivingCell
from miniagents.supervision.lifecycle import (
    BORN,
    EXTERNAL,
    OVER,
    Action,
    Event,
    ImpossibleEventError,
    Life,
    Phase,
    Step,
    Wish,
    life,
    reachable,
)

TABLE = list(reachable())
STATES = {state for state, _, _ in TABLE}
STEPS = {(state, event): step for state, event, step in TABLE}

OWN = tuple(event for event in Event if Event.BEGUN <= event <= Event.GONE)
VERDICTS = (Event.RESTARTS, Event.ENDS)
STOPS = (Event.STOP_OWN, Event.STOP_DRAIN, Event.STOP, Event.KILL)
SUSPENDS = (Event.SUSPEND, Event.SUSPEND_NOW)
TERMINATES = (Event.TERMINATE, Event.TERMINATE_NOW)

HAS_CODE = (Phase.STARTING, Phase.CLEARING, Phase.UP, Phase.DOOMED, Phase.ENDING, Phase.CLEANUP)
IS_ENDING = (Phase.CLEARING, Phase.ENDING, Phase.CLEANUP)
STARTS = (Phase.DUE, Phase.STARTING, Phase.CLEARING, Phase.UNSTARTED)


def waits_for_a_verdict(state: Life) -> bool:
    return state.phase in (Phase.EXITED, Phase.UNSTARTED) or (state.phase is Phase.DOWN and state.wish is Wish.STOP)


def after(state: Life, *events: Event) -> Life:
    for event in events:
        state = state.after(event).life
    return state


UP = life(Phase.UP, again=True)
DOWN = life(Phase.DOWN, again=True)


# The table as a whole


def test_the_walk_reaches_every_phase_wish_event_and_action() -> None:
    assert {state.phase for state in STATES} == set(Phase)
    assert {state.wish for state in STATES} == set(Wish)
    assert {event for _, event, _ in TABLE} == set(Event)
    assert {action for _, _, step in TABLE for action in step.actions} == set(Action)


@pytest.mark.parametrize("action", Action)
def test_every_action_is_a_method_of_the_cell(action: Action) -> None:
    assert callable(getattr(LivingCell, action.value))


def test_whatever_comes_from_outside_can_come_in_every_state_save_before_a_verdict() -> None:
    for state in STATES:
        possible = {event for event in Event if (state, event) in STEPS}
        if waits_for_a_verdict(state):
            assert possible == set(VERDICTS), state
        else:
            assert possible >= set(EXTERNAL), state
            assert not possible & set(VERDICTS), state


def test_a_start_is_refused_exactly_while_one_is_under_way_or_has_succeeded() -> None:
    for state in STATES:
        can_start = state.phase in (Phase.NEW, Phase.DOWN, Phase.OVER) and not waits_for_a_verdict(state)
        assert ((state, Event.START) in STEPS) is can_start, state


def test_code_is_woken_for_whatever_it_has_to_look_at() -> None:
    for state, event, step in TABLE:
        is_asked = step.life.wish > state.wish or step.life.brutal > state.brutal
        is_doomed = step.life.phase is Phase.DOOMED and state.phase is Phase.UP
        is_due = step.life.phase is Phase.DUE and state.phase is not Phase.DUE
        runs = step.life.phase in (Phase.STARTING, Phase.UP, Phase.DOOMED)
        if is_due or is_doomed or (event in EXTERNAL and is_asked and runs):
            assert Action.RUN in step.actions, (state, event)


def test_code_is_cancelled_when_it_must_hurry_and_again_whenever_the_time_for_that_is_over() -> None:
    for state, event, step in TABLE:
        if event not in EXTERNAL or step.life.phase not in HAS_CODE:
            continue
        must_hurry = step.life.brutal > state.brutal or (step.life.brutal and step.life.wish > state.wish)
        if must_hurry and event is not Event.STOP_OWN and event is not Event.ABANDON:
            into = Action.KILL_GRACE if state.phase is Phase.CLEANUP else Action.INTERRUPT
            assert step.actions[-1] is into, (state, event)
        elif event is Event.GRACE_OVER and (state.brutal or state.wish >= Wish.DRAIN or state.phase is Phase.DOOMED):
            assert step.actions[-1] is Action.INTERRUPT, state


def test_a_failure_of_the_children_cancels_the_code_that_runs() -> None:
    for state, event, step in TABLE:
        if event is Event.FAIL and state.phase in (Phase.UP, Phase.STARTING):
            assert step.actions[-1] is Action.INTERRUPT, state


def test_whatever_is_asked_of_code_that_runs_gets_a_grace() -> None:
    for state, event, step in TABLE:
        if event is Event.ABANDON:
            continue  # nobody waits for its code any more
        is_asked = step.life.wish > max(state.wish, Wish.OWN_STOP) and event in EXTERNAL and not step.life.brutal
        is_draining = step.life.wish is Wish.DRAIN and step.life.phase is not state.phase
        if (is_asked and step.life.phase in HAS_CODE) or (
            is_draining and step.life.phase in (Phase.STARTING, Phase.UP)
        ):
            assert step.actions[-1] is Action.GRACE, (state, event)


def test_on_stop_has_one_second_when_there_is_no_time() -> None:
    for state, event, step in TABLE:
        if event is Event.CLEANING:
            assert step.actions == ((Action.KILL_GRACE,) if state.brutal else ()), state


def test_a_start_is_the_first_one_until_there_was_an_instance() -> None:
    for state in STATES - {OVER}:
        if state.phase is Phase.NEW:
            assert not state.again
        elif state.phase not in STARTS:
            assert state.again, state
    assert all(not step.life.again for state, _, step in TABLE if not state.again and step.life.phase in STARTS)


def test_haste_begins_when_a_grace_is_over_and_ends_with_the_instance() -> None:
    for state in STATES:
        if state.brutal:
            assert state.phase in HAS_CODE, state
            assert state.phase not in (Phase.UP, Phase.DOOMED) or state.wish >= Wish.STOP, state
        elif state.wish >= Wish.DRAIN and state.phase in HAS_CODE and state.phase is not Phase.CLEANUP:
            assert state.after(Event.GRACE_OVER).life.brutal, state


def test_an_exit_is_judged_in_its_own_step() -> None:
    for state, event, step in TABLE:
        assert (step.actions[-1:] == (Action.JUDGE,)) is waits_for_a_verdict(step.life), (state, event)


def test_what_is_down_has_a_restart_to_come_that_one_step_has_called_for() -> None:
    for state, event, step in TABLE:
        calls_for = {Action.RESTART, Action.RETRY_START} & set(step.actions)
        if step.life.phase is Phase.DOWN and state.phase is not Phase.DOWN:
            by = {
                Phase.EXITED: {Action.RESTART},
                Phase.UNSTARTED: {Action.RETRY_START},
                Phase.DUE: {Action.RETRY_START},
            }
            is_suspended = event in SUSPENDS or event is Event.GONE
            assert calls_for == (set() if is_suspended else by[state.phase]), (state, event)
        else:
            assert not calls_for
        if state.phase is Phase.DOWN and (step.life is OVER or event in SUSPENDS):
            assert Action.NO_RESTART in step.actions, (state, event)


def test_an_event_that_cannot_come_is_refused_with_the_state() -> None:
    with pytest.raises(ImpossibleEventError, match="STARTED cannot come in <Life UP again>"):
        UP.after(Event.STARTED)


def test_what_is_over_stays_over() -> None:
    for state, _, step in TABLE:
        assert state is not OVER or step.life is OVER


def test_what_may_lead_to_the_next_event_at_once_comes_last() -> None:
    ends_a_step = {
        Action.INTERRUPT,
        Action.GRACE,
        Action.KILL_GRACE,
        Action.RESTART,
        Action.RETRY_START,
        Action.JUDGE,
        Action.SETTLE,
    }
    for state, event, step in TABLE:
        assert not set(step.actions[:-1]) & ends_a_step, (state, event, step)


def test_after_run_the_step_holds_at_most_what_makes_the_code_hurry() -> None:
    hurries = {Action.INTERRUPT, Action.GRACE, Action.KILL_GRACE}
    for state, event, step in TABLE:
        if Action.RUN in step.actions:
            rest = step.actions[step.actions.index(Action.RUN) + 1 :]
            assert set(rest) <= hurries, (state, event, step)
            # A function agent goes on within RUN; what it has gone on to must not need what it has missed.
            assert step.life.phase not in (Phase.DOWN, Phase.OVER)


# Events that change nothing

Rows = Callable[[Life], bool]

NOTHING_HAPPENS: dict[Event, dict[str, Rows]] = {
    Event.CANCEL_START: {
        "the start has succeeded or failed in between": lambda s: s.phase not in (Phase.NEW, Phase.DUE, Phase.STARTING),
    },
    Event.STOP_OWN: {
        "something at least as strong was asked": lambda s: (
            s.wish >= Wish.OWN_STOP and s.phase not in (Phase.NEW, Phase.DUE, Phase.OVER)
        ),
    },
    Event.STOP_DRAIN: {
        "something at least as strong was asked": lambda s: s.wish >= Wish.DRAIN,
    },
    Event.STOP: {
        "something at least as strong was asked": lambda s: s.wish >= Wish.STOP,
    },
    Event.KILL: {
        "it is ended in a hurry already": lambda s: s.wish >= Wish.STOP and s.brutal,
    },
    Event.SUSPEND: {
        "something at least as strong was asked": lambda s: s.wish >= Wish.SUSPEND,
    },
    Event.SUSPEND_NOW: {
        "it is ended in a hurry already": lambda s: s.wish >= Wish.SUSPEND and s.brutal,
    },
    Event.TERMINATE: {
        "it was asked already": lambda s: s.wish is Wish.TERMINATE,
    },
    Event.TERMINATE_NOW: {
        "it is ended in a hurry already": lambda s: s.wish is Wish.TERMINATE and s.brutal,
    },
    Event.FAIL: {
        "there is no instance": lambda s: s.phase in (Phase.NEW, Phase.DUE, Phase.DOWN, Phase.OVER),
        "it ends already": lambda s: s.phase in IS_ENDING,
        "it crashes already": lambda s: s.phase is Phase.DOOMED,
    },
    Event.GRACE_OVER: {
        "the timer fired in the step in which it was called off": lambda s: (
            s.phase in (Phase.NEW, Phase.DUE, Phase.DOWN, Phase.OVER)
            or (s.phase in (Phase.UP, *IS_ENDING) and s.wish < Wish.DRAIN and not s.brutal)
        ),
    },
    Event.ABANDON: {
        "none of its code runs": lambda s: s.phase not in (Phase.STARTING, Phase.UP, Phase.DOOMED, Phase.CLEANUP),
    },
    Event.BEGUN: {
        "the start that was due is off": lambda s: s.phase in (Phase.DOWN, Phase.OVER),
    },
    Event.LET_GO: {
        "nothing was asked, or it drains": lambda s: s.wish in (Wish.NONE, Wish.DRAIN),
    },
    Event.DRAINED: {
        "nothing was asked": lambda s: s.wish is Wish.NONE,
    },
}
"""For each event the states in which it changes nothing and calls for nothing, by the reason."""


@pytest.mark.parametrize("event", Event)
def test_an_event_is_ignored_where_there_is_a_reason_and_nowhere_else(event: Event) -> None:
    reasons = NOTHING_HAPPENS.get(event, {})
    for state, what, step in TABLE:
        if what is event:
            why = [reason for reason, holds in reasons.items() if holds(state)]
            is_ignored = step.life is state and not step.actions
            assert len(why) == is_ignored, (state, event, why)


# Who waits


class Walk(NamedTuple):
    """A state, and what belongs to it in a cell.

    Attributes:
        life: The state.
        start: Whether somebody waits for the outcome of a start.
        stop: Whether somebody waits for what `stop()` or `kill()` returned.
        suspend: Whether a supervisor waits until there is no instance.
        armed: Whether the timer of a grace runs.
        fails: Whether its children failed during its start, which then does not succeed.
        cleaned: Whether `on_stop` has run.
    """

    life: Life = BORN
    start: bool = False
    stop: bool = False
    suspend: bool = False
    armed: bool = False
    fails: bool = False
    cleaned: bool = False


def can_come(walk: Walk, event: Event) -> bool:
    """Whether a cell gives this event, where the table takes it."""
    if (walk.life, event) not in STEPS:
        return False
    match event:
        case Event.GRACE_OVER:
            return walk.armed
        case Event.STARTED:
            return not walk.fails
        case Event.CLEANING:
            return not walk.cleaned
        case Event.START:
            return not walk.start
        case _ if walk.life is OVER:
            return event in SUSPENDS  # the others find the promise of the end settled and do not ask
    return True


def walked(walk: Walk, event: Event, step: Step) -> Iterator[Walk]:
    """What the step makes of it; a grace may be without an end, and then has no timer."""
    counts = Counter(step.actions)
    assert max(counts.values(), default=0) <= 1, (walk, event, step)
    start = walk.start or event is Event.START
    stop = walk.stop or event in STOPS
    suspend = walk.suspend or event in SUSPENDS
    reports = counts[Action.REPORT_STARTED] + counts[Action.REPORT_UNSTARTED]
    assert reports <= start, f"{walk} {event.name}: {step} reports a start that nobody waits for, or twice"
    assert counts[Action.SETTLE] == (step.life is OVER and walk.life is not OVER)
    fails = (walk.fails or event is Event.FAIL) and step.life.phase is Phase.STARTING
    cleaned = (walk.cleaned or event is Event.CLEANED) and step.life.phase is Phase.ENDING
    timers = {walk.armed and event is not Event.GRACE_OVER}
    for action in step.actions:
        if action is Action.NO_GRACE:
            timers = {False}
        elif action in (Action.GRACE, Action.INTERRUPT):
            timers = {True, *timers}
        elif action is Action.KILL_GRACE:
            timers = {True}
    for armed in timers:
        yield Walk(
            step.life,
            start and not reports,
            stop and not counts[Action.REPORT_STOPPED],
            suspend and not counts[Action.REPORT_SUSPENDED],
            armed,
            fails,
            cleaned,
        )


def walk_all() -> tuple[set[Walk], list[tuple[Walk, Event, Step]]]:
    seen, rows = {Walk()}, []
    stack = [Walk()]
    while stack:
        walk = stack.pop()
        for event in Event:
            if can_come(walk, event):
                step = STEPS[walk.life, event]
                rows.append((walk, event, step))
                for new in walked(walk, event, step):
                    if new not in seen:
                        seen.add(new)
                        stack.append(new)
    return seen, rows


WALKS, ROWS = walk_all()


def test_the_waiters_can_be_in_every_state_that_the_table_has() -> None:
    assert {walk.life for walk in WALKS} == STATES


def test_a_start_is_waited_for_exactly_while_it_is_under_way() -> None:
    for walk in WALKS:
        if walk.life.phase is not Phase.UNSTARTED:
            assert walk.start is (walk.life.phase in STARTS), walk
    assert all(walk.start for walk in WALKS if walk.life.phase is Phase.UNSTARTED)


def test_nobody_waits_for_a_stop_that_the_life_is_not_on_the_way_to() -> None:
    for walk in WALKS:
        assert walk.life.wish is not Wish.NONE or not walk.stop, walk


def test_nobody_waits_for_a_suspension_that_the_life_is_not_on_the_way_to() -> None:
    for walk in WALKS:
        assert walk.life.wish >= Wish.SUSPEND or not walk.suspend, walk


def test_a_suspension_has_ended_when_there_is_no_instance() -> None:
    for walk in WALKS:
        assert not walk.suspend or walk.life.phase in HAS_CODE, walk


def test_nobody_waits_for_what_is_over() -> None:
    over = {walk for walk in WALKS if walk.life is OVER}
    assert over == {Walk(OVER)}


def test_a_grace_is_called_off_when_what_it_is_for_is_granted() -> None:
    for walk in WALKS:
        if walk.armed:
            assert walk.life.phase in HAS_CODE, walk
            assert walk.life.phase is not Phase.UP or walk.life.wish >= Wish.DRAIN, walk


def test_whoever_asks_is_answered_now_or_waits_for_what_the_life_is_on_the_way_to() -> None:
    answers = {Action.REPORT_STOPPED, Action.REPORT_SUSPENDED, Action.REPORT_STARTED, Action.REPORT_UNSTARTED}
    asks = {**dict.fromkeys(STOPS, Wish.OWN_STOP), **dict.fromkeys(SUSPENDS, Wish.SUSPEND)}
    for state, event, step in TABLE:
        if event in asks:
            assert set(step.actions) & answers or step.life.wish >= asks[event], (state, event, step)


# Every life can end


def own_course(walk: Walk, events: tuple[Event, ...]) -> dict[Event, Step]:
    """The steps that its own code, a verdict and its grace lead to, without those that change nothing."""
    return {
        event: STEPS[walk.life, event]
        for event in events
        if can_come(walk, event) and (STEPS[walk.life, event].life is not walk.life)
    }


def endless(begins: set[Walk], events: tuple[Event, ...], is_done: Callable[[Walk, Step], bool]) -> list[Walk] | None:
    """A fair course from one of `begins` that goes in a circle, or stops, before `is_done`; None if there is none."""
    done: set[Walk] = set()
    for begin in begins:
        path: dict[Walk, Iterator[Walk]] = {}

        def nexts(walk: Walk) -> Iterator[Walk]:
            steps = own_course(walk, events)
            if not steps:
                yield walk
            for event, step in steps.items():
                if not is_done(walk, step):
                    yield from walked(walk, event, step)

        if begin in done:
            continue
        path[begin] = nexts(begin)
        while path:
            walk, following = next(reversed(path.items()))
            new = next(following, None)
            if new is None:
                done.add(walk)
                del path[walk]
            elif new in path:
                return [*path, new]
            elif new not in done:
                path[new] = nexts(new)
    return None


def test_after_terminate_every_fair_course_leads_to_the_end() -> None:
    begins = {
        new
        for walk, event, step in ROWS
        if event in TERMINATES
        for new in walked(walk, event, step)
        if new.life is not OVER
    }
    events = (*OWN, *VERDICTS, Event.GRACE_OVER)

    assert begins
    assert endless(begins, events, lambda _, step: step.life is OVER) is None


@pytest.mark.parametrize(
    ("asks", "wish", "answer"),
    [
        (Event.STOP_OWN, Wish.OWN_STOP, Action.REPORT_STOPPED),
        (Event.STOP, Wish.STOP, Action.REPORT_STOPPED),
        (Event.KILL, Wish.STOP, Action.REPORT_STOPPED),
        (Event.SUSPEND, Wish.SUSPEND, Action.REPORT_SUSPENDED),
        (Event.SUSPEND_NOW, Wish.SUSPEND, Action.REPORT_SUSPENDED),
    ],
)
def test_on_every_fair_course_a_wish_is_granted(asks: Event, wish: Wish, answer: Action) -> None:
    begins = {
        new
        for walk, event, step in ROWS
        if event is asks and answer not in step.actions
        for new in walked(walk, event, step)
        if new.life.wish is not Wish.DRAIN  # of which the next tests tell
    }
    events = (*OWN, *VERDICTS, Event.GRACE_OVER, Event.START)

    assert begins
    assert all(walk.life.wish >= wish for walk in begins)
    assert endless(begins, events, lambda _, step: answer in step.actions) is None


def test_draining_is_granted_on_every_fair_course_without_a_failure() -> None:
    begins = {walk for walk in WALKS if walk.life.wish is Wish.DRAIN and walk.life.phase is not Phase.DOOMED}
    failures = (Event.CRASHED, Event.START_FAILED, Event.RESTARTS)
    events = tuple(event for event in (*OWN, *VERDICTS, Event.GRACE_OVER, Event.START) if event not in failures)

    assert begins
    assert endless(begins, events, lambda _, step: Action.REPORT_STOPPED in step.actions) is None


def test_draining_that_goes_on_for_ever_crashes_for_ever() -> None:
    begins = {walk for walk in WALKS if walk.life.wish is Wish.DRAIN}
    events = (*OWN, *VERDICTS, Event.GRACE_OVER, Event.START)

    circle = endless(begins, events, lambda _, step: Action.REPORT_STOPPED in step.actions)

    assert circle is not None
    assert any(waits_for_a_verdict(walk.life) for walk in circle[circle.index(circle[-1]) :])


def test_every_state_has_a_way_to_the_end() -> None:
    before = defaultdict(set)
    for state, _, step in TABLE:
        before[step.life].add(state)
    ends, stack = {OVER}, [OVER]
    while stack:
        for state in before[stack.pop()] - ends:
            ends.add(state)
            stack.append(state)
    assert ends == STATES


# Some rows, in words


def test_a_stop_in_backoff_of_what_is_restarted_changes_nothing() -> None:
    stopped = DOWN.after(Event.STOP)
    judged = stopped.life.after(Event.RESTARTS)

    assert stopped.actions == (Action.JUDGE,)
    assert judged == Step(DOWN, (Action.REPORT_STOPPED,))  # neither NO_RESTART nor another RESTART


def test_a_stop_in_backoff_of_what_is_not_restarted_is_its_end() -> None:
    judged = after(DOWN, Event.STOP).after(Event.ENDS)

    assert judged == Step(OVER, (Action.NO_GRACE, Action.NO_RESTART, Action.REPORT_STOPPED, Action.SETTLE))


def test_a_kill_before_the_first_step_of_a_restart_is_a_restart_that_failed() -> None:
    due = after(DOWN, Event.START)
    killed = due.after(Event.KILL)

    assert killed.actions == (Action.JUDGE,)
    assert killed.life.after(Event.RESTARTS) == Step(
        DOWN, (Action.REPORT_UNSTARTED, Action.REPORT_STOPPED, Action.RETRY_START)
    )


def test_a_kill_before_the_first_start_is_the_end() -> None:
    assert after(BORN, Event.START).after(Event.KILL) == Step(
        OVER, (Action.NO_GRACE, Action.REPORT_UNSTARTED, Action.REPORT_STOPPED, Action.SETTLE)
    )


def test_a_first_start_that_fails_is_the_end_and_no_restart_type_is_asked() -> None:
    clearing = after(BORN, Event.START, Event.BEGUN, Event.START_FAILED)

    assert clearing.after(Event.GONE) == Step(OVER, (Action.REPORT_UNSTARTED, Action.SETTLE))


def test_a_restart_that_fails_is_judged_and_tried_again() -> None:
    clearing = after(DOWN, Event.START, Event.BEGUN, Event.START_FAILED)
    gone = clearing.after(Event.GONE)

    assert gone == Step(life(Phase.UNSTARTED, again=True), (Action.JUDGE,))
    assert gone.life.after(Event.RESTARTS) == Step(DOWN, (Action.REPORT_UNSTARTED, Action.RETRY_START))


def test_a_stop_after_a_crash_and_before_its_exit_is_answered_by_that_exit() -> None:
    crashed = after(UP, Event.CRASHED, Event.CLEANING)

    for asks in (Event.STOP, Event.KILL):
        exited = after(crashed, asks, Event.CLEANED, Event.GONE)
        assert exited == life(Phase.EXITED, Wish.STOP, again=True)
        assert Action.REPORT_STOPPED in exited.after(Event.RESTARTS).actions
        assert Action.REPORT_STOPPED in exited.after(Event.ENDS).actions


def test_a_crash_makes_the_wish_of_the_actor_itself_void_and_no_other() -> None:
    for wish in Wish:
        state = life(Phase.UP, wish, again=True)
        kept = state.after(Event.CRASHED).life.wish
        assert kept is (Wish.NONE if wish is Wish.OWN_STOP else wish)


def test_draining_goes_on_through_a_crash_and_its_restart() -> None:
    draining = after(UP, Event.STOP_DRAIN)
    down = after(draining, Event.CRASHED, Event.GONE, Event.RESTARTS)
    again = after(down, Event.START, Event.BEGUN, Event.STARTED)

    assert down == life(Phase.DOWN, Wish.DRAIN, again=True)
    assert again is draining
    assert again.after(Event.DRAINED).life == life(Phase.ENDING, Wish.STOP, again=True)


def test_a_start_that_hangs_is_cut_off_whenever_draining_was_asked_for() -> None:
    before, during = after(BORN, Event.START, Event.STOP_DRAIN), after(BORN, Event.START, Event.BEGUN)

    assert Action.GRACE in during.after(Event.STOP_DRAIN).actions
    assert Action.GRACE in before.after(Event.BEGUN).actions


def test_a_suspended_life_is_down_without_a_verdict_and_without_a_restart_of_its_own() -> None:
    suspended = after(UP, Event.SUSPEND, Event.DRAINED).after(Event.GONE)

    assert suspended.life is DOWN
    assert suspended.actions[-2:] == (Action.REPORT_STOPPED, Action.REPORT_SUSPENDED)
    assert DOWN.after(Event.SUSPEND).actions[-1] is Action.NO_RESTART


def test_terminate_wins_over_a_suspension_and_answers_it() -> None:
    gone = after(UP, Event.SUSPEND, Event.TERMINATE, Event.DRAINED).after(Event.GONE)

    assert gone.life is OVER
    assert Action.REPORT_SUSPENDED in gone.actions


def test_a_supervisor_that_must_go_on_keeps_a_child_whose_restart_was_due() -> None:
    assert after(DOWN, Event.START).after(Event.CANCEL_START) == Step(
        DOWN, (Action.REPORT_UNSTARTED, Action.RETRY_START)
    )


def test_ignore_is_an_end_whatever_the_restart_type_says() -> None:
    assert after(DOWN, Event.START, Event.BEGUN, Event.IGNORED).after(Event.GONE).life is OVER


def test_a_kill_in_on_stop_leaves_it_one_second() -> None:
    assert after(UP, Event.STOP, Event.DRAINED, Event.CLEANING).after(Event.KILL).actions == (
        Action.RUN,
        Action.KILL_GRACE,
    )

"""What `docs/contributing/life-of-an-actor.md` shows of the table of a life, made from the table itself.

`python -m tests.supervision.drawing` writes it into the page again.
"""

import re
from collections import defaultdict
from pathlib import Path

from miniagents.supervision.lifecycle import OVER, Action, Event, Life, Phase, life, reachable

PAGE = Path(__file__).parents[2] / "docs" / "contributing" / "life-of-an-actor.md"

DRAWN = tuple(event for event in Event if event >= Event.BEGUN or event in (Event.START, Event.FAIL))
"""Requests are no arrows: each can come in each phase, and most only add a wish."""

REQUESTS = {
    "`ctx.stop()`": Event.STOP_OWN,
    "`ref.stop(drain=True)`": Event.STOP_DRAIN,
    "`ref.stop()`": Event.STOP,
    "`ref.kill()`": Event.KILL,
    "a restart with siblings": Event.SUSPEND,
    "`terminate_child`": Event.TERMINATE,
}

ROWS = {
    "due, first start": life(Phase.DUE),
    "due, restart": life(Phase.DUE, again=True),
    "starting": life(Phase.STARTING),
    "clearing": life(Phase.CLEARING, again=True),
    "up": life(Phase.UP, again=True),
    "doomed": life(Phase.DOOMED, again=True),
    "ending": life(Phase.ENDING, again=True),
    "cleanup": life(Phase.CLEANUP, again=True),
    "down": life(Phase.DOWN, again=True),
    "over": OVER,
}


def diagram() -> str:
    """The phases and what leads from one to the next, for Mermaid; in brackets for what wishes, where that matters."""
    targets: dict[tuple[Phase, Event], dict[Phase, set[Life]]] = defaultdict(lambda: defaultdict(set))
    for state, event, step in reachable():
        if event in DRAWN:
            targets[state.phase, event][step.life.phase].add(state)
    arrows: dict[tuple[Phase, Phase], list[str]] = defaultdict(list)
    for (phase, event), leads_to in targets.items():
        for target, states in leads_to.items():
            if target is not phase:
                label = event.name.lower().replace("_", " ")
                if len(leads_to) > 1:
                    label += f" [{_wishes(states)}]"
                arrows[phase, target].append(label)
    lines = ["stateDiagram-v2", f"    [*] --> {Phase.NEW.value}"]
    order = list(Phase)
    for phase, target in sorted(arrows, key=lambda ends: (order.index(ends[0]), order.index(ends[1]))):
        labels = arrows[phase, target]
        lines.append(f"    {phase.value} --> {target.value}: {'<br/>'.join(sorted(labels))}")
    lines.append(f"    {Phase.OVER.value} --> [*]")
    return "\n".join(["```mermaid", *lines, "```"])


def _wishes(states: set[Life]) -> str:
    found = sorted({state.wish for state in states if state.again})
    words = [wish.name.lower().replace("_", " ") for wish in found]
    return ", ".join(words if all(state.again for state in states) else [*words, "first start"])


def requests() -> str:
    """What each request leads to in each phase, where nothing else was asked before."""
    head = ["phase", *REQUESTS]
    rows = [head, ["---"] * len(head)]
    rows += [[name, *(_meaning(state, event) for event in REQUESTS.values())] for name, state in ROWS.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _meaning(state: Life, event: Event) -> str:
    step = state.after(event)
    actions = step.actions
    if state is OVER:
        return "answered at once"
    if step.life is OVER:
        return "ends for good, now"
    if Action.JUDGE in actions:
        return "an exit, judged now"
    if Action.REPORT_SUSPENDED in actions:
        return "waits for its siblings, now"
    if Action.KILL_GRACE in actions:
        return "`on_stop` gets one more second"
    if Action.INTERRUPT in actions:
        return "its code is cancelled"
    if Action.GRACE in actions:
        return "within its seconds"
    if Action.REPORT_STOPPED in actions:
        return "nothing: it ends anyway"
    if Action.RUN in actions:
        return "after the code in hand"
    if step.life is not state:
        return "kept until there is an instance" if event is Event.STOP_DRAIN else "kept until the next exit"
    raise AssertionError(f"{event.name} in {state!r} has no words yet: {step}")


def drawn(page: str) -> str:
    """The page, with what lies between its markers made anew."""
    for name, text in {"diagram": diagram(), "requests": requests()}.items():
        begin, end = f"<!-- {name}: from the table -->", f"<!-- end of {name} -->"
        pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.S)
        if len(pattern.findall(page)) != 1:
            raise ValueError(f"{PAGE.name}: there must be one {begin!r} that is ended by {end!r}")
        page = pattern.sub(lambda _, text=text, begin=begin, end=end: f"{begin}\n{text}\n{end}", page)  # type: ignore[misc]
    return page


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text()))

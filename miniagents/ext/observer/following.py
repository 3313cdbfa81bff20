"""`Following`: the observer that feeds the flight recorder with calls, steps, happenings and samples of a system."""

import itertools
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from miniagents.actors import Event, EventKind, Observer
from miniagents.actors.observing.events import Subscription
from miniagents.agents import Interaction, InteractionAccount
from miniagents.ext.observer.calls import TEXT, CallRecord, Step, Trace
from miniagents.ext.observer.facts import text_of
from miniagents.ext.observer.happenings import Happening
from miniagents.ext.observer.recorder import FlightRecorder
from miniagents.journal.pending_wait import PendingWait
from miniagents.messages import MessagePromise, TextToken, said_by
from miniagents.promising.promise import NO_VALUE

ENDED = 2_000
"""The number of actors that have ended whose last facts are kept, whatever the budget is."""
SAMPLES = 600
"""The number of samples that are kept, one a second."""
_LONGEST_ERROR = 4_000
_MOST_ERRORS = 20

_KINDS = {
    EventKind.CRASH: "crash",
    EventKind.RESTART: "restart",
    EventKind.ESCALATION: "escalation",
    EventKind.DEAD_LETTER: "dead_letter",
    EventKind.HANG: "hang",
    EventKind.DEADLOCK: "deadlock",
    EventKind.SLOWED: "slowed",
    EventKind.NODE_UP: "node_up",
    EventKind.NODE_LOST: "node_lost",
}
_FAILURES = frozenset({"crash", "escalation", "hang", "deadlock", "node_lost"})


class Following(Observer):
    """The observer of one system.

    Args:
        recorder: The recorder that keeps what has ended.
        keeps_texts: Whether texts are kept: what agents were sent, what they replied, what models said.

    Attributes:
        recorder: The recorder.
        system: The system; None until it has started.
        traces: The interactions from outside that are open or kept, by the numbers of their first calls.
        live: The traces among them that have an open call.
        records: The calls that are open or kept, by their numbers.
        of_path: The same by the paths of their agents.
        happenings: The happenings that are kept, by their numbers.
        ended: The last facts of actors that have ended, by their paths.
        samples: The samples of the last minutes, one a second: see `Sample`.
        totals: The counts since the observer is there.
        open: The number of calls that are under way.
    """

    def __init__(self, recorder: FlightRecorder, *, keeps_texts: bool = True) -> None:
        self.recorder = recorder
        self.keeps_texts = keeps_texts
        self.traces: dict[int, Trace] = {}
        self.live: dict[int, Trace] = {}
        self.records: dict[int, CallRecord] = {}
        self.of_path: dict[str, dict[int, CallRecord]] = {}
        self.happenings: dict[int, Happening] = {}
        self.ended: dict[str, Happening] = {}
        self.samples: deque[tuple[float, ...]] = deque(maxlen=SAMPLES)
        self.totals = {"calls": 0, "failures": 0, "restarts": 0, "tokens": 0, "letters": 0, "crashes": 0}
        self.cost = 0.0
        self.is_cost_known = True
        self.open = 0
        self._numbers = itertools.count(1)
        self._clock: Callable[[], float] = time.monotonic
        self.system: Any = None
        self._events: _Events | None = None

    def begin(self, system: Any) -> None:
        """Follow the events of a system that has started."""
        self.system, self._clock = system, system.time
        self._events = _Events(system.events, self.happened)
        system.events.attach(self._events)

    def end(self) -> None:
        """Follow the events no longer."""
        if self._events is not None:
            self._events.close()
            self._events = None

    @property
    def now(self) -> float:
        """The time, on `loop.time()`."""
        return self._clock()

    # Calls

    def interaction_started(self, interaction: Interaction) -> None:
        """A call goes into the mailbox of an agent."""
        above = interaction.parent
        parent = self.records.get(above.id) if above is not None else None
        record = CallRecord(interaction, parent, interaction.agent.alias, interaction.path)
        self.records[record.id] = record
        trace = record.trace
        if parent is None:
            self.traces[record.id] = trace
            trace.on_forget = self._forget_call
        self.live[trace.id] = trace
        calls = self.of_path.get(record.path)
        if calls is None:
            calls = self.of_path[record.path] = {}
        calls[record.id] = record
        self.totals["calls"] += 1
        self.open += 1

    def interaction_ended(self, interaction: Interaction) -> None:
        """The code of a call has ended."""
        record = self.records.get(interaction.id)
        if record is None or record.until is not None:
            return
        now = record.until = self._clock()
        record.interaction = None
        record.trace.version += 1
        error = interaction.error
        if error is not None and not interaction.was_passivated:
            record.error = said_by(error)[:_LONGEST_ERROR]
            record.error_type = type(error).__name__
            record.size += len(record.error)
            record.trace.failures += 1
            self.totals["failures"] += 1
        if self.keeps_texts:
            record.input = _text_of_all(interaction.message_promises)
            record.output = _text_of_all(interaction.replies)
        for step in record.steps or ():
            if step.until is None:
                step.until = now
        if record.account is None:
            self._close(record)  # it began before the observer came, and nobody says when it is over

    def interaction_over(self, account: InteractionAccount) -> None:
        """A call is over."""
        record = self.records.get(account.id)
        if record is not None and not record.is_over:
            self._close(record)

    def _close(self, record: CallRecord) -> None:
        record.close(time.time())
        self.totals["tokens"] += record.used.own_tokens
        self.cost += record.used.own_cost or 0.0
        if record.used.own_cost is None:
            self.is_cost_known = False
        self.open -= 1
        if not record.trace.open:
            self.live.pop(record.trace.id, None)
        record.size += len(record.input or "") + len(record.output or "")
        if record.errors:
            record.size += sum(map(len, record.errors))
        if record.steps:
            record.size += sum(step.size for step in record.steps)
        self.recorder.keep(record)

    def model_called(self, interaction: Interaction, provider: Any, request: Any) -> Step | None:
        """A request goes to a model."""
        return self._step(interaction, "model", str(request.model))

    def tool_called(self, interaction: Interaction, tool: Any, call: Any) -> Step | None:
        """A tool is called."""
        return self._step(interaction, "tool", str(tool.spec.name))

    def answer_awaited(self, interaction: Interaction, wait: PendingWait) -> Step | None:
        """A call waits for an answer from outside."""
        return self._step(interaction, "wait", wait.name)

    def input_of(self, record: CallRecord) -> str | None:
        """Return the text that a call came with, as far as it is there.

        Args:
            record: The call.
        """
        if record.interaction is None or not self.keeps_texts:
            return record.input
        return _text_of_all(record.interaction.message_promises)

    def reply_of(self, record: CallRecord) -> str | None:
        """Return the end of the text that a call has replied so far. Nothing is begun or awaited for it.

        Args:
            record: The call.
        """
        if record.interaction is None or not self.keeps_texts:
            return record.output
        return _arrived(record.interaction.replies)

    def _step(self, interaction: Interaction, kind: str, name: str) -> Step | None:
        record = self.records.get(interaction.id)
        if record is None or record.until is not None:
            return None
        if record.steps is None:
            record.steps = []
        step = Step(kind, name, self._clock, keeps_text=self.keeps_texts)
        record.steps.append(step)
        record.trace.version += 1
        return step

    def _forget_call(self, record: CallRecord) -> None:
        self.records.pop(record.id, None)
        calls = self.of_path[record.path]
        calls.pop(record.id, None)
        if not calls:
            del self.of_path[record.path]
        if not record.trace.records:
            self.traces.pop(record.trace.id, None)

    # Happenings

    def happened(self, event: Event) -> None:
        """An event of the system."""
        kind = _KINDS.get(event.kind)
        if kind is None:
            return
        detail = event.detail
        call = detail if type(detail) is int else None
        text, error_type = event.error, event.error_type
        facts: dict[str, object] | None = None
        if kind == "dead_letter":
            self.totals["letters"] += 1
            facts = {"reason": detail.reason.value, "letter": detail.id}
            text = None
        elif kind == "restart":
            self.totals["restarts"] += 1
            text = event.reason if isinstance(event.reason, str) else None
        elif kind == "slowed":
            facts = {"share": detail.share, "rate": detail.rate}
        elif kind == "crash":
            self.totals["crashes"] += 1
            record = self.records.get(call) if call is not None else None
            if record is not None and record.until is None and text is not None:
                record.errors = [*(record.errors or ()), text[:_LONGEST_ERROR]][-_MOST_ERRORS:]
        self.add(
            kind,
            event.path,
            at=event.at,
            text=text[:_LONGEST_ERROR] if text is not None else None,
            error_type=error_type,
            call=call,
            uid=event.uid,
            ring=event.ring,
            trace=event.agent_trace,
            by=event.caller,
            facts=facts,
        )

    def actor_ended(self, cell: Any) -> None:
        """An actor has ended for good: its last facts are kept."""
        reason = cell.reason
        path = cell.path
        ended = Happening(
            0,
            "ended",
            path,
            time.time(),
            text=cell.last_error,
            error_type=reason.name.lower() if hasattr(reason, "name") else type(reason).__name__,
            uid=cell.uid,
            facts={"restarts": cell.restarts, "handled": cell.handled},
        )
        self.ended.pop(path, None)
        self.ended[path] = ended
        if len(self.ended) > ENDED:
            del self.ended[next(iter(self.ended))]

    def add(self, kind: str, path: str, *, at: float | None = None, **facts: Any) -> Happening:
        """Keep a happening; see `Happening` for the arguments."""
        happening = Happening(next(self._numbers), kind, path, time.time() if at is None else at, **facts)
        self.happenings[happening.number] = happening
        happening.on_forget = self._forget_happening
        self.recorder.keep(happening)
        return happening

    def _forget_happening(self, happening: Happening) -> None:
        self.happenings.pop(happening.number, None)

    @property
    def failures(self) -> int:
        """The number of kept happenings that are failures."""
        return sum(happening.kind in _FAILURES for happening in self.happenings.values())

    # Samples

    def sample(self) -> None:
        """Note the counts of this second."""
        system, totals = self.system, self.totals
        children = system.root.children
        self.samples.append(
            (
                time.time(),
                children.actors if children is not None else 0,
                self.open,
                totals["calls"],
                totals["tokens"],
                totals["failures"] + totals["crashes"],
                totals["restarts"],
                self.cost,
            )
        )


class _Events(Subscription):
    """A subscription that is called with each event at once, and keeps none."""

    wants_calls = False

    def __init__(self, events: Any, happened: Callable[[Event], None]) -> None:
        super().__init__(events)
        self._happened = happened

    def put(self, event: Event) -> None:
        """Hand the event on."""
        self._happened(event)


def _text_of_all(promise: Any) -> str | None:
    """Return the text of the messages of a promise, as far as it is settled, without waiting for anything."""
    messages = promise.settled_value
    if messages is NO_VALUE or messages is None:
        return None
    texts = []
    length = 0
    for message in messages:
        text = text_of(message)
        if text is not None:
            texts.append(text[: TEXT - length])
            length += len(texts[-1])
            if length >= TEXT:
                break
    return "\n\n".join(texts) if texts else None


def _arrived(replies: Any) -> str | None:
    """Return the end of the text of replies that have arrived, as far as it is there."""
    texts: list[str] = []
    length = 0
    for piece in reversed(replies.pieces):
        if not isinstance(piece, MessagePromise):
            continue  # an error
        message = piece.settled_value
        if message is not NO_VALUE:
            parts = [text_of(message) or ""]
        else:
            parts = [token.content for token in reversed(piece.pieces) if type(token) is TextToken]
        for part in parts:
            texts.append(part[-(TEXT - length) :])
            length += len(texts[-1])
            if length >= TEXT:
                return "".join(reversed(texts))
        texts.append("\n\n")
    return "".join(reversed(texts)).lstrip("\n") or None

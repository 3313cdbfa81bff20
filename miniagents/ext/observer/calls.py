"""Calls, steps and traces: one interaction as the recorder keeps it, with all that was called below it."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

RECORD_BYTES = 700
"""The bytes of the record of a call without its texts, measured with `tracemalloc` for 20,000 of them."""
TRACE_BYTES = 215
"""The bytes of a trace, measured in the same way."""
STEP_BYTES = 235
"""The bytes of a step without its text, measured in the same way."""
TEXT = 16_384
"""The most characters of one text that are kept."""
PIECE_BYTES = 70
"""The bytes of one piece of a text, besides its characters."""


class Step:
    """One request to a model, one call of a tool, or one wait for an answer from outside.

    Attributes:
        kind: "model", "tool" or "wait".
        name: The name of the model, the tool, or what is waited for.
        begun: The time when it began, on `loop.time()`.
        first: The time of its first piece, or None.
        until: The time when it ended, or None.
        tokens: The tokens that it used; None if nobody knows.
        error: The class of the error that ended it, or None.
        pieces: The pieces of its text, as far as they are kept.
        characters: The number of characters that came, those included that are not kept.
    """

    __slots__ = (
        "begun", "characters", "clock", "error", "first", "is_cached", "kind", "name", "pieces", "tokens", "until",
    )  # fmt: skip

    def __init__(self, kind: str, name: str, clock: Callable[[], float], *, keeps_text: bool) -> None:
        self.kind = kind
        self.name = name
        self.clock = clock
        self.begun = clock()
        self.first: float | None = None
        self.until: float | None = None
        self.tokens: int | None = None
        self.error: str | None = None
        self.is_cached = False
        self.pieces: list[str] | None = [] if keeps_text else None
        self.characters = 0

    def piece(self, piece: object) -> None:
        """Take one more piece; see `ObservedCall`."""
        if self.first is None:
            self.first = self.clock()
        if type(piece) is str:
            if self.pieces is not None and self.characters < TEXT:
                self.pieces.append(piece)
            self.characters += len(piece)

    def ended(self, answer: Any, error: BaseException | None) -> None:
        """Note the end; see `ObservedCall`."""
        self.until = self.clock()
        self.error = None if error is None else type(error).__name__
        usage = getattr(answer, "usage", None)
        if usage is not None:
            self.tokens = usage.total_tokens
            self.is_cached = bool(answer.is_cached)

    @property
    def end(self) -> float | None:
        """The time when it ended, or None."""
        return self.until

    @property
    def text(self) -> str | None:
        """The text so far, cut to what is kept; None if texts are not kept."""
        return None if self.pieces is None else "".join(self.pieces)[:TEXT]

    @property
    def size(self) -> int:
        """Its bytes, estimated."""
        pieces = self.pieces or ()
        return STEP_BYTES + len(pieces) * PIECE_BYTES + min(self.characters, TEXT)


class CallRecord:
    """One call of an agent.

    Attributes:
        id: The number of the interaction.
        trace: The trace that it is a part of.
        parent: The record of the call that made it, or None.
        path: The path of the agent.
        alias: The name of the agent.
        label: The label that tells equal calls apart, or None.
        started: The time when the call was made, on `loop.time()`.
        until: The time when its code ended, or None.
        error: The text of its error, or None.
        error_type: The class of its error, or None.
        errors: The texts of the errors of its attempts that failed, as far as they are known.
        input: The text that it came with, if texts are kept, once it has ended.
        output: The text that it replied, in the same way.
        interaction: The call itself while its code has not ended.
        account: Its account while it is not over: what it has used so far.
        used: The numbers of its account, once it is over.
        steps: Its requests to models, calls of tools, and waits for answers from outside.
        below: The records of the calls that it has made.
        size: Its bytes, estimated.
        at: The time when it was over, in seconds since the epoch.
    """

    __slots__ = (
        "account",
        "alias",
        "at",
        "below",
        "error",
        "error_type",
        "errors",
        "id",
        "input",
        "interaction",
        "label",
        "output",
        "parent",
        "path",
        "size",
        "started",
        "steps",
        "trace",
        "until",
        "used",
    )

    kind = "call"

    def __init__(self, interaction: Any, parent: "CallRecord | None", alias: str, path: str) -> None:
        self.id: int = interaction.id
        self.parent = parent
        self.alias = alias
        self.path = path
        self.label: str | None = interaction.label
        self.started: float = interaction.started_at
        self.until: float | None = None
        self.error: str | None = None
        self.error_type: str | None = None
        self.errors: list[str] | None = None
        self.interaction: Any = interaction
        self.account: Any = interaction.account
        self.used = NOTHING
        self.steps: list[Step] | None = None
        self.below: list[CallRecord] | None = None
        self.input: str | None = None
        self.output: str | None = None
        self.at = 0.0
        self.size = RECORD_BYTES if parent is not None else RECORD_BYTES + TRACE_BYTES
        self.trace: Trace = parent.trace if parent is not None else Trace(self)
        if parent is not None:
            if parent.below is None:
                parent.below = []
            parent.below.append(self)
        self.trace.add(self)

    @property
    def end(self) -> float | None:
        """The time when it was over, on `loop.time()`; None while it is not."""
        return None if self.account is not None else self.until if self.used.over is None else self.used.over

    @property
    def is_over(self) -> bool:
        """True if its code has ended, and nothing below it is open."""
        return self.at > 0.0

    @property
    def uses(self) -> "Used":
        """The numbers of its account, now or at its end."""
        return self.used if self.account is None else used_by(self.account)

    def close(self, at: float) -> None:
        """Note that the call is over.

        Args:
            at: The time, in seconds since the epoch.
        """
        if self.account is not None:
            self.used, self.account = used_by(self.account), None
        self.at = at
        self.trace.closed(self)

    def forget(self) -> None:
        """Take the record out of its trace; see `Recorded`."""
        self.trace.remove(self)


class Used(NamedTuple):
    """What a call has used, as its account says. The account itself would keep the cell of the agent.

    Attributes:
        begun: The time when its code began, on `loop.time()`; None if it has not, or that is not known.
        over: The time when nothing below it was open any more; None before.
        attempts: The number of attempts that failed and were followed by another one.
        own_tokens: The tokens of its own requests to models.
        own_cost: Their cost; None if it is not known.
        tokens: The tokens with those of all calls below.
        cost: The cost with that of all calls below; None if a part of it is not known.
    """

    begun: float | None = None
    over: float | None = None
    attempts: int = 0
    own_tokens: int = 0
    own_cost: float | None = 0.0
    tokens: int = 0
    cost: float | None = 0.0


NOTHING = Used()


def used_by(account: Any) -> Used:
    """Return the numbers of an account.

    Args:
        account: The `InteractionAccount`.
    """
    return Used(
        account.begun_at,
        account.over_at,
        len(account.failed_attempts),
        account.own_tokens,
        account.own_cost,
        account.tokens,
        account.cost,
    )


class Trace:
    """One interaction from outside, with all calls below it. It is over when none of them is open.

    Args:
        root: The record of the call that began it.

    Attributes:
        id: The number of that call.
        records: The records that are kept, by their numbers.
        open: The number of calls that are not over.
        dropped: The number of records that the recorder has dropped.
        version: Grows with each change.
        failures: The number of calls that failed.
        until: The time when it was over last, on `loop.time()`; None before that.
        on_forget: Called with each record that the recorder has dropped.
    """

    __slots__ = ("dropped", "failures", "id", "on_forget", "open", "records", "root", "until", "version")

    def __init__(self, root: CallRecord) -> None:
        self.id = root.id
        self.root = root
        self.records: dict[int, CallRecord] = {}
        self.open = 0
        self.dropped = 0
        self.version = 0
        self.failures = 0
        self.until: float | None = None
        self.on_forget: Callable[[CallRecord], object] | None = None

    @property
    def is_open(self) -> bool:
        """True while a call of it is open."""
        return self.open > 0

    def add(self, record: CallRecord) -> None:
        """Take in a call that has started."""
        self.records[record.id] = record
        self.open += 1
        self.version += 1
        self.until = None

    def closed(self, record: CallRecord) -> None:
        """Note that a call is over; its record has the facts."""
        self.open -= 1
        self.version += 1
        if not self.open:
            self.until = record.end

    def remove(self, record: CallRecord) -> None:
        """Forget a record that the recorder has dropped. The calls below it are shown in its place."""
        if self.records.pop(record.id, None) is None:
            return
        self.dropped += 1
        self.version += 1
        if self.on_forget is not None:
            self.on_forget(record)

    def tops(self) -> Iterator[CallRecord]:
        """Return the records that have no record above them, in the order of their starts."""
        if not self.dropped:
            return iter((self.root,))
        return (record for record in self.records.values() if self._is_top(record))

    def _is_top(self, record: CallRecord) -> bool:
        return record.parent is None or record.parent.id not in self.records

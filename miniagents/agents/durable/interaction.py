"""`DurableInteraction`: a call that is answered from the journal, or run and recorded.

The module is longer than most: a replay may turn into a run at any reply, so both have to be read together.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from miniagents.actors.cells.durable_cell import DurableMailbox
from miniagents.actors.shutdown import RUNS
from miniagents.agents.durable.below import Below
from miniagents.agents.durable.durability import Durability
from miniagents.agents.durable.identity import Identity, chained, identity_of, key_of_arguments, slot_of
from miniagents.agents.durable.inputs import ENDED, LiveInput
from miniagents.agents.durable.names import name_of
from miniagents.agents.durable.records import JournalRecords
from miniagents.agents.durable.replies import decoded_error, encoded_error, error_of, restored, stored
from miniagents.agents.interaction import AgentCode, Interaction
from miniagents.agents.reply_promise import ReplyPromise
from miniagents.errors import (
    ActorStoppedError,
    DeadlineExceededError,
    DecodeError,
    MessageTooLargeError,
    NodeLostError,
    UnencodableError,
)
from miniagents.journal import (
    FinishRow,
    NoteInputs,
    Operation,
    Reply,
    RestartRow,
    Row,
    RowState,
    StartRow,
)
from miniagents.log import log as _log
from miniagents.promising.streamed import Failure

_NO_ARGUMENTS = ""


class DurableReplyPromise(ReplyPromise["DurableInteraction"]):
    """The promise of the replies of a call in a system with a journal. The call sees each reply first."""

    __slots__ = ()

    def push_piece(self, piece: Any) -> None:
        call = self._interaction
        if call is None or self.finished or call.takes_reply(piece):
            super().push_piece(piece)

    def push_error(self, error: BaseException) -> None:
        call = self._interaction
        if call is None or error is not call.error:
            super().push_error(error)
            return
        call.is_ending = True  # it is no reply, but the end of the call, which is recorded as such
        try:
            super().push_error(error)
        finally:
            call.is_ending = False

    def taken_over(self, call: "DurableInteraction | None") -> None:
        """Let a call reply; None for a while in which there is none."""
        self._interaction = call
        self.producer = call
        self.flattener = None


class DurableInteraction(Interaction):
    """One call of an agent in a system with a journal.

    Before its code runs, the call looks for its row. If that has ended, the call is answered from it, and its code
    does not run. Otherwise the code runs, and the row, its input, its replies and its end are written. Nobody waits for
    that.

    Attributes:
        chain: The chain of agents down to this call.
        durability: That of the system.
        saves: Returns what saves the state of a class agent together with the end of this call; None if nothing does.
        is_ending: Whether the error that the call has ended with is put among the replies right now.
    """

    __slots__ = (
        "_above",
        "_answered_by",
        "_former",
        "_has_begun",
        "_has_row_elsewhere",
        "_identity",
        "_input",
        "_is_recorded",
        "_noted",
        "_on_end",
        "_place",
        "_records",
        "_released",
        "_slot",
        "_to_drop",
        "_unsettled",
        "chain",
        "durability",
        "interrupted",
        "is_ending",
        "is_silent",
        "job",
        "replaying",
        "row",
        "saves",
        "was_passivated",
    )

    is_silent: bool
    chain: bytes

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        parent: Any = self.parent  # the calls of this system are of this class
        self.durability: Durability = self.system.durability
        self.row: int = self.id
        self.replaying = self.interrupted = self.was_passivated = False
        self._place: Below | None = None
        self._records: JournalRecords | None = None
        self._former: tuple[int, ...] = ()
        self._has_begun = self._has_row_elsewhere = False
        self._is_recorded = self.agent.options.spawn.durable or self.durability.records_all
        self._above: Below | None = parent.place if parent is not None else None
        self.job: str = parent.job if parent is not None else ""
        self.chain = chained(parent.chain if parent is not None else b"", name_of(self.agent))
        self.is_silent = self._is_recorded and self._above is not None and not self._above.is_empty
        self._answered_by: Row | None = None
        self._identity: Identity | None = None
        self._input: LiveInput | None = None
        self.is_ending = False
        self._noted: list[tuple[Any, int]] = []
        self._on_end: Callable[[RowState | None, BaseException | None], tuple[Operation[Any], ...]] | None = None
        self._released = self._to_drop = self._unsettled = 0
        self._slot = b""
        self.saves: Callable[[], tuple[Operation[Any], ...]] | None = None

    @property
    def place(self) -> Below | None:
        """The row, as the calls that the code makes see it; None before it is begun. Most calls make no others, so it
        is made when it is first asked for."""
        if self._place is None and self._has_begun:
            adopts = self.durability.adopts(self.job)
            journal = self.durability.journal
            self._place = Below(
                journal, self.row, self.job, self.chain, is_fresh=True, former=self._former, adopts=adopts
            )
        return self._place

    @property
    def records(self) -> JournalRecords | None:  # type: ignore[override]  # an attribute of the class, elsewhere
        """The records of the row; None before it is begun, and for a call that is not recorded."""
        if self._records is None and self._has_begun:
            self._records = JournalRecords(self.durability.journal, self.row, self.is_at_new_work, is_fresh=True)
        return self._records

    @property
    def ends_with_its_agent(self) -> bool:  # type: ignore[override]  # an attribute of the class, elsewhere
        """True for a message in a durable mailbox that became this call: cut off with the agent, it stays there."""
        envelope = self.envelope
        return envelope is not None and envelope.message is not self and isinstance(self.cell, DurableMailbox)

    def begin_job(
        self,
        above: Below,
        promise: DurableReplyPromise,
        on_end: Callable[[RowState | None, BaseException | None], tuple[Operation[Any], ...]],
    ) -> None:
        """Make the call the root of a job, before it begins.

        Args:
            above: The place above the root.
            promise: The promise that it replies to, in place of its own. Replies that are in it are not given again.
            on_end: Called with the end of the root; None if the work has not ended, and only the system has. Returns
                what is to be written with it.
        """
        self.job = above.job
        self._above = above
        self._is_recorded = self.is_silent = True
        self._on_end = on_end
        if not promise.done():
            self.system.forget_lazy(self.replies)
            self._released = len(promise.pieces)
            promise.taken_over(self)
            self.replies = promise

    @property
    def row_elsewhere(self) -> tuple[str, int, bytes, bool] | None:
        """What the node needs on which the code of this call runs: its job, its row, its chain, and whether nothing is
        below the row. None for a call that is not recorded."""
        if not self._is_recorded or not self._has_begun:
            return None
        return self.job, self.row, self.chain, self._place is None and not self._former

    def run_for(self, job: str, row: int, chain: bytes, is_fresh: bool) -> None:
        """Run for a call of another node, which has the row: what the code asks for and calls is recorded below that.

        Args:
            job: The name of the job.
            row: The row.
            chain: The chain of agents down to this call.
            is_fresh: Whether nothing is below the row.
        """
        journal = self.durability.journal
        self.job, self.row, self.chain = job, row, chain
        self._is_recorded, self._has_row_elsewhere = False, True
        self.replaying = not is_fresh
        self._place = Below(journal, row, job, chain, is_fresh=is_fresh)
        self._records = JournalRecords(journal, row, self.is_at_new_work, is_fresh=is_fresh)

    def leave_promise(self) -> None:
        """Reply to nobody from now on: the promise waits for the call that comes in the place of this one."""
        promise: Any = self.replies
        self.replies = self.system.reply_promise_class(self, False)
        self.replies.mark_seen()  # nobody gets the error that this call ends with
        self._sequence = None  # that of the promise
        promise.taken_over(None)

    @property
    def can_be_thrown_away(self) -> bool:
        """True if a call that only waits is in the journal with all that it has: it has started no tool, the root of a
        job has no reply on its way, and no time limit ends it."""
        return (
            self._is_recorded
            and self._has_begun
            and not self.cell.is_serial
            and self.cancelled is None
            and self._deadline is None
            and self._run_timer is None
            and not (self._done or self.open_calls or self._to_wait_for)
            and (self.parent is not None or not (self._unsettled or self._flows))
            and all(ask.is_over() for ask in self.asks or ())
            and not (self._records is not None and self._records.has_started)
        )

    @property
    def _flows(self) -> bool:
        flat = self.replies.flattener
        return flat is not None and bool(flat.tasks)

    # The run

    async def _run(self, code: AgentCode, *, settles: bool) -> BaseException | None:
        return await super()._run(partial(self._answer_or_run, code), settles=settles)

    async def _answer_or_run(self, code: AgentCode, _: Interaction) -> None:
        if self._has_row_elsewhere:
            await self._find_records()
            await code(self)
        elif not self._is_recorded:
            self._place = self._above  # what it calls belongs to the row above
            await code(self)
        elif self._has_begun:  # a `RetryPolicy` tries the call again
            await self._restart(self.row)
            await code(self)
        elif not await self._is_answered():
            if self.is_silent:
                self.is_silent = False
                self.system.interaction_started(self)
            await code(self)

    async def _is_answered(self) -> bool:
        """Look for the row of the call, and answer from it if it has ended.

        Returns:
            Whether the call is answered. If not, its row is begun, and the code is to run.
        """
        agent, above = self.agent, self._above
        self._input = LiveInput(self.message_promises)
        self._identity = identity_of(agent)
        arguments = key_of_arguments(agent, self.arguments) if self.arguments else _NO_ARGUMENTS
        self._slot = slot_of(self.job, self.chain, self._identity, arguments, self.label)
        if above is None or above.is_empty:
            self._start(())
            return False
        await above.load()
        patience_ends = self.system.time() + self.durability.patience
        while True:
            row = await self._which(above, patience_ends)
            if row is None:
                self._start(above.former(self._identity.name))
                return False
            above.give(row)
            if row.state is RowState.CANCELLED and above.is_own(row):
                await asyncio.sleep(max(patience_ends - self.system.time(), 0.0))  # it may be cancelled again
            if self._may_answer(row):
                try:
                    if await self._replay(row, above):
                        return True
                    above.take_back(row)
                    continue  # the input is another one
                except DecodeError as error:
                    _log.warning("journal.answer_undecodable", actor=self.path, row=row.id, error=str(error))
            above.ended(row)
            self.interrupted = row.state is RowState.RUNNING and self.durability.was_interrupted(self.job, row.id)
            if above.is_own(row):
                await self._restart(row.id)
            else:
                self._start((row.id,))
            return False

    async def _which(self, above: Below, patience_ends: float) -> Row | None:
        """Return the row that this call has in the journal; None if there is none.

        One row that fits is it. Several are told apart by the input, prefix by prefix, as long as the patience lasts.
        """
        live = self._input
        assert live is not None
        live.look()
        while True:
            if live.has_ended and (exact := above.with_input(self._slot, live.keys)) is not None:
                return exact
            rows = [row for row in above.recorded(self._slot) if _fits(row, live)]
            pause = patience_ends - self.system.time()
            if len(rows) < 2 or live.has_ended or pause <= 0:
                break
            await self._release_what_is_sure(rows, above, live)
            try:
                async with asyncio.timeout(pause):
                    await live.more()
            except TimeoutError:
                pass
        return rows[0] if rows else None

    async def _release_what_is_sure(self, rows: list[Row], above: Below, live: LiveInput) -> None:
        """Release the replies that all rows agree on, since the caller may need them before it sends more.

        Args:
            rows: The rows that fit.
            above: The place above them.
            live: The input.
        """
        if not all(self._may_answer(row) for row in rows):
            return
        answers = [await above.answer(row) for row in rows]
        sure: list[Reply] = []
        for same in zip(*(answer.replies for answer in answers), strict=False):
            if any(reply != same[0] for reply in same) or not _has_come(same[0].inputs, live):
                break
            sure.append(same[0])
        try:
            for reply in sure[self._released :]:
                self._release(restored(reply, answers[0].bodies))
        except DecodeError:
            return  # the replay comes to it, too, and makes the code run

    def _may_answer(self, row: Row) -> bool:
        """Return True if a row has an answer that is used again."""
        if self.agent.is_class and not hasattr(self.agent.wrapped, "snapshot"):
            return False  # the state of its instance would be missing
        if row.state is RowState.FAILED:
            assert self._above is not None
            return self._above.was_repeated(row)
        return row.state is RowState.FINISHED

    # The replay

    async def _replay(self, row: Row, above: Below) -> bool:
        """Answer from a row, each reply as soon as the input that it had is there.

        Returns:
            False if the input is another one.

        Raises:
            DecodeError: A reply is no message in this process.
        """
        live, answer = self._input, await above.answer(row)
        assert live is not None
        replies = answer.replies
        pieces = [restored(reply, answer.bodies) for reply in replies]
        self._answered_by = row
        try:
            for place, (reply, piece) in enumerate(zip(replies, pieces, strict=True)):
                if not await self._has_come(row, reply.inputs, live):
                    self._answered_by = None
                    return False
                if live.has_ended:
                    await above.turn(row, self.durability.patience)
                if place >= self._released:
                    self._release(piece)
            if not await self._has_come(row, _needed(row, replies), live):
                self._answered_by = None
                return False
            await above.turn(row, self.durability.patience)
        except BaseException:
            self._answered_by = None
            above.ended(row)
            raise
        if row.error:
            error = decoded_error(row.error)
            self.mark(error)
            self.finish(error)
        return True

    async def _has_come(self, row: Row, count: int, live: LiveInput) -> bool:
        """Wait until so many messages of the input have come. Return False if they are not those of the row."""
        while True:
            if not _fits(row, live):
                return False
            if _has_come(count, live):
                return True
            await live.more()

    def _release(self, piece: Any) -> None:
        self._released += 1
        if type(piece) is Failure:
            self.replies.push_error(piece.error)
        else:
            self.replies.push_piece(piece)

    # The record

    def _start(self, former: tuple[int, ...]) -> None:
        """Begin a new row."""
        journal, above, identity = self.durability.journal, self._above, self._identity
        assert identity is not None
        assert self._input is not None
        self.row = journal.next_id()
        number = above.next_number(self._slot) if above is not None else 0
        parent = above.row if above is not None else 0
        self._former = former
        self._has_begun = True
        self.durability.write(
            StartRow(self.row, parent, self._slot, number, self.job, identity.name, journal.next_id()),
            *self._inputs_now(),
            *self.durability.versions(self.job, self.row, identity),
        )
        self._begin()

    async def _restart(self, row: int) -> None:
        """Begin a row again, with the records and the calls that it has."""
        journal = self.durability.journal
        self.row = row
        self.durability.write(RestartRow(row, journal.next_id()), *self._inputs_now())
        records = self.records
        if records is None:
            self._records = records = JournalRecords(journal, row, self.is_at_new_work)
        records.rewind()
        adopts = self.durability.adopts(self.job)
        self._place = place = Below(journal, row, self.job, self.chain, is_fresh=False, adopts=adopts)
        self._has_begun = True
        await place.load()
        await records.load()
        self.replaying = records.has_results or not place.is_empty
        self._begin()

    async def _find_records(self) -> None:
        """Read what is recorded below the row that another node has, and begin at its start, also after a retry."""
        records, place = self._records, self._place
        assert records is not None  # `run_for` has made both
        assert place is not None
        if self._has_begun:  # a `RetryPolicy` tries the call again
            place = self._place = Below(self.durability.journal, self.row, self.job, self.chain, is_fresh=False)
            records.rewind()
            self._noted = []
        elif not self.replaying:
            self._has_begun = True
            return
        self._has_begun = True
        await place.load()
        await records.load()
        self.replaying = records.has_results or not place.is_empty

    def is_at_new_work(self) -> None:
        """Note that the code of this call, and of those above, has come to what the journal does not have."""
        call: Interaction | None = self
        while isinstance(call, DurableInteraction) and call.replaying:
            call.replaying = False
            call = call.parent

    def _begin(self) -> None:
        parent = self.parent
        if isinstance(parent, DurableInteraction):
            parent.is_at_new_work()
        self._noted = []
        self._unsettled = 0
        self._to_drop = self._released

    def _inputs_now(self) -> tuple[Operation[Any], ...]:
        """Return what notes the input, if it is complete; otherwise it is noted when it is."""
        live = self._input
        assert live is not None
        live.look()
        if live.has_ended:
            return (NoteInputs(self.row, tuple(live.keys), True),)
        self.message_promises.add_done_callback(self._input_is_complete)
        return ()

    def _input_is_complete(self, _: object) -> None:
        live = self._input
        if self.message_promises.settled_error is not None and self.system.root.life is not RUNS:
            return  # it is cut off by the end of the system, and the next process gets the rest of it, too
        if live is not None and not self._done:
            live.look()
            if live.has_ended:
                self.durability.write(NoteInputs(self.row, tuple(live.keys), True))

    def takes_reply(self, piece: Any) -> bool:
        """Note a reply of the code.

        Returns:
            False if the caller has this reply already, from the journal.
        """
        if self._answered_by is not None or self.is_ending or not self._has_begun:
            return True
        place = len(self._noted)
        live = self._input
        if type(piece) is Failure or piece.done() or live is None:
            self._noted.append((piece, live.complete if live is not None else ENDED))
        else:
            self._noted.append((piece, 0))
            self._unsettled += 1
            piece.add_done_callback(partial(self._reply_settled, place, self._noted))
        if self._to_drop:
            self._to_drop -= 1
            if type(piece) is not Failure:
                piece.start_whole()  # nobody else reads it, and it belongs to the record
            return False
        return True

    def _reply_settled(self, place: int, noted: list[tuple[Any, int]], piece: Any) -> None:
        if noted is not self._noted:
            return  # it is of an earlier attempt
        noted[place] = (piece, self._input.complete if self._input is not None else ENDED)
        self._unsettled -= 1
        self._record_end()

    # The end

    def finish(self, error: BaseException | None) -> None:
        """End the call, and record that once its replies have settled."""
        if self._done:
            return
        super().finish(error)
        if self._above is not None and self._answered_by is not None:
            self._above.ended(self._answered_by)
        self._record_end()

    def replies_settled(self) -> None:
        """Release what is only needed as long as replies come."""
        super().replies_settled()
        self._record_end()

    def _record_end(self) -> None:
        """Write the end of the call, if it has ended, its replies have settled, and it was not answered before."""
        if not self._done or self._unsettled or not self.replies.done():
            return
        live, on_end = self._input, self._on_end
        noted, answered_by = self._noted, self._answered_by
        has_begun = self._has_begun
        saves = self.saves
        self._on_end = self._input = self.saves = None
        self._noted = []
        if live is None and on_end is None:
            return  # it was recorded, or never began
        state = self._state() if answered_by is None else answered_by.state
        if state is RowState.FINISHED and any(error_of(piece) is not None for piece, _ in noted):
            state = RowState.FAILED  # a reply has broken off
        if state is None and has_begun and live is not None:
            self._leave_row_to_the_next(live)
        more = on_end(state, self.error) if on_end is not None else ()
        if answered_by is not None or not has_begun or state is None or live is None:
            if more:
                self.durability.write(*more)
            return
        limit = self.durability.journal.max_message_bytes
        replies: list[Reply] = []
        kept: list[Operation[Any]] = []
        try:
            for piece, inputs in noted:
                reply, keep = stored(piece, inputs, limit)
                replies.append(reply)
                if keep is not None:
                    kept.append(keep)
        except (MessageTooLargeError, UnencodableError) as error:
            _log.error("journal.answer_not_recorded", actor=self.path, row=self.row, error=str(error))
            if more:
                self.durability.write(*more)
            return
        live.look()
        cause = encoded_error(self.error) if self.error is not None and state is RowState.FAILED else b""
        self.durability.write(
            FinishRow(self.row, state, self.durability.journal.next_id(), tuple(replies), cause),
            *kept,
            NoteInputs(self.row, tuple(live.keys), live.has_ended),
            *(saves() if saves is not None else ()),
            *more,
        )

    def _leave_row_to_the_next(self, live: LiveInput) -> None:
        """Let the next equal call go on with the row of this one, which was cut off by the loss of a node."""
        error, identity, above = self.error, self._identity, self._above
        if error is None or not isinstance(error.__cause__, NodeLostError) or identity is None or above is None:
            return
        above.cut_off(
            Row(
                id=self.row,
                parent=above.row,
                slot=self._slot,
                number=0,
                job=self.job,
                agent=identity.name,
                state=RowState.RUNNING,
                started=0,
                finished=0,
                attempts=1,
                inputs=tuple(live.keys),
                is_input_complete=live.has_ended,
                error=b"",
                at=0.0,
            )
        )

    def _state(self) -> RowState | None:
        """Return how the call has ended; None if its work has not, but only its system or its agent has."""
        error = self.error
        if error is None and self.replies.settled_error is None:
            return RowState.FINISHED
        if self.system.root.life is not RUNS or isinstance(error, ActorStoppedError):
            return None
        if isinstance(self.cancelled, ActorStoppedError):
            return None
        if self.cancelled is None or isinstance(self.cancelled, DeadlineExceededError):
            return RowState.FAILED
        return RowState.CANCELLED


def _fits(row: Row, live: LiveInput) -> bool:
    """Return True if a row may be that of an input, as far as it has come."""
    keys, inputs = live.keys, row.inputs
    common = min(len(keys), len(inputs))
    if tuple(keys[:common]) != inputs[:common]:
        return False
    if row.is_input_complete:
        return len(keys) == len(inputs) if live.has_ended else len(keys) <= len(inputs)
    return not live.has_ended or row.state is RowState.RUNNING or len(keys) >= len(inputs)


def _has_come(count: int, live: LiveInput) -> bool:
    """Return True if so many messages of the input have come; `ENDED` means all of them."""
    return live.has_ended if count == ENDED else len(live.keys) >= count


def _needed(row: Row, replies: tuple[Reply, ...]) -> int:
    """Return how much of the input an answer depends on. A call that left before its input ended depends on no more
    than its last reply did."""
    if row.is_input_complete:
        return ENDED
    return max((reply.inputs for reply in replies), default=len(row.inputs))

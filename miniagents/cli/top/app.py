"""`TopApp`: the screen of `miniagents top`."""

import asyncio
import contextlib
import signal
import time
from typing import Any, ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Label, Static

from miniagents.cli.operate.options import login
from miniagents.cli.printing import plain, seconds
from miniagents.cli.running.processes import Process, ask_process
from miniagents.cli.top.rows import Row, Rows
from miniagents.control import CommandError
from miniagents.ext.command_line import INTERRUPTED

_PATIENCE = 5.0
"""Seconds that the process has to answer a look."""

_PAUSED = "paused: p goes on"

_TERMINATED = 128 + signal.SIGTERM

_ACTOR_COLUMNS = (
    "ACTOR",
    "STATE",
    "WAITING",
    "OLDEST",
    "PER S",
    "HANDLED",
    "RESTARTS",
    "BELOW",
    "TOKENS",
    "LAST ERROR",
)
_CALL_COLUMNS = ("ID", "AGENT", "BY", "STATE", "AGE", "TOKENS", "COST", "JOB")

_COLOURS = {"running": "green", "restarting": "yellow", "stopping": "yellow", "starting": "cyan", "cancelled": "yellow"}


class TopApp(App[int]):
    """The screen.

    Args:
        process: The process that is watched.
        every: Seconds between two looks at it.
    """

    CSS = """
    #facts { height: auto; padding: 0 1; background: $boost; }
    #notice, #report { height: auto; padding: 0 1; display: none; }
    #notice { color: $warning; }
    DataTable { height: 1fr; }
    #question { width: auto; max-width: 90%; height: auto; padding: 1 2; border: round $warning; background: $surface; }
    Confirm { align: center middle; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "leave(0)", "Quit"),
        Binding("ctrl+c", f"leave({INTERRUPTED})", "Quit", show=False, priority=True),
        Binding("c", "calls", "Calls"),
        Binding("a", "actors", "Actors"),
        Binding("k", "kill", "Cancel call"),
        Binding("p", "pause", "Pause"),
    ]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, process: Process, every: float) -> None:
        super().__init__()
        self._process = process
        self._every = every
        self._rows = Rows()
        self._calls: list[Any] = []
        self._is_looking = False
        self._is_paused = False
        self._looked_at: float | None = None

    def compose(self) -> ComposeResult:
        """Make the widgets."""
        yield Static(id="facts")
        yield Static(id="notice")
        yield Static(id="report")
        actors: DataTable[Text] = DataTable(id="actors", cursor_type="row")
        calls: DataTable[Text] = DataTable(id="calls", cursor_type="row")
        calls.display = False
        yield actors
        yield calls
        yield Footer()

    def on_mount(self) -> None:
        """Begin to look at the process."""
        self._table("#actors").add_columns(*_ACTOR_COLUMNS)
        self._table("#calls").add_columns(*_CALL_COLUMNS)
        with contextlib.suppress(NotImplementedError):  # no such handlers on Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.action_leave, _TERMINATED)
        self._show_facts(None)
        self.set_interval(self._every, self._look)
        self._look()

    def on_key(self) -> None:
        """Take the report of the last action away."""
        self._report(None)

    def action_leave(self, status: int) -> None:
        """End, with an exit status."""
        self.exit(status)

    def action_calls(self) -> None:
        """Show the calls under way."""
        self._show_table("calls")

    def action_actors(self) -> None:
        """Show the tree of the actors."""
        self._show_table("actors")

    def action_pause(self) -> None:
        """Look no more at the process, or look again."""
        self._is_paused = not self._is_paused
        self._say(_PAUSED if self._is_paused else None)

    def action_kill(self) -> None:
        """Ask whether the selected call is to be cancelled."""
        table = self._table("#calls")
        if not table.display or not self._calls or table.cursor_row >= len(self._calls):
            self._report("c shows the calls; select one, and k cancels it")
            return
        call = self._calls[table.cursor_row]
        question = f"Cancel call {call['id']} ({plain(call['agent'])}) and all below it?  y / n"

        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(lambda: self._cancel(call["id"]), thread=True)

        self.push_screen(Confirm(question), answered)

    def on_data_table_row_selected(self, event: "DataTable.RowSelected") -> None:
        """Open or close the selected actor."""
        rows = self._rows.shown()
        if event.data_table.id == "actors" and event.cursor_row < len(rows):
            row = rows[event.cursor_row]
            if row.info is not None and row.info["below"]["actors"]:
                self._rows.toggle(row.path)
                self._look()

    # Looks

    def _look(self) -> None:
        """Look at the process in a thread, unless the last look still waits for its answer."""
        if self._is_looking or self._is_paused:
            self._show_age()
            return
        self._is_looking = True
        paths = list(self._rows.opened)
        self.run_worker(lambda: self._ask(paths), thread=True)

    def _ask(self, paths: list[str]) -> None:
        try:
            view = ask_process(self._process, "system.view", {"paths": paths}, patience=_PATIENCE)
        except CommandError as error:
            self.call_from_thread(self._missed, str(error))
        else:
            self.call_from_thread(self._seen, view, paths)

    def _cancel(self, id: int) -> None:
        try:
            result = ask_process(self._process, "system.cancel", {"id": id, "by": login()})
            text = f"call {id} is cancelled" + ("" if not result["abandoned"] else "; some code below it does not end")
        except CommandError as error:
            text = str(error)
        self.call_from_thread(self._report, text)

    def _missed(self, text: str) -> None:
        self._is_looking = False
        self._show_age()
        self._say(text)

    def _seen(self, view: Any, asked: list[str]) -> None:
        now = time.monotonic()
        self._is_looking, self._looked_at = False, now
        self._calls = view["interactions"]
        self._rows.update(view["levels"], now, asked)
        self._show_facts(view)
        _fill(self._table("#actors"), [(row.path, _actor_cells(row)) for row in self._rows.shown()])
        _fill(self._table("#calls"), [(str(call["id"]), _call_cells(call)) for call in self._calls])

    # What is shown

    def _table(self, selector: str) -> "DataTable[Text]":
        return self.query_one(selector, DataTable)

    def _show_table(self, name: str) -> None:
        for other in ("actors", "calls"):
            self._table(f"#{other}").display = other == name
        self._table(f"#{name}").focus()

    def _show_facts(self, view: Any) -> None:
        who = f"{plain(self._process.system)}  process {self._process.pid}  {plain(self._process.program)}"
        if view is not None:
            below = view["levels"]["/"]["nodes"][0]["below"] if "/" in view["levels"] else {}
            who += (
                f"\n{below.get('actors', 0):,} actors  {view['calls']:,} calls  {below.get('restarts', 0):,} restarts  "
                f"{below.get('failures', 0):,} failures  "
                f"{below.get('tokens', 0):,} tokens  {view['dead_letters']:,} dead letters"
            )
        self.query_one("#facts", Static).update(Text(who))
        self._say(None)

    def _show_age(self) -> None:
        if self._looked_at is not None and not self._is_paused:
            self._say(f"the data is {seconds(time.monotonic() - self._looked_at)} old")

    def _say(self, text: str | None) -> None:
        """Show what the state of the connection is; None if all is well. A pause stays until it ends."""
        if text is None and self._is_paused:
            return
        self._show("#notice", text)

    def _report(self, text: str | None) -> None:
        """Show what has become of an action, until the next key is pressed."""
        self._show("#report", text)

    def _show(self, selector: str, text: str | None) -> None:
        line = self.query_one(selector, Static)
        line.display = text is not None
        line.update(Text(plain(text) if text is not None else ""))


class Confirm(ModalScreen[bool]):
    """A question that is answered by y or n.

    Args:
        question: The question.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """Make the widgets."""
        with Vertical(id="question"):
            yield Label(Text(self._question))

    def action_answer(self, yes: bool) -> None:
        """Close the question with its answer."""
        self.dismiss(yes)


def _fill(table: "DataTable[Text]", rows: list[tuple[str, tuple[Text, ...]]]) -> None:
    """Show rows in a table. Where the rows are the same as before, only cells that have changed are drawn again."""
    keys = [key for key, _ in rows]
    if keys != [row.key.value for row in table.ordered_rows]:
        selected = table.ordered_rows[table.cursor_row].key.value if table.row_count > table.cursor_row else None
        table.clear()
        for key, cells in rows:
            table.add_row(*cells, key=key)
        if selected in keys:
            table.move_cursor(row=keys.index(selected))
        return
    for number, (_, cells) in enumerate(rows):
        for column, cell in enumerate(cells):
            if table.get_cell_at((number, column)) != cell:  # type: ignore[arg-type]
                table.update_cell_at((number, column), cell, update_width=True)  # type: ignore[arg-type]


def _actor_cells(row: Row) -> tuple[Text, ...]:
    indent = "  " * row.depth
    if row.info is None:
        return (Text(f"{indent}...", style="dim"), *(Text("") for _ in _ACTOR_COLUMNS[1:]))
    info = row.info
    below = info["below"]["actors"]
    mark = ("- " if row.is_open else "+ ") if below else "  "
    name = row.path if row.path == "/" else row.path.rpartition("/")[2]
    oldest = info["oldest_age"]
    return (
        Text(f"{indent}{mark}{plain(name)}"),
        Text(info["state"], style=_COLOURS.get(info["state"], "")),
        _number(info["mailbox_depth"]),
        Text("" if oldest is None else seconds(oldest), justify="right"),
        Text("" if row.rate is None else f"{row.rate:,.1f}", justify="right"),
        _number(info["handled"]),
        _number(info["restarts"], style="yellow"),
        _number(below),
        _number(info["tokens"] + info["below"]["tokens"]),
        Text("" if info["last_error"] is None else plain(info["last_error"]), style="red"),
    )


def _call_cells(call: Any) -> tuple[Text, ...]:
    return (
        Text(str(call["id"]), justify="right"),
        Text(plain(call["agent"])),
        Text("" if call["parent"] is None else str(call["parent"]), justify="right"),
        Text(call["state"], style=_COLOURS.get(call["state"], "")),
        Text(seconds(call["age"]), justify="right"),
        _number(call["tokens"]),
        Text("" if call["cost"] is None else f"{call['cost']:.4f}", justify="right"),
        Text("" if call["job"] is None else plain(call["job"])),
    )


def _number(number: int, style: str = "") -> Text:
    return Text(f"{number:,}" if number else "", justify="right", style=style)

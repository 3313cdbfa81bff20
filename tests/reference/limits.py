"""The tables of docs/reference/limits.md: what can be set, from signatures, and what is fixed, from the constants."""

import ast
import inspect
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple

from miniagents import ActorSystem, ChildSpec, Mailbox, RetryPolicy, SpawnOptions
from miniagents.cluster import Cluster
from miniagents.ext.llms import Cache, Compact, Fallback, LLMAgent
from miniagents.ext.llms.agents import llm_agent
from miniagents.ext.llms.documentation import documentation_of
from miniagents.ext.mcp import McpServer
from miniagents.ext.observer import WebObserver
from miniagents.ext.serving import Limits, MemoryConversations, MemoryResponses, SqliteConversations, agent_app
from miniagents.journal import SqliteJournal
from miniagents.supervision import Strategy
from tests.reference.markdown import cell, code
from tests.reference.names import PACKAGE
from tests.reference.options import shown_default, shown_number


class Set(NamedTuple):
    """Limits that options set.

    Attributes:
        title: What takes the options, as callers write it.
        target: The function or class whose docstring describes them.
        names: The options; () for all.
        defaults: What has the defaults, if it is not `target`.
    """

    title: str
    target: Callable[..., Any]
    names: tuple[str, ...] = ()
    defaults: Callable[..., Any] | None = None


class Fixed(NamedTuple):
    """Limits that are constants.

    Attributes:
        module: The module, below `miniagents`.
        names: The constants. The docstring of each says what it is, with its unit.
    """

    module: str
    names: tuple[str, ...]


SUBJECTS: Mapping[str, tuple[Set | Fixed, ...]] = {
    "Actors and their mailboxes": (
        Set("Mailbox", Mailbox, ("capacity",)),
        Set("SpawnOptions", SpawnOptions, ("handler_timeout", "poison_after", "passivate_after")),
        Set("ChildSpec", ChildSpec, ("shutdown",)),
        Set("OneForOne", Strategy, ("max_restarts", "within")),
        Fixed("actors.cells.cell", ("DEFAULT_SHUTDOWN",)),
        Fixed("actors.cells.living_cell", ("KILL_GRACE",)),
        Fixed("actors.dispatch.dispatcher", ("QUANTUM", "TURN_SECONDS")),
        Fixed("actors.durable.inbox", ("MOST_DEATHS",)),
    ),
    "Systems": (
        Set("ActorSystem", ActorSystem, ("grace", "dead_letters_kept")),
        Fixed("actors.threads", ("EXIT_GRACE",)),
        Fixed("actors.observing.pages", ("DEFAULT_LIMIT", "COUNTED", "BEHIND")),
        Fixed("actors.observing.changes", ("TOMBSTONES", "UNREAD")),
    ),
    "Messages and journals": (
        Fixed("messages.frozen", ("MAX_DEPTH",)),
        Set("SqliteJournal", SqliteJournal, ("max_message_bytes", "keep_for", "keep_ids_for", "patience")),
        Fixed("journal.sqlite.database", ("BUSY_TIMEOUT",)),
        Fixed("agents.durable.jobs", ("MOST_DEATHS",)),
    ),
    "Models": (
        Set(
            "OpenAIAgent.fork",
            LLMAgent.fork,
            ("tool_timeout", "max_turns", "repairs", "idle_timeout"),
            llm_agent.wrapped,
        ),
        Set("RetryPolicy", RetryPolicy, ("attempts", "max_retry_after")),
        Set("Fallback", Fallback, ("patience", "failures", "rest")),
        Set("Compact", Compact, ("at", "keep_last", "timeout")),
        Set("Cache", Cache, ("size", "max_age")),
        Fixed("ext.llms.estimating", ("DEFAULT_OUTPUT", "LETTERS_PER_TOKEN")),
        Fixed("ext.llms.anthropic", ("DEFAULT_MAX_TOKENS",)),
    ),
    "Services": (
        Set("Limits", Limits),
        Set("agent_app", agent_app, ("grace", "conversation_idle")),
        Set("MemoryConversations", MemoryConversations),
        Set("SqliteConversations", SqliteConversations, ("ttl", "most")),
        Set("MemoryResponses", MemoryResponses),
    ),
    "Model Context Protocol": (
        Set(
            "McpServer",
            McpServer,
            ("search_above", "max_result_tokens", "max_bytes", "idle_timeout", "close_after"),
        ),
        Fixed("ext.mcp.connection", ("CONNECT_TIMEOUT", "CLOSE_TIMEOUT")),
        Fixed("ext.mcp.options", ("USUAL_WINDOW",)),
    ),
    "The observer": (
        Set("WebObserver", WebObserver, ("budget_bytes", "record_bytes")),
        Fixed("ext.observer.calls", ("TEXT",)),
        Fixed("ext.observer.following", ("ENDED", "SAMPLES")),
        Fixed("ext.observer.recording", ("ROWS", "CALLS")),
    ),
    "Commands that ask a running system": (
        Fixed("control.protocol", ("MAX_LINE",)),
        Fixed("control.server", ("MOST_CLIENTS", "SILENCE")),
        Fixed("control.system.commands", ("MOST_ROWS",)),
    ),
    "Clusters": (
        Set("Cluster", Cluster, ("lease", "margin", "suspect_after")),
        Fixed("cluster.frames", ("MAX_ITEM", "PIECE_BYTES", "FRAME_BYTES")),
        Fixed("cluster.channel", ("QUEUE_BYTES", "WINDOW")),
        Fixed("cluster.remote_call", ("WINDOW",)),
    ),
}


def tables() -> str:
    """Return the tables of the page."""
    lines: list[str] = []
    for subject, entries in SUBJECTS.items():
        lines += ["", f"## {subject}", "", "| set by | default | limit |", "|---|---|---|"]
        for entry in entries:
            lines += _set(entry) if isinstance(entry, Set) else _fixed(entry)
    return "\n".join([*lines[1:], ""])


def _set(entry: Set) -> list[str]:
    texts = documentation_of(entry.target).parameters
    parameters = inspect.signature(entry.defaults or entry.target).parameters
    rows = []
    for name in entry.names or parameters:
        default = shown_default(parameters[name].default, texts[name])
        rows.append(f"| {code(f'{entry.title}({name}=)')} | {default} | {cell(texts[name])} |")
    return rows


def _fixed(entry: Fixed) -> list[str]:
    rows = []
    for name in entry.names:
        value, text = constant(entry.module, name)
        is_bytes = "byte" in text or "size" in text
        number = shown_number(value, is_bytes=is_bytes) if isinstance(value, int) else str(value)
        rows.append(f"| fixed | {code(number)} | {cell(text)} |")
    return rows


def constant(module: str, name: str) -> tuple[int | float, str]:
    """Return the value of a constant and its docstring.

    Args:
        module: The module, below `miniagents`.
        name: The name of the constant.

    Raises:
        LookupError: The module has no such constant with a docstring.
    """
    body = ast.parse(PACKAGE.joinpath(*module.split(".")).with_suffix(".py").read_text()).body
    for statement, follower in pairwise(body):
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            match follower:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    value = eval(ast.unparse(statement.value), {"__builtins__": {}})
                    return value, text
    raise LookupError(f"miniagents.{module} has no constant {name} with a docstring")

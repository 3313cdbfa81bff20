"""The tables of docs/reference/options.md: the options with their defaults, from signatures and docstrings."""

import enum
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from miniagents import (
    ActorRef,
    ActorSystem,
    Backoff,
    ChildSpec,
    Mailbox,
    MiniAgent,
    MiniAgents,
    Pool,
    RetryPolicy,
    SpawnOptions,
    Supervisor,
    as_completed,
    gather,
    merge,
    miniagent,
)
from miniagents.cluster import Cluster
from miniagents.ext.llms import Budget, Cache, Compact, Fallback, LLMAgent, Price, RateLimit, Tool
from miniagents.ext.llms.agents import llm_agent
from miniagents.ext.llms.documentation import documentation_of
from miniagents.ext.mcp import McpApp, McpServer
from miniagents.ext.observer import WebObserver
from miniagents.ext.ray import RayCluster
from miniagents.ext.serving import (
    Limits,
    MemoryConversations,
    MemoryResponses,
    Served,
    SqliteConversations,
    agent_app,
)
from miniagents.ext.telemetry import instrument, log_events
from miniagents.journal import MemoryJournal, SqliteJournal
from miniagents.supervision import Strategy
from miniagents.testing import evaluate, simulate
from tests.reference.markdown import cell, code

HIDDEN = frozenset({"self", "ctx"})
"""Parameters that callers do not give."""

LONGEST = 60
"""Letters of a default that is shown. A longer one is a prompt."""


class Options(NamedTuple):
    """One table of the page.

    Attributes:
        title: What takes the options, as callers write it.
        target: The function or class.
        more: Functions with further parameters that `target` takes as `**arguments`, such as the function of an agent.
    """

    title: str
    target: Callable[..., Any]
    more: Callable[..., Any] | None = None


SECTIONS: Mapping[str, tuple[Options, ...]] = {
    "Systems": (Options("MiniAgents", MiniAgents), Options("ActorSystem", ActorSystem)),
    "Actors": (
        Options("SpawnOptions", SpawnOptions),
        Options("Mailbox", Mailbox),
        Options("RetryPolicy", RetryPolicy),
        Options("ref.ask", ActorRef.ask),
    ),
    "Supervision": (
        Options("Supervisor", Supervisor),
        Options("ChildSpec", ChildSpec),
        Options("OneForOne, OneForAll, RestForOne, SimpleOneForOne", Strategy),
        Options("Backoff", Backoff),
        Options("Pool", Pool),
        Options("system.pool", ActorSystem.pool),
    ),
    "Agents": (
        Options("miniagent", miniagent),
        Options("agent.fork", MiniAgent.fork),
        Options("agent.inquire", MiniAgent.inquire),
        Options("system.run_job", MiniAgents.run_job),
    ),
    "Many promises": (Options("gather", gather), Options("as_completed", as_completed), Options("merge", merge)),
    "Agents that talk to models": (
        Options("OpenAIAgent.fork, AnthropicAgent.fork, ScriptedModel.fork", LLMAgent.fork, llm_agent.wrapped),
        Options("RateLimit", RateLimit),
        Options("Budget", Budget),
        Options("Price", Price),
        Options("Compact", Compact),
        Options("Cache", Cache),
        Options("Fallback", Fallback),
        Options("Tool", Tool),
    ),
    "Journals": (Options("SqliteJournal", SqliteJournal), Options("MemoryJournal", MemoryJournal)),
    "Services": (
        Options("agent_app", agent_app),
        Options("Served", Served),
        Options("Limits", Limits),
        Options("MemoryConversations", MemoryConversations),
        Options("SqliteConversations", SqliteConversations),
        Options("MemoryResponses", MemoryResponses),
    ),
    "Model Context Protocol": (Options("McpServer", McpServer), Options("McpApp", McpApp)),
    "Observers and telemetry": (
        Options("WebObserver", WebObserver),
        Options("instrument", instrument),
        Options("log_events", log_events),
    ),
    "Clusters": (Options("Cluster", Cluster), Options("RayCluster", RayCluster)),
    "Tests": (Options("simulate", simulate), Options("evaluate", evaluate)),
}


def tables() -> str:
    """Return the tables of the page."""
    lines: list[str] = []
    for section, entries in SECTIONS.items():
        lines += ["", f"## {section}"]
        for options in entries:
            lines += ["", f"### `{options.title}`", "", "| option | default | what it is |", "|---|---|---|"]
            lines += [f"| `{name}` | {default} | {cell(text)} |" for name, default, text in _rows(options)]
    return "\n".join([*lines[1:], ""])


def _rows(options: Options) -> list[tuple[str, str, str]]:
    texts = documentation_of(options.target).parameters
    parameters = dict(inspect.signature(options.target).parameters)
    defaults = inspect.signature(options.more).parameters if options.more is not None else {}
    names = [name for name in dict.fromkeys([*parameters, *texts]) if name in texts and name not in HIDDEN]
    rows = []
    for name in names:
        parameter = parameters.get(name) or defaults.get(name)
        if parameter is None or parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            stars = "*" if parameter is not None and parameter.kind is parameter.VAR_POSITIONAL else "**"
            rows.append((f"{stars}{name}", "", texts[name]))
        else:
            rows.append((name, shown_default(parameter.default, texts[name]), texts[name]))
    return rows


def shown_default(default: object, text: str) -> str:
    """Return a default as callers would write it; "required" where there is none.

    Args:
        default: The default, or `inspect.Parameter.empty`.
        text: The description of the parameter, which tells whether a number is one of bytes.
    """
    if default is inspect.Parameter.empty:
        return "required"
    if isinstance(default, enum.Enum):
        return code(f"{type(default).__name__}.{default.name}") if default.name != "TOKEN" else "a token"
    if isinstance(default, Mapping) and not default:
        return code("{}")
    if isinstance(default, Mailbox):
        return code("Mailbox()")
    if isinstance(default, int) and not isinstance(default, bool):
        return code(shown_number(default, is_bytes="bytes" in text.lower()))
    if callable(default):
        return code(getattr(default, "__name__", type(default).__name__))
    if isinstance(default, str) and len(default) > LONGEST:
        return "a text"
    return code(re.sub(r"<class '([\w.]+)'>", r"\1", repr(default)))


def shown_number(number: int, *, is_bytes: bool) -> str:
    """Return a number for people: `8 MiB`, `1_000`.

    Args:
        number: The number.
        is_bytes: Whether it is a number of bytes.
    """
    for size, unit in ((1024**2, "MiB"), (1024, "KiB")):
        if is_bytes and number and number % size == 0:
            return f"{number // size} {unit}"
    return f"{number:_}" if number >= 1000 else str(number)

"""Histories of conversations, in memory and in Markdown files."""

import asyncio
import re
import weakref
from pathlib import Path
from typing import Any

from miniagents.agents import InteractionContext, Live, miniagent
from miniagents.ext.agents.known import known
from miniagents.messages import AssistantMessage, Message, SystemMessage, TextMessage, UserMessage

GLOBAL_MESSAGE_HISTORY: list[Message] = []
"""Where `in_memory_history_agent` keeps messages, unless it is given another list."""

_LINE = "=" * 40
_HEADING = re.compile(r"(system|user|assistant)(?:\s*/\s*(\S+))?", re.IGNORECASE)
_KINDS: dict[str, type[TextMessage]] = {
    "system": SystemMessage,
    "user": UserMessage,
    "assistant": AssistantMessage,
}


@miniagent(non_freezable_kwargs={"message_list": GLOBAL_MESSAGE_HISTORY})
async def in_memory_history_agent(
    ctx: InteractionContext, message_list: list[Message], return_full_history: bool = False
) -> None:
    """Keeps messages in a list.

    Args:
        ctx: The context.
        message_list: The list; give your own through `non_freezable_kwargs`.
        return_full_history: Reply with the whole list, and not only with what came.
    """
    if not return_full_history:
        ctx.reply(ctx.message_promises)
    message_list.extend(await ctx.message_promises)
    if return_full_history:
        ctx.reply(list(message_list))


@miniagent(alias="MarkdownHistoryAgent")
async def MarkdownHistoryAgent(
    ctx: InteractionContext,
    history_md_file: str = "CHAT.md",
    default_role: str = "assistant",
    return_full_history: bool = False,
    history_message_factory: Live[Any] = None,
    append: bool = True,
    skip_empty: bool = True,
    ignore_no_history: bool = False,
) -> None:
    """Keeps a conversation in a Markdown file, where it is read from after the program was started again.

    Messages without a role that conversations have (results of tools) are not written, and neither are those with
    `no_history` in their metadata. Calls that are about the same file wait for each other.

    Args:
        ctx: The context.
        history_md_file: The path of the file.
        default_role: The role of messages that have none.
        return_full_history: Reply with the whole conversation, and not only with what came.
        history_message_factory: Makes a message of `content=`, `role=` and `model=` (None where there is none); by
            default a `UserMessage`, `SystemMessage` or `AssistantMessage`.
        append: Go on with the file that is there; otherwise replace it.
        skip_empty: Leave messages without text out of what is read.
        ignore_no_history: Write messages with `no_history` all the same.
    """
    if not return_full_history:
        ctx.reply(ctx.message_promises)
    path = Path(history_md_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    locks: Any = ctx.system.shared("chat files", weakref.WeakValueDictionary)  # as long as somebody writes or waits
    lock = locks.setdefault(path.resolve(), asyncio.Lock())
    async with lock:
        with path.open("a" if append else "w", buffering=1, encoding="utf-8") as file:
            async for promise in ctx.message_promises:
                if known(promise, "no_history") and not ignore_no_history:
                    continue
                role = str(known(promise, "role") or default_role)
                if role not in _KINDS:
                    continue
                model = known(promise, "model")
                file.write(f"\n{role}{f' / {model}' if model else ''}\n{_LINE}\n")
                escape = _Escape()
                async for token in promise:
                    file.write(escape.feed(str(token)))
                file.write(escape.rest() + "\n")
        if return_full_history:
            ctx.reply(_read(path, history_message_factory or _message, skip_empty))


def _read(path: Path, factory: Any, skip_empty: bool) -> list[Message]:
    """The conversation in a file."""
    lines = path.read_text(encoding="utf-8").split("\n")
    found: list[tuple[str, str | None, list[str]]] = []
    at = 0
    while at < len(lines):
        heading = _HEADING.fullmatch(lines[at].strip()) if at + 1 < len(lines) else None
        if heading and len(lines[at + 1].strip()) >= 3 and not lines[at + 1].strip("= "):
            found.append((heading[1].lower(), heading[2], []))
            at += 2
            continue
        if found:
            found[-1][2].append(_unescaped(lines[at]))
        at += 1
    messages = []
    for role, model, content in found:
        text = _without_empty_ends(content)
        if text.strip() or not skip_empty:
            messages.append(factory(content=text, role=role, model=model))
    return messages


def _message(content: str, role: str, model: str | None) -> Message:
    metadata = {"model": model} if model else {}
    return _KINDS[role](content).with_metadata(**metadata)


def _without_empty_ends(lines: list[str]) -> str:
    first, last = 0, len(lines)
    while first < last and not lines[first].strip():
        first += 1
    while first < last and not lines[last - 1].strip():
        last -= 1
    return "\n".join(lines[first:last])


class _Escape:
    """Puts a backslash before lines that begin with `=`: what somebody says must not look like the next message."""

    def __init__(self) -> None:
        self._at_line_start = True
        self._held = ""

    def feed(self, text: str) -> str:
        """The text as it is written; a backslash that begins a line waits for what comes next."""
        text, self._held = self._held + text, ""
        done = []
        for line in text.splitlines(keepends=True):
            if self._at_line_start:
                bare = line.lstrip("\\")
                if not bare:
                    self._held = line
                    continue
                if bare.startswith("="):
                    line = f"\\{line}"
            self._at_line_start = line.endswith("\n")
            done.append(line)
        return "".join(done)

    def rest(self) -> str:
        """What still waits."""
        return self._held


def _unescaped(line: str) -> str:
    return line[1:] if re.match(r"\\+=", line) else line

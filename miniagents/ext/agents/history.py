"""`in_memory_history_agent` and `MarkdownHistoryAgent`: histories of conversations."""

import asyncio
import re
import weakref
from collections.abc import Callable
from pathlib import Path

from miniagents.agents import InteractionContext, Live, miniagent
from miniagents.ext.agents.known import known
from miniagents.messages import AssistantMessage, Message, SystemMessage, TextMessage, UserMessage

GLOBAL_MESSAGE_HISTORY: list[Message] = []
"""The list in which `in_memory_history_agent` keeps messages by default."""

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
    """Keep messages in a list.

    Args:
        ctx: The context.
        message_list: The list; give your own through `non_freezable_kwargs`.
        return_full_history: Reply with the whole list, instead of the messages of the call.

    Example:
        ```python
        from miniagents import MiniAgents
        from miniagents.ext.agents import in_memory_history_agent

        async def main() -> None:
            history = in_memory_history_agent.fork(non_freezable_kwargs={"message_list": []})
            await history.inquire("one")
            print(len(await history.inquire("two", return_full_history=True)))  # 2

        MiniAgents().run(main())
        ```
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
    history_message_factory: Live[Callable[..., Message] | None] = None,
    append: bool = True,
    skip_empty: bool = True,
    ignore_no_history: bool = False,
) -> None:
    """Keep a conversation in a Markdown file, from which another run of the program can read it.

    Messages whose role is not "user", "assistant" or "system" (results of tools) are not written, and neither are
    messages with `no_history` in their metadata. Calls for the same file wait for each other.

    Args:
        ctx: The context.
        history_md_file: The path of the file.
        default_role: The role of messages that have none.
        return_full_history: Reply with the whole conversation, instead of the messages of the call.
        history_message_factory: Makes a message of `content=`, `role=` and `model=` (None if there is none); None for a
            `UserMessage`, `SystemMessage` or `AssistantMessage`.
        append: Continue an existing file, instead of replacing it.
        skip_empty: Leave messages without text out of the conversation that is read.
        ignore_no_history: Write messages with `no_history`, too.

    Example:
        ```python
        from miniagents import MiniAgents, UserMessage
        from miniagents.ext.agents import MarkdownHistoryAgent

        async def main() -> None:
            history = MarkdownHistoryAgent.fork(history_md_file="CHAT.md")
            await history.inquire(UserMessage("Hi"))
            print(await history.inquire(return_full_history=True))  # Hi

        MiniAgents().run(main())
        ```
    """
    if not return_full_history:
        ctx.reply(ctx.message_promises)
    path = Path(history_md_file)
    path.parent.mkdir(parents=True, exist_ok=True)
    locks: weakref.WeakValueDictionary[Path, asyncio.Lock]
    locks = ctx.system.shared("chat files", weakref.WeakValueDictionary)  # a lock lives while a call uses it
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


def _read(path: Path, factory: Callable[..., Message], skip_empty: bool) -> list[Message]:
    """Read the conversation in a file."""
    lines = path.read_text(encoding="utf-8").split("\n")
    sections: list[tuple[str, str | None, list[str]]] = []
    at = 0
    while at < len(lines):
        heading = _HEADING.fullmatch(lines[at].strip()) if at + 1 < len(lines) else None
        if heading and len(lines[at + 1].strip()) >= 3 and not lines[at + 1].strip("= "):
            sections.append((heading[1].lower(), heading[2], []))
            at += 2
            continue
        if sections:
            sections[-1][2].append(_unescaped(lines[at]))
        at += 1
    messages = []
    for role, model, content in sections:
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
    """Puts a backslash before lines that begin with `=`, so that a text does not look like the start of a message."""

    def __init__(self) -> None:
        self._at_line_start = True
        self._held = ""

    def feed(self, text: str) -> str:
        """Return the escaped text; a backslash at the start of a line is held until the next character is known."""
        text, self._held = self._held + text, ""
        escaped = []
        for line in text.splitlines(keepends=True):
            if self._at_line_start:
                bare = line.lstrip("\\")
                if not bare:
                    self._held = line
                    continue
                if bare.startswith("="):
                    line = f"\\{line}"
            self._at_line_start = line.endswith("\n")
            escaped.append(line)
        return "".join(escaped)

    def rest(self) -> str:
        """Return the held backslashes, at the end of the text."""
        return self._held


def _unescaped(line: str) -> str:
    return line[1:] if re.match(r"\\+=", line) else line

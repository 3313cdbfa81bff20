"""Agents at the console."""

import re
import sys
from typing import Any

from miniagents.agents import InteractionContext, miniagent
from miniagents.errors import MissingDependencyError
from miniagents.ext.agents.known import known
from miniagents.messages import UserMessage

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def shown(text: str) -> str:
    """Text as it may go to a terminal: without control characters, so that no model moves the cursor or worse."""
    return _CONTROL.sub("", text)


@miniagent
async def console_output_agent(
    ctx: InteractionContext,
    assistant_style: str | int = "92;1",
    mention_aliases: bool = True,
    default_role: str = "assistant",
) -> None:
    """Prints messages token by token, and replies with them.

    Args:
        ctx: The context.
        assistant_style: The style, as ANSI's codes have it; `console_style` in a message's metadata wins.
        mention_aliases: Whether to print who speaks.
        default_role: Who speaks where nothing else is known.
    """
    ctx.reply(ctx.message_promises)
    coloured = sys.stdout.isatty()

    def show(text: str, style: object) -> None:
        text = shown(text)
        if text:
            sys.stdout.write(f"\033[{style}m{text}\033[0m" if coloured else text)
            sys.stdout.flush()

    async for promise in ctx.message_promises:
        style = known(promise, "console_style") or assistant_style
        if mention_aliases:
            name = known(promise, "agent_alias") or known(promise, "role") or default_role
            show(f"{str(name).upper()}: ", style)
        async for token in promise:
            show(str(token), style)
        sys.stdout.write("\n\n")
        sys.stdout.flush()


@miniagent
async def console_input_agent(
    ctx: InteractionContext, greeting: str = "YOU ARE NOW IN A CHAT WITH AN AI ASSISTANT"
) -> None:
    """Hands messages on, and adds what the user types. Ctrl+C, Ctrl+D or "exit" raise `KeyboardInterrupt`.

    Args:
        ctx: The context.
        greeting: What is printed before the first question.

    Raises:
        MissingDependencyError: prompt_toolkit is not installed.
        KeyboardInterrupt: The user wants to end.
    """
    session = ctx.system.shared("console", _session)
    ctx.reply(ctx.message_promises)
    if not await ctx.message_promises:
        sys.stdout.write(
            f"\n{greeting}\n\nPress Enter to send your message.\nPress Ctrl+Space or Alt+Enter to insert a newline.\n"
            f'Press Ctrl+C (or type "exit") to quit the conversation.\n\n'
        )
        sys.stdout.flush()
    try:
        text: str = await session.prompt_async("USER: ")
    except EOFError:
        raise KeyboardInterrupt from None
    sys.stdout.write("\n")
    if text.strip() == "exit":
        raise KeyboardInterrupt
    if text.strip():
        ctx.reply(UserMessage(text))


def _session() -> Any:
    try:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.key_binding import KeyBindings
    except ImportError as error:
        raise MissingDependencyError(
            "console_input_agent needs prompt_toolkit: pip install 'miniagents[cli]'"
        ) from error
    bindings = KeyBindings()

    @bindings.add("enter")
    def _(event: Any) -> None:
        event.current_buffer.validate_and_handle()

    @bindings.add("c-space")
    @bindings.add("escape", "enter")
    def _(event: Any) -> None:
        event.current_buffer.insert_text("\n")

    return PromptSession(multiline=True, key_bindings=bindings)

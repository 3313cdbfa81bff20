"""`console_output_agent` and `console_input_agent`: a user at the console."""

import os
import re
import sys
from typing import Any

from miniagents.agents import InteractionContext, miniagent
from miniagents.errors import MissingDependencyError
from miniagents.ext.agents.known import known
from miniagents.messages import UserMessage
from miniagents.messages.tokens import ReasoningToken

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def shown(text: str) -> str:
    """Return a text without control characters, so that no model controls the terminal."""
    return _CONTROL.sub("", text)


@miniagent
async def console_output_agent(
    ctx: InteractionContext,
    assistant_style: str | int = "92;1",
    mention_aliases: bool = True,
    default_role: str = "assistant",
    reasoning_style: str | int | None = "2",
) -> None:
    """Print messages token by token, and reply with the same messages.

    The reasoning of models is printed before their answers, in a style of its own.

    Args:
        ctx: The context.
        assistant_style: The style, in ANSI codes; `console_style` in the metadata of a message replaces it. There is
            none if the output is no terminal, or the environment variable NO_COLOR is set.
        mention_aliases: Whether to print the alias or role of the sender before each message.
        default_role: The name to print for a message without alias and role.
        reasoning_style: The style of reasoning, in ANSI codes; None to leave reasoning out.

    Example:
        ```python
        from miniagents import MiniAgents
        from miniagents.ext.agents import console_output_agent

        async def main() -> None:
            await console_output_agent.inquire("Hello!")  # prints ASSISTANT: Hello!

        MiniAgents().run(main())
        ```
    """
    ctx.reply(ctx.message_promises)
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")

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
        is_reasoning = False
        async for token in promise:
            if isinstance(token, ReasoningToken):
                if reasoning_style is not None:
                    is_reasoning = True
                    show(token.content, reasoning_style)
                continue
            text = str(token)
            if text and is_reasoning:
                is_reasoning = False
                text = f"\n\n{text}"
            show(text, style)
        sys.stdout.write("\n\n")
        sys.stdout.flush()


@miniagent
async def console_input_agent(
    ctx: InteractionContext, greeting: str = "YOU ARE NOW IN A CHAT WITH AN AI ASSISTANT"
) -> None:
    """Reply with the messages and with the user's next input. Ctrl+C, Ctrl+D or "exit" raise `KeyboardInterrupt`.

    Args:
        ctx: The context.
        greeting: A text to print before the first input.

    Raises:
        MissingDependencyError: prompt_toolkit is not installed.
        KeyboardInterrupt: The user ended the dialog.

    Example:
        ```python
        import asyncio

        from miniagents import MiniAgents
        from miniagents.ext.agents import AWAIT, agent_loop, console_input_agent, console_output_agent

        async def main() -> None:  # an echo, until the user types "exit"
            loop = agent_loop.fork(agents=(console_input_agent, console_output_agent, AWAIT))
            await loop.inquire(raise_keyboard_interrupt=False)
        ```
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

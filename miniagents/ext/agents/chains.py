"""Chains, loops and dialogs of agents."""

from collections.abc import Iterable

from miniagents.agents import InteractionContext, MiniAgent, miniagent
from miniagents.errors import InvalidOptionError
from miniagents.ext.agents.console import console_input_agent, console_output_agent
from miniagents.ext.agents.history import in_memory_history_agent
from miniagents.messages import Message, Sendable
from miniagents.promising import Promise

AWAIT = "AWAIT"
"""An item of a chain: wait until all messages before it have arrived."""
CLEAR = "CLEAR"
"""An item of a chain: drop all messages before it."""


@miniagent
async def agent_chain(ctx: InteractionContext, agents: Iterable[MiniAgent | str | None]) -> None:
    """Pass messages through agents: each one gets the replies of the one before, and the last one's are the reply.

    Args:
        ctx: The context.
        agents: The agents. None is skipped, `AWAIT` waits for all messages before it, `CLEAR` drops them.

    Example:
        ```python
        from miniagents import InteractionContext, MiniAgents, miniagent
        from miniagents.ext.agents import agent_chain

        @miniagent
        async def louder(ctx: InteractionContext) -> None:
            ctx.reply(f"{await ctx.message_promises}!")

        async def main() -> None:
            print(await agent_chain.inquire("Hi", agents=[louder, louder]))  # Hi!!

        MiniAgents().run(main())
        ```
    """
    ctx.reply(await _chained(agents, ctx.message_promises))


@miniagent
async def agent_loop(
    ctx: InteractionContext, agents: Iterable[MiniAgent | str | None], raise_keyboard_interrupt: bool = True
) -> None:
    """Pass messages through a chain of agents again and again, until an agent raises `KeyboardInterrupt`.

    Args:
        ctx: The context.
        agents: The chain, as for `agent_chain`. It must have an `AWAIT`: a round ends there before the next one begins.
        raise_keyboard_interrupt: Whether the caller gets the `KeyboardInterrupt`.

    Raises:
        InvalidOptionError: There is no `AWAIT`, or no agent.

    Example:
        ```python
        from miniagents import InteractionContext, MiniAgents, miniagent
        from miniagents.ext.agents import AWAIT, agent_loop

        @miniagent
        async def countdown(ctx: InteractionContext) -> None:
            number = int(str(await ctx.message_promises))
            print(number)
            if number == 0:
                raise KeyboardInterrupt
            ctx.reply(str(number - 1))

        async def main() -> None:
            await agent_loop.inquire("2", agents=[countdown, AWAIT], raise_keyboard_interrupt=False)  # 2, 1, 0

        MiniAgents().run(main())
        ```
    """
    agents = tuple(agents)
    if AWAIT not in agents or not any(isinstance(agent, MiniAgent) for agent in agents):
        raise InvalidOptionError(
            f"{ctx.interaction.path}: agents= needs {AWAIT!r} and an agent: without them the loop would begin rounds "
            f"without end, and never wait for one"
        )
    messages: Sendable = ctx.message_promises
    try:
        while True:
            messages = await _chained(agents, messages)
    except KeyboardInterrupt:
        if raise_keyboard_interrupt:
            raise


async def _chained(agents: Iterable[MiniAgent | str | None], messages: Sendable) -> Sendable:
    for agent in agents:
        if agent is None:
            continue
        if isinstance(agent, MiniAgent):
            messages = agent.inquire(messages)
        elif agent == AWAIT:
            if isinstance(messages, Promise):
                messages = await messages
        elif agent == CLEAR:
            messages = ()
        else:
            raise InvalidOptionError(f"a chain has agents, {AWAIT!r}, {CLEAR!r} and None, not {agent!r}")
    return messages


@miniagent
async def user_agent(
    ctx: InteractionContext,
    output_agent: MiniAgent | None = None,
    input_agent: MiniAgent | None = None,
    history_agent: MiniAgent | None = in_memory_history_agent,
) -> None:
    """The user's side of a dialog: show the messages, read the user's input, and reply with the whole history.

    Args:
        ctx: The context.
        output_agent: Shows messages to the user, or None.
        input_agent: Replies with the messages and the user's input, or None.
        history_agent: Keeps the history and replies with it, or None.

    Example:
        ```python
        from miniagents import InteractionContext, MiniAgents, UserMessage, miniagent
        from miniagents.ext.agents import console_output_agent, in_memory_history_agent, user_agent

        @miniagent
        async def say_hi(ctx: InteractionContext) -> None:
            ctx.reply([ctx.message_promises, UserMessage("Hi")])

        async def main() -> None:
            history = in_memory_history_agent.fork(non_freezable_kwargs={"message_list": []})
            user = user_agent.fork(output_agent=console_output_agent, input_agent=say_hi, history_agent=history)
            print(len(await user.inquire("How are you?")))  # 2

        MiniAgents().run(main())
        ```
    """
    history = history_agent.fork(return_full_history=True) if history_agent is not None else None
    ctx.reply(agent_chain.inquire(ctx.message_promises, agents=(output_agent, input_agent, history)))


console_user_agent = user_agent.fork(
    alias="console_user_agent", output_agent=console_output_agent, input_agent=console_input_agent
)
"""A user at the console."""


@miniagent
async def dialog_loop(
    ctx: InteractionContext,
    user_agent: MiniAgent | None,
    assistant_agent: MiniAgent | None,
    prompt_at_the_end: bool = True,
) -> None:
    """Run a dialog between a user and an assistant, until the user ends it.

    The messages of the call are a prompt for the assistant: the user does not see them, and no history keeps them.

    Args:
        ctx: The context.
        user_agent: The user's side, such as `console_user_agent`.
        assistant_agent: The assistant, which gets the whole history.
        prompt_at_the_end: Whether the prompt comes after the history, instead of before it.

    Example:
        ```python
        import asyncio

        from miniagents import MiniAgents
        from miniagents.ext.agents import console_user_agent, dialog_loop
        from miniagents.ext.llms import OpenAIAgent

        async def main() -> None:
            assistant = OpenAIAgent.fork(model="gpt-5-mini")
            await dialog_loop.inquire("Be brief.", user_agent=console_user_agent, assistant_agent=assistant)
        ```
    """
    prompt = await ctx.message_promises
    if prompt and assistant_agent is not None:
        assistant_agent = prompt_agent.fork(
            target_agent=assistant_agent,
            prompt_prefix=() if prompt_at_the_end else prompt,
            prompt_suffix=prompt if prompt_at_the_end else (),
        )
    ctx.reply(agent_loop.inquire(agents=(user_agent, AWAIT, assistant_agent), raise_keyboard_interrupt=False))


@miniagent
async def prompt_agent(
    ctx: InteractionContext,
    target_agent: MiniAgent,
    prompt_prefix: tuple[Message, ...] = (),
    prompt_suffix: tuple[Message, ...] = (),
) -> None:
    """Pass messages to another agent, with a prompt before or after them.

    Args:
        ctx: The context.
        target_agent: The other agent, whose replies are the reply.
        prompt_prefix: The messages to send before.
        prompt_suffix: The messages to send after.

    Example:
        ```python
        from miniagents import MiniAgents, SystemMessage
        from miniagents.ext.agents import prompt_agent
        from miniagents.ext.llms import OpenAIAgent

        async def main() -> None:
            brief = prompt_agent.fork(
                target_agent=OpenAIAgent.fork(model="gpt-5-mini"), prompt_prefix=(SystemMessage("Be brief."),)
            )
            print(await brief.inquire("What is an actor?"))

        MiniAgents().run(main())
        ```
    """
    ctx.reply(target_agent.inquire([prompt_prefix, ctx.message_promises, prompt_suffix]))

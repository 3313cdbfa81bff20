"""Chains, loops and dialogs of agents."""

from collections.abc import Iterable

from miniagents.agents import InteractionContext, MiniAgent, miniagent
from miniagents.errors import InvalidOptionError
from miniagents.ext.agents.console import console_input_agent, console_output_agent
from miniagents.ext.agents.history import in_memory_history_agent
from miniagents.messages import Message, Sendable
from miniagents.promising import Promise

AWAIT = "AWAIT"
"""In a chain: wait here until everything before it is there."""
CLEAR = "CLEAR"
"""In a chain: forget what came so far."""


@miniagent
async def agent_chain(ctx: InteractionContext, agents: Iterable[MiniAgent | str | None]) -> None:
    """Hands messages from one agent to the next, and replies with what the last one replies.

    Args:
        ctx: The context.
        agents: The agents; None is left out, `AWAIT` waits for what came so far, `CLEAR` forgets it.
    """
    ctx.reply(await _chained(agents, ctx.message_promises))


@miniagent
async def agent_loop(
    ctx: InteractionContext, agents: Iterable[MiniAgent | str | None], raise_keyboard_interrupt: bool = True
) -> None:
    """Hands messages round and round, until an agent raises `KeyboardInterrupt`.

    Args:
        ctx: The context.
        agents: As for `agent_chain`; one of them must be `AWAIT`, or the rounds would begin without end.
        raise_keyboard_interrupt: Whether `KeyboardInterrupt` goes on to the caller.

    Raises:
        InvalidOptionError: There is no `AWAIT`, or no agent.
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
    """The user's side of a dialog: shows the messages, reads what the user says, and replies with the whole history.

    Args:
        ctx: The context.
        output_agent: Shows messages.
        input_agent: Reads what the user says.
        history_agent: Keeps the history.
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
    """A dialog between a user and an assistant, until the user ends it.

    The messages that it is called with are a prompt for the assistant: the user does not see them, and they are in no
    history.

    Args:
        ctx: The context.
        user_agent: The user.
        assistant_agent: The assistant; it gets the whole history.
        prompt_at_the_end: Whether the prompt comes after the history, or before it.
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
    """Hands messages to another agent, with a prompt before or after them.

    Args:
        ctx: The context.
        target_agent: The other agent.
        prompt_prefix: What comes before.
        prompt_suffix: What comes after.
    """
    ctx.reply(target_agent.inquire([prompt_prefix, ctx.message_promises, prompt_suffix]))

"""`InputRequired`: the question of a remote agent in the middle of a task, and who answers it."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from miniagents.agents import AgentRef, MiniAgent
from miniagents.messages import Message, to_message


class InputRequired(Message):
    """The question of a remote agent, whose task goes on with the answer.

    The text of the question is the remote agent's. Show it as such, and give it no secrets.

    Attributes:
        question: The question.
        url: The address of the agent.
        task_id: The id of the task.
        context_id: The id of the conversation.

    Example:
        >>> print(InputRequired(question="Which colour?", url="https://shop.example.com", task_id="1", context_id="2"))
        Which colour?
    """

    question: str
    url: str
    task_id: str
    context_id: str

    def __str__(self) -> str:
        return self.question


Answer: TypeAlias = str | Mapping[str, Any] | Message | None
"""The answer to a question: a text, data, or a message; None for no answer."""

OnInput: TypeAlias = MiniAgent | AgentRef | Callable[[InputRequired], Answer | Awaitable[Answer]]
"""An agent, or a function, async or not, that answers questions."""


async def answer_of(on_input: OnInput | None, question: InputRequired) -> Message | None:
    """Return the answer to a question; None if nobody gives one.

    Args:
        on_input: The agent or function that answers, or None.
        question: The question.
    """
    if on_input is None:
        return None
    if isinstance(on_input, (MiniAgent, AgentRef)):
        return (await on_input.inquire(question).answer())[-1]
    answer = on_input(question)
    if inspect.isawaitable(answer):
        answer = await answer
    return to_message(answer) if answer is not None else None

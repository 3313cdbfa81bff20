"""What type checkers see of agents that talk to models: options, and the types of their replies."""

# pyright: strict, reportUnnecessaryTypeIgnoreComment=true

from typing import Any, Literal, Unpack, assert_type

import msgspec

from miniagents import AgentPoolRef, AgentRef, Messages, MessageSequencePromise, MiniAgent, MiniAgents
from miniagents.ext.llms import (
    AnthropicAgent,
    Citation,
    EmbeddingMessage,
    Fallback,
    LLMAgent,
    LLMOptions,
    LocalAgent,
    OpenAIAgent,
    ReplyMessage,
    Usage,
    openai_embedding_agent,
)
from miniagents.testing import FakeProvider, Script, ScriptedModel

SHARED: LLMOptions = {"model": "gpt-5-mini", "max_turns": 3, "temperature": 0}


class Person(msgspec.Struct):
    name: str


async def replies() -> None:
    reply = (await OpenAIAgent.inquire("x", model="gpt-5-mini"))[-1]
    assert_type(reply, ReplyMessage[Any])
    assert_type(reply.usage, Usage)
    assert_type(reply.reasoning, str)
    assert_type(reply.citations, tuple[Citation, ...])
    assert_type(reply.text, str)
    async for promise in AnthropicAgent.inquire("x"):
        assert_type((await promise).stop_reason, str | None)


async def outputs(system: MiniAgents) -> None:
    person = OpenAIAgent.fork(output=Person, model="gpt-5-mini")
    assert_type(person, LLMAgent[Person])
    assert_type(person.fork(model="gpt-5"), LLMAgent[Person])
    assert_type((await person.inquire("x"))[-1].output, Person)
    assert_type((await person.inquire("x").answer())[-1].output.name, str)
    assert_type(await OpenAIAgent.inquire("x", output=list[Person]), Messages[ReplyMessage[list[Person]]])
    assert_type(LocalAgent.initiate_call(output=Person).reply_sequence(), MessageSequencePromise[ReplyMessage[Person]])
    assert_type(system.spawn(person), AgentRef[ReplyMessage[Person]])
    assert_type(await system.pool(person, size=2), AgentPoolRef[ReplyMessage[Person]])
    assert_type(Fallback(person, AnthropicAgent.fork(output=Person)), MiniAgent[ReplyMessage[Person]])
    any_agent: MiniAgent = person
    print((await person.inquire("x"))[-1].output.nmae)  # type: ignore[attr-defined]
    texts: LLMAgent[str] = person  # type: ignore[assignment]
    del any_agent, texts


def special_forms() -> None:
    assert_type(OpenAIAgent.fork(output=int | None), LLMAgent[Any])
    assert_type(OpenAIAgent.fork(output=Literal["yes", "no"]), LLMAgent[Any])
    assert_type(OpenAIAgent.fork(output=None), LLMAgent[Any])


def options(**given: Unpack[LLMOptions]) -> None:
    assert_type(OpenAIAgent.fork(**given), LLMAgent[Any])
    assert_type(OpenAIAgent.fork(**SHARED), LLMAgent[Any])
    OpenAIAgent.fork(tools=[len], **FakeProvider().openai)
    AnthropicAgent.fork(**SHARED).inquire("x", max_tokens=5)
    OpenAIAgent.fork(max_turn=2)  # type: ignore[call-overload]
    OpenAIAgent.fork(budget=1.0)  # type: ignore[call-overload]
    OpenAIAgent.inquire("x", instructions="y")  # type: ignore[call-overload]
    OpenAIAgent.fork(output=Person, model=3)  # type: ignore[call-overload]


async def scripted() -> None:
    model = ScriptedModel.fork(script=Script("Hello!"), output=Person)
    assert_type((await model.inquire("x"))[-1].output, Person)
    assert_type((await ScriptedModel.fork(script=Script("Hello!")).inquire("x"))[-1].usage, Usage)
    ScriptedModel.fork(script="Hello!")  # type: ignore[call-overload]


async def embeddings() -> None:
    for message in await openai_embedding_agent.inquire("x", model="text-embedding-3-small"):
        assert_type(message, EmbeddingMessage)

"""Every request to a model goes through `requesting.ask`."""

from typing import Any

import pytest

from miniagents import Interaction, MiniAgents
from miniagents.ext.llms import Cache, Fallback, OpenAIAgent, openai_embedding_agent, requesting
from miniagents.ext.llms.attempting import Sink, Terms
from miniagents.ext.llms.provider import Answer, ModelRequest, Provider
from miniagents.messages import Message
from miniagents.testing import Call, FakeProvider, Reply, Script, ScriptedModel

pytestmark = pytest.mark.real_time


class Recorder:
    """Takes the place of `ask`: it records the answers, or gives those that it has instead of sending a request."""

    def __init__(self, *answers: Answer) -> None:
        self._ask = requesting.ask
        self._recorded = list(answers)
        self.answers: list[Answer] = []

    async def __call__(
        self, provider: Provider, request: ModelRequest, sink: Sink, terms: Terms, interaction: Interaction
    ) -> Answer:
        if self._recorded:
            answer = self._recorded.pop(0)
            for token in answer.tokens:
                sink.push(token)
        else:
            answer = await self._ask(provider, request, sink, terms, interaction)
        self.answers.append(answer)
        return answer


def add(a: int, b: int) -> int:
    return a + b


async def say_hi(provider: FakeProvider) -> list[list[Message]]:
    chat = OpenAIAgent.fork(model="gpt-5-mini", tools=[add], **provider.openai)
    agents = [chat, Fallback(chat), openai_embedding_agent.fork(model="e", **provider.openai)]
    async with MiniAgents():
        return [list(await agent.inquire("Hi")) for agent in agents]


async def test_what_takes_the_place_of_ask_records_every_request_and_replays_it_without_any(
    fake_provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = Reply("Let me see.", calls=(Call("add", {"a": 1, "b": 2}),))
    fake_provider.reset(call, "three", call, "three again")
    recorder = Recorder()
    monkeypatch.setattr(requesting, "ask", recorder)
    said = await say_hi(fake_provider)
    sent = len(fake_provider.exchanges)
    assert len(recorder.answers) == sent == 5
    assert [len(messages) for messages in said] == [3, 3, 1]

    replayer = Recorder(*recorder.answers)
    monkeypatch.setattr(requesting, "ask", replayer)

    assert await say_hi(fake_provider) == said
    assert len(fake_provider.exchanges) == sent


async def test_an_answer_can_be_made_again_from_its_tokens_and_its_message(fake_provider: FakeProvider) -> None:
    reply = Reply("one two", calls=(Call("add", {"a": 1, "b": 2}), Call("add", {"a": 3, "b": 4})), stop_reason="stop")
    script, answers = Script(reply, "done"), list[Answer]()

    class Kept(Recorder):
        async def __call__(self, *args: Any) -> Answer:
            answers.append(await super().__call__(*args))
            return answers[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requesting, "ask", Kept())
        async with MiniAgents():
            await ScriptedModel.fork(script=script, tools=[add]).inquire("Hi")

    for answer in answers:
        again = Answer.from_reply(answer.tokens, answer.message())
        assert again.message() == answer.message()
        assert again.tool_calls == answer.tool_calls
        assert again.usage == answer.usage
        assert again.stop_reason == answer.stop_reason
        assert not again.is_cached


async def test_a_cached_answer_has_the_metadata_of_the_agent_that_asks_and_of_no_other() -> None:
    script, cache = Script("Hello"), Cache()
    async with MiniAgents():
        first = ScriptedModel.fork(alias="first", script=script, cache=cache, response_metadata={"tag": "a"})
        second = ScriptedModel.fork(alias="second", script=script, cache=cache)
        await first.inquire("Hi")
        (reply,) = await second.inquire("Hi")
    assert reply.metadata["agent_alias"] == "second"
    assert reply.metadata["cached"] is True
    assert "tag" not in reply.metadata

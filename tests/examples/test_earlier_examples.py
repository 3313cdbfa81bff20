"""What users of MiniAgents 0.0.35 wrote, on this API: a dialog, a call with options, research with structured output
whose progress comes out of order."""

import asyncio

import msgspec
import pytest

from miniagents import InteractionContext, MiniAgents, UserMessage, miniagent
from miniagents.ext.agents import dialog_loop, in_memory_history_agent, user_agent
from miniagents.ext.llms import AnthropicAgent, OpenAIAgent, SystemMessage
from miniagents.testing import Exchange, FakeProvider

pytestmark = pytest.mark.real_time


async def test_a_dialog_loop_with_an_assistant(fake_provider: FakeProvider) -> None:
    fake_provider.reset("Nice to meet you.", "Good bye.")
    said = ["I am Ann.", "Bye!"]
    history: list[object] = []

    @miniagent
    async def user_input(ctx: InteractionContext) -> None:
        ctx.reply(ctx.message_promises)
        await ctx.message_promises
        if not said:
            raise KeyboardInterrupt
        ctx.reply(UserMessage(said.pop(0)))

    async with MiniAgents():
        dialog_loop.trigger(  # nobody awaits it: the system does when it ends
            SystemMessage("Be brief."),
            user_agent=user_agent.fork(
                input_agent=user_input,
                history_agent=in_memory_history_agent.fork(non_freezable_kwargs={"message_list": history}),
            ),
            assistant_agent=AnthropicAgent.fork(model="claude-haiku-4-5", max_tokens=1000, **fake_provider.anthropic),
        )
    assert [str(message) for message in history] == ["I am Ann.", "Nice to meet you.", "Bye!"]
    assert fake_provider.last.body["system"] == "Be brief."
    assert [message["role"] for message in fake_provider.last.body["messages"]] == ["user", "assistant", "user"]


async def test_a_call_with_max_tokens_and_temperature(fake_provider: FakeProvider) -> None:
    fake_provider.reset("A poem about frost.")
    agent = OpenAIAgent.fork(
        model="gpt-4o-mini", system="You are a poet.", max_tokens=1000, temperature=0.0, **fake_provider.openai
    )
    tokens = []
    async with MiniAgents():
        async for message_promise in agent.trigger("Write a poem", stream=True):
            async for token in message_promise:
                tokens.append(str(token))
    assert "".join(tokens) == "A poem about frost."
    body = fake_provider.last.body
    assert (body["max_tokens"], body["temperature"], body["stream"]) == (1000, 0.0, True)


class Query(msgspec.Struct):
    query: str
    reason: str


class Plan(msgspec.Struct):
    queries: tuple[Query, ...]


async def test_web_research_with_structured_output_and_progress_out_of_order(fake_provider: FakeProvider) -> None:
    plan = Plan(tuple(Query(name, "why not") for name in ("slow", "quick")))

    def answer(exchange: Exchange) -> str:
        prompt = exchange.prompt
        if "Plan" in prompt:
            return msgspec.json.encode(plan).decode()
        return "All in all: fine." if "Sum up" in prompt else f"found by {prompt.split()[-1]}"

    fake_provider.reset(answer)
    model = OpenAIAgent.fork(model="gpt-4o-mini", **fake_provider.openai)
    quick_is_done = asyncio.Event()

    @miniagent
    async def search(ctx: InteractionContext, query: str) -> None:
        if query == "slow":
            await quick_is_done.wait()
        found = await model.inquire(f"Search for {query}")
        ctx.reply(f"{query}: {found}")
        if query == "quick":
            asyncio.get_running_loop().call_later(0.05, quick_is_done.set)

    @miniagent
    async def research(ctx: InteractionContext) -> None:
        question = await ctx.message_promises
        ctx.reply("planning...")
        planned = await model.fork(output=Plan).inquire(["Plan", question])
        pages = []
        for query in planned[-1].output.queries:
            page = search.inquire(query=query.query)
            ctx.reply_out_of_order(page)
            pages.append(page)
        ctx.reply(model.inquire(["Sum up", pages]))

    async with MiniAgents():
        replies = [str(await promise) async for promise in research.inquire("What is new?")]
    assert replies[0] == "planning..."
    assert replies[1:] == ["quick: found by quick", "slow: found by slow", "All in all: fine."]

"""Remote agents as agents: against servers of the protocol's own SDK, over real HTTP, and against ours."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("a2a", reason="the SDK of A2A is not installed: pip install 'miniagents[a2a]'")

from a2a.server.agent_execution import RequestContext
from a2a.server.tasks import TaskUpdater
from a2a.types import Part

from miniagents import AssistantMessage, DataMessage, InteractionContext, MiniAgents, UserMessage, miniagent
from miniagents.errors import A2aError
from miniagents.ext.a2a import A2aAgent, InputRequired
from miniagents.ext.llms import ImageMessage
from miniagents.ext.serving import agent_app
from tests.ext.a2a.remote_agents import remote
from tests.ext.serving.agents import soon
from tests.ext.serving.servers import TOKEN, served

pytestmark = pytest.mark.real_time


async def spell(context: RequestContext, updater: TaskUpdater) -> None:
    for number, letter in enumerate(context.get_user_input()):
        await updater.add_artifact([Part(text=letter)], "answer", append=number > 0)
    await updater.add_artifact([Part(text="!")], "second")
    await updater.complete()


async def ask(context: RequestContext, updater: TaskUpdater) -> None:
    answer = context.get_user_input()
    if answer in ("paint", "red"):
        await updater.requires_input(updater.new_agent_message([Part(text=f"Which colour, not {answer}?")]))
    else:
        await updater.complete(updater.new_agent_message([Part(text=f"Painted {answer}.")]))


@pytest.mark.parametrize("streaming", [True, False])
async def test_artifacts_are_messages_and_stream_if_the_remote_agent_does(streaming: bool) -> None:
    async with remote(spell, streaming=streaming) as (url, _), MiniAgents():
        replies = A2aAgent.fork(url=url).inquire("hey")
        tokens = [[str(token) async for token in promise] async for promise in replies]
        messages = await replies

    assert messages == (AssistantMessage("hey"), AssistantMessage("!"))
    assert tokens == [["h", "e", "y"], ["!"]]


async def test_messages_arguments_and_what_is_no_text_go_both_ways() -> None:
    async def echo(context: RequestContext, updater: TaskUpdater) -> None:
        assert context.message is not None
        for part in context.message.parts:
            await updater.add_artifact([part])
        await updater.add_artifact([Part(text=str(context.metadata["city"]))])
        await updater.complete()

    messages = [UserMessage("Look:"), ImageMessage(data=b"GIF", media_type="image/gif"), DataMessage({"a": "b"})]
    async with remote(echo) as (url, _), MiniAgents():
        replies = await A2aAgent.fork(url=url, arguments={"city": "Rome"}).inquire(messages)

    image = ImageMessage(data=b"GIF", media_type="image/gif", role="assistant")
    assert replies == (AssistantMessage("Look:"), image, DataMessage({"a": "b"}), AssistantMessage("Rome"))


async def test_a_cancelled_call_cancels_the_task() -> None:
    begun = asyncio.Event()

    async def hang(context: RequestContext, updater: TaskUpdater) -> None:
        await updater.add_artifact([Part(text="one")])
        begun.set()
        await asyncio.Event().wait()

    async with remote(hang) as (url, executor), MiniAgents():
        replies = A2aAgent.fork(url=url).inquire("hey")
        await soon(begun)
        async for promise in replies:
            async for token in promise:
                assert str(token) == "one"
                break
            break
        replies.cancel()
        await soon(executor.cancelled)


@pytest.mark.parametrize("kind", ["function", "agent"])
async def test_somebody_answers_the_questions_of_the_remote_agent(kind: str) -> None:
    answers = iter(["red", "blue"])

    async def function(question: InputRequired) -> str:
        return next(answers)

    @miniagent
    async def agent(ctx: InteractionContext) -> None:
        ctx.reply(next(answers))

    async with remote(ask) as (url, executor), MiniAgents():
        on_input: Any = function if kind == "function" else agent
        replies = await A2aAgent.fork(url=url, on_input=on_input).inquire("paint")

    assert replies == (AssistantMessage("Painted blue."),)
    assert len({context.task_id for context in executor.requests}) == 1


async def test_a_question_that_nobody_answers_ends_the_call_and_the_next_call_goes_on_with_the_task() -> None:
    async with remote(ask) as (url, executor), MiniAgents():
        agent = A2aAgent.fork(url=url)
        (question,) = await agent.inquire("paint")
        assert isinstance(question, InputRequired)
        replies = await agent.inquire("blue", task_id=question.task_id, context_id=question.context_id)

    assert str(question) == "Which colour, not paint?"
    assert replies == (AssistantMessage("Painted blue."),)
    assert len({context.task_id for context in executor.requests}) == 1


@pytest.mark.parametrize("state", ["failed", "rejected", "canceled", "auth-required"])
async def test_a_task_without_an_answer_is_an_error_with_its_state(state: str) -> None:
    async def end(context: RequestContext, updater: TaskUpdater) -> None:
        ends = {
            "failed": updater.failed,
            "rejected": updater.reject,
            "canceled": updater.cancel,
            "auth-required": updater.requires_auth,
        }
        await ends[state](updater.new_agent_message([Part(text="no paint")]))

    async with remote(end) as (url, _), MiniAgents():
        with pytest.raises(A2aError, match=f"{url} is {state}: no paint") as caught:
            await A2aAgent.fork(url=url).inquire("paint")

    assert (caught.value.state, caught.value.url) == (state, url)


async def test_an_agent_that_is_not_there_is_an_error_with_its_address() -> None:
    async with remote(spell) as (url, _):
        pass

    async with MiniAgents():
        with pytest.raises(A2aError, match=f"the card of the agent at {url} cannot be read"):
            await A2aAgent.fork(url=url).inquire("hey")


async def test_an_agent_of_ours_is_a_remote_agent_of_ours() -> None:
    @miniagent
    async def painter(ctx: InteractionContext, colour: str) -> None:
        answer = await ctx.wait_for("really", prompt=f"Really {colour}?")
        ctx.reply(f"Painted {colour}, since you said {answer}.")

    app = agent_app(painter, auth=TOKEN, admin_auth=None)
    app.serve_a2a()
    async with served(app) as url:
        place = f"{url}/a2a/painter"
        agent = A2aAgent.fork(url=place, api_key=TOKEN, arguments={"colour": "blue"}, on_input=lambda question: "yes")
        replies = await agent.bind(app.system).inquire("paint")
        with pytest.raises(A2aError, match="401"):
            await A2aAgent.fork(url=place, api_key="wrong").bind(app.system).inquire("paint")

    assert replies == (AssistantMessage("Painted blue, since you said yes."),)
    assert TOKEN not in repr(agent)

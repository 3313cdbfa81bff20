"""Questions of servers, in both eras."""

import asyncio
from typing import Any

import pytest

from miniagents import InteractionContext, MiniAgents, miniagent
from miniagents.errors import InvalidOptionError, McpError
from miniagents.ext.llms import Budget
from miniagents.ext.mcp import Elicitation, McpServer
from miniagents.testing import Call, Reply, Script, ScriptedModel
from tests.ext.mcp.program import FORM
from tests.ext.mcp.servers import ERAS, stdio_server

pytestmark = [pytest.mark.real_time, pytest.mark.parametrize("era", ERAS)]


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ({"colour": "red"}, "accept {'colour': 'red'}"),
        (False, "decline None"),
        (None, "decline None"),
        ({"colour": 5}, "cancel None"),
        (RuntimeError("no"), "cancel None"),
    ],
)
async def test_a_function_answers_a_question_and_what_does_not_fit_the_schema_is_no_answer(
    era: str, answer: Any, result: str
) -> None:
    questions = []

    async def person(question: Elicitation) -> Any:
        questions.append(question)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with MiniAgents():
        outcome = await stdio_server(era, on_elicitation=person).call("ask")

    assert outcome.content == result
    assert questions == [Elicitation(server="tests", question="Which [31mcolour?", schema=FORM)]


@pytest.mark.parametrize(
    ("text", "result"), [('{"colour": "blue"}', "accept {'colour': 'blue'}"), ("Decline.", "decline None")]
)
async def test_an_agent_answers_a_question_and_is_never_asked_to_open_an_address(
    era: str, text: str, result: str
) -> None:
    asked = []

    @miniagent
    async def assistant(ctx: InteractionContext) -> None:
        asked.append(str(await ctx.message_promises))
        ctx.reply(text)

    async with MiniAgents():
        server = stdio_server(era, on_elicitation=assistant)
        outcome = await server.call("ask")
        opened = await server.call("open")

    assert outcome.content == result
    assert opened.content == "decline None"
    assert len(asked) == 1
    assert asked[0].startswith("The MCP server 'tests' asks: Which [31mcolour?")


async def test_a_function_may_agree_to_an_address(era: str) -> None:
    async with MiniAgents():
        outcome = await stdio_server(era, on_elicitation=lambda question: question.url == "https://a.example").call(
            "open"
        )

    assert outcome.content == "accept None"


async def test_a_server_that_may_not_ask_gets_an_error(era: str) -> None:
    async with MiniAgents():
        for name in ("ask", "model"):
            with pytest.raises(McpError):
                await stdio_server(era).call(name)


async def test_an_agent_is_the_model_of_a_server_within_the_budget_of_the_call(era: str) -> None:
    script = Script(Reply("hello", input_tokens=100))
    server = stdio_server(era, on_sampling=ScriptedModel.fork(alias="model", script=script))
    calls = Reply(calls=(Call("model", {}),), input_tokens=1)
    budget = Budget(100_000, under="/agents/caller")
    async with MiniAgents(budget=budget):
        caller = ScriptedModel.fork(alias="caller", script=Script(calls, Reply("done", input_tokens=1)), tools=[server])
        replies = await caller.inquire("Hi")

    assert str(replies[1]) == "model: hello"
    assert [str(message) for message in script.requests[0].messages] == ["Be brief.", "Say hello."]
    assert budget.spent.tokens > 100


async def test_the_idle_time_stands_still_while_a_question_is_open(era: str) -> None:
    async def slow_person(question: Elicitation) -> dict[str, str]:
        await asyncio.sleep(0.8)
        return {"colour": "red"}

    async with MiniAgents():
        server = await stdio_server(era, on_elicitation=slow_person, idle_timeout=0.4).started()
        outcome = await server.call("ask")

    assert outcome.content == "accept {'colour': 'red'}"


def test_only_agents_and_functions_answer(era: str) -> None:
    with pytest.raises(InvalidOptionError, match=r"on_elicitation=. is an agent or a function, not 5"):
        McpServer(era, command=["a"], on_elicitation=5)  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match=r"on_sampling=. is an agent"):
        McpServer(era, command=["a"], on_sampling=print)  # type: ignore[arg-type]

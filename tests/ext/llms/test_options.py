"""The options of agents that talk to models: refused where they are wrong, shown where one looks."""

import inspect
import pydoc
import re
from pathlib import Path
from typing import Any, cast

import pytest

from miniagents import MiniAgent, MiniAgents, RetryPolicy
from miniagents.errors import AgentArgumentError, InvalidOptionError
from miniagents.ext.llms import (
    AnthropicAgent,
    Budget,
    Cache,
    LLMOptions,
    LocalAgent,
    OpenAIAgent,
    RateLimit,
    openai_embedding_agent,
)
from miniagents.ext.llms.agents import llm_agent
from miniagents.ext.llms.anthropic import DEFAULT_MAX_TOKENS
from miniagents.ext.llms.local import DEFAULT_CONTEXT, DEFAULT_PARALLEL
from miniagents.ext.llms.parameters import CHAT, EMBEDDINGS, MESSAGES, RESPONSES, Api
from miniagents.ext.llms.providers.anthropic_mapping import FIRST_USER_MESSAGE
from miniagents.testing import FakeProvider, Script, ScriptedModel
from tests.ext.llms.apis import agent_of, each_api

ROOT = Path(__file__).parents[3]
RESPONDING = OpenAIAgent.fork(api="responses")


@pytest.mark.parametrize(
    ("agent", "name", "meant"),
    [
        (OpenAIAgent, "max_turn", "do you mean max_turns="),
        (OpenAIAgent, "temperatur", "do you mean temperature="),
        (OpenAIAgent, "retries", "here it is retry="),
        (OpenAIAgent, "max_retries", "here it is retry="),
        (OpenAIAgent, "instructions", "here it is system="),
        (RESPONDING, "instructions", "here it is system="),
        (AnthropicAgent, "system_prompt", "here it is system="),
        (OpenAIAgent, "prompt", "here it is system="),
        (LocalAgent, "output_type", "here it is output="),
        (OpenAIAgent, "name", "here it is alias="),
        (OpenAIAgent, "max_iterations", "here it is max_turns="),
        (AnthropicAgent, "stop", "here it is stop_sequences="),
        (OpenAIAgent, "stop_sequences", "here it is stop="),
        (OpenAIAgent, "max_output_tokens", "here it is max_tokens="),
        (LocalAgent, "num_ctx", "here it is n_ctx="),
        (OpenAIAgent, "timeout", r"inquire\(timeout=\) limits a call"),
        (OpenAIAgent, "messages", r"inquire\(messages\)"),
        (OpenAIAgent, "fallbacks", r"Fallback\("),
        (OpenAIAgent, "reasoning", r"the Responses API \(api='responses'\), and this is chat completions"),
        (RESPONDING, "seed", r"chat completions \(api='chat'\), and this is the Responses API"),
        (OpenAIAgent, "top_k", r"Anthropic's messages, .* api_options=\{'top_k': ...\}"),
        (OpenAIAgent, "guided_json", r"what only the server takes goes through api_options=\{'guided_json': ...\}"),
        (AnthropicAgent, "api", "'api'"),
        (OpenAIAgent, "n_ctx", "'n_ctx'"),
        (openai_embedding_agent, "dimension", "do you mean dimensions="),
        (openai_embedding_agent, "temperature", "'temperature'"),
        (ScriptedModel, "max_turn", "do you mean max_turns="),
    ],
)
def test_what_is_no_option_is_refused_with_what_was_meant(agent: MiniAgent, name: str, meant: str) -> None:
    with pytest.raises(AgentArgumentError, match=f"agent {agent.alias}: takes no option '{name}': .*{meant}"):
        agent.fork(**cast(Any, {name: "x"}))
    with pytest.raises(AgentArgumentError, match=meant):
        agent.fork(kwargs={name: "x"})


@pytest.mark.parametrize(
    ("options", "takes"),
    [
        ({"budget": 1.0}, "a Budget, .* not 1.0"),
        ({"budget": [1.0]}, "a Budget"),
        ({"tools": len}, "a list of functions and agents .* not <built-in function len>"),
        ({"tools": "search"}, "a list of functions and agents"),
        ({"tools": [{"type": "web_search"}, 1]}, r"a list of functions and agents \(and of the provider's own tools"),
        ({"rate_limit": 10}, "a RateLimit"),
        ({"cache": True}, "a Cache"),
        ({"retry": 3}, "a RetryPolicy"),
        ({"model": 5}, "a text"),
        ({"system": ["a"]}, "a text"),
        ({"system": object()}, "a text"),
        ({"stream": "yes"}, "True, False, or None"),
        ({"max_turns": "3"}, "a whole number"),
        ({"max_turns": 3.0}, "a whole number"),
        ({"max_turns": True}, "a whole number"),
        ({"tool_timeout": "3"}, "seconds"),
        ({"idle_timeout": float("nan")}, "seconds"),
        ({"output": 5}, "a type"),
        ({"output": object}, "a type"),
        ({"approve": "yes"}, "a function or an agent"),
        ({"api": "assistants"}, "'chat' or 'responses'"),
        ({"api_options": ["a"]}, "a dict"),
        ({"llm_logger_agent": "file"}, "an agent"),
        ({"temperature": "hot"}, "float or None"),
    ],
)
def test_an_option_of_another_type_is_refused_with_what_it_takes(options: dict[str, Any], takes: str) -> None:
    (name,) = options
    with pytest.raises(AgentArgumentError, match=f"agent OpenAIAgent: {name}= takes {takes}"):
        OpenAIAgent.fork(**options)


@pytest.mark.parametrize(
    ("agent", "options"),
    [
        (OpenAIAgent, {"max_turns": 0}),
        (OpenAIAgent, {"repairs": -1}),
        (OpenAIAgent, {"tool_timeout": 0}),
        (OpenAIAgent, {"idle_timeout": -1.0}),
        (openai_embedding_agent, {"idle_timeout": 0}),
        (AnthropicAgent, {"fake_first_user_message": " "}),
        (LocalAgent, {"n_ctx": 0}),
    ],
)
def test_an_option_outside_its_range_is_refused_at_fork(agent: MiniAgent, options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(InvalidOptionError, match=f"{name}= takes .* (more|blank)"):
        agent.fork(**options)


def test_a_key_of_another_type_is_not_shown() -> None:
    with pytest.raises(AgentArgumentError) as raised:
        OpenAIAgent.fork(api_key=b"sk-secret")  # type: ignore[call-overload]  # that is the point
    assert "sk-secret" not in str(raised.value)


def test_what_an_option_takes_is_taken() -> None:
    def tool() -> str:
        """A tool."""
        return ""

    agent = OpenAIAgent.fork(
        model="m",
        stream=None,
        tools=(tool, LocalAgent),
        approve=LocalAgent,
        tool_timeout=None,
        idle_timeout=5,
        output=list[int] | None,
        retry=RetryPolicy(attempts=2),
        rate_limit=RateLimit(concurrent=1),
        budget=[Budget(tokens=1), Budget(usd=1.0)],
        cache=Cache(),
        llm_logger_agent=True,
        api_options={"top_k": 40},
        temperature=1,
        stop=["a"],
        seed=None,
    )

    assert agent.arguments["temperature"] == 1
    assert len(agent.live_arguments["budget"]) == 2
    assert OpenAIAgent.fork(tools=None) == OpenAIAgent.fork(tools=None)


@each_api
@pytest.mark.real_time
async def test_options_of_a_call_are_checked_as_those_of_a_fork(api: str, fake_provider: FakeProvider) -> None:
    async with MiniAgents():
        agent = agent_of(api, fake_provider)
        with pytest.raises(AgentArgumentError, match="do you mean max_turns="):
            agent.inquire("Hi", max_turn=2)
        with pytest.raises(AgentArgumentError, match="max_turns= takes a whole number"):
            agent.inquire("Hi", max_turns="2")
        with pytest.raises(AgentArgumentError, match="here it is system="):
            agent.initiate_call(instructions="x")
        assert str(await agent.inquire("Hi", max_turns=2)) == "This reply was not scripted."
    assert len(fake_provider.exchanges) == 1


@pytest.mark.parametrize("api", [CHAT, RESPONSES, MESSAGES, EMBEDDINGS], ids=lambda api: api.title)
def test_the_parameters_that_we_know_are_those_of_the_sdk(api: Api) -> None:
    of_the_sdk = api._of_the_sdk() - api.fields - {"timeout"}
    of_the_api_alone = {"temperature", "top_p", "top_k"} if api is MESSAGES else set()

    assert of_the_sdk, "the SDK is not installed"
    assert api.parameters - of_the_api_alone == of_the_sdk


def test_a_parameter_of_a_newer_sdk_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    from openai.resources.chat.completions import AsyncCompletions

    async def create(self: Any, *, brand_new: int = 0) -> None: ...

    with pytest.raises(AgentArgumentError):
        OpenAIAgent.fork(kwargs={"brand_new": 1})
    monkeypatch.setattr(AsyncCompletions, "create", create)

    assert OpenAIAgent.fork(kwargs={"brand_new": 1}).arguments["brand_new"] == 1


# Where they are shown


OWN = {
    name: parameter.default
    for name, parameter in inspect.signature(llm_agent.wrapped).parameters.items()
    if parameter.default is not parameter.empty
}


def test_the_options_stand_in_the_signatures_and_in_help() -> None:
    for method in (OpenAIAgent.fork, AnthropicAgent.inquire, LocalAgent.initiate_call):
        shown = inspect.signature(method).parameters
        assert {name: shown[name].default for name in OWN} == OWN
    text = pydoc.render_doc(OpenAIAgent, renderer=pydoc.plaintext)  # type: ignore[attr-defined]
    assert "An agent with a model of OpenAI" in text
    assert "max_turns: int = 16" in text
    assert all(f"{name}: " in text for name in OWN)


def test_the_typed_options_are_those_of_the_agents() -> None:
    own = set(OWN) | {"api", "fake_first_user_message", "model_path", "n_ctx", "n_parallel", "effort", "send_reasoning"}
    own |= {"provider", "region", "project", "api_version", "cache_prompt"}
    parameters = (CHAT.parameters | RESPONSES.parameters | MESSAGES.parameters) - own

    assert set(LLMOptions.__annotations__) == own | parameters


def test_the_table_of_the_documentation_has_all_options_with_their_defaults() -> None:
    page = (ROOT / "docs" / "guides" / "llms.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| `(.+?)` \|", page.partition("## Options")[2], re.MULTILINE))
    defaults = {
        **OWN,
        "api": "chat",
        "effort": None,
        "cache_prompt": False,
        "send_reasoning": "calls",
        "fake_first_user_message": FIRST_USER_MESSAGE,
        "model_path": None,
        "n_ctx": DEFAULT_CONTEXT,
        "n_parallel": DEFAULT_PARALLEL,
        **dict.fromkeys(("provider", "region", "project", "api_version")),
    }

    assert {name: eval(default) for name, default in rows.items()} == defaults
    assert f"`max_tokens` is {DEFAULT_MAX_TOKENS:,} where" in page


# The fake provider


@each_api
@pytest.mark.real_time
async def test_the_fake_provider_refuses_a_field_that_the_real_one_does_not_know(
    api: str, fake_provider: FakeProvider
) -> None:
    from miniagents.errors import InvalidRequestError

    words = {
        "openai": "Unrecognized request argument supplied: guided",
        "responses": "Unknown parameter: 'guided'.",
        "anthropic": "guided: Extra inputs are not permitted",
    }
    async with MiniAgents():
        agent = agent_of(api, fake_provider, api_options={"guided": 1})
        with pytest.raises(InvalidRequestError, match=re.escape(words[api])):
            await agent.inquire("Hi")
        fake_provider.more_fields = ("guided",)
        assert str(await agent.inquire("Hi")) == "This reply was not scripted."
    assert fake_provider.last.body["guided"] == 1


async def test_a_scripted_model_takes_the_parameters_of_all_apis() -> None:
    script = Script("ok")
    async with MiniAgents():
        await ScriptedModel.fork(script=script, top_k=3, seed=1, reasoning={"effort": "low"}).inquire("Hi")
    assert script.requests[0].options == {"top_k": 3, "seed": 1, "reasoning": {"effort": "low"}}

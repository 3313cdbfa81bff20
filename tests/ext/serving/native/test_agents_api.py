"""`/agents/{name}`: plain JSON, and streams that can be picked up again."""

from typing import Any

import httpx2
import pytest

from miniagents import DataMessage, InteractionContext, Message, UserMessage, miniagent
from miniagents.errors import InvalidOptionError
from miniagents.ext.llms import OpenAIAgent
from miniagents.ext.serving import Limits, Served, agent_app
from miniagents.testing import FakeProvider, Reply, Script, ScriptedModel
from tests.ext.serving.agents import Held, echo, failing, soon, speller, weather
from tests.ext.serving.servers import AUTH, TOKEN, in_process, served

pytestmark = pytest.mark.real_time


class Order(Message):
    number: int
    items: tuple[str, ...] = ()


async def test_an_agent_is_called_with_plain_json() -> None:
    async with in_process(agent_app(echo, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.post("/agents/echo", json={"messages": "Hello!"})

    assert answer.status_code == 200
    assert answer.json() == {
        "interaction": 1,
        "messages": [{"type": "TextMessage", "text": "You said: Hello!", "role": None, "kind": "text"}],
        "usage": {"input_tokens": 0, "output_tokens": 0, "cached_tokens": 0, "cost": 0.0},
    }


async def test_messages_have_roles_or_data_and_structured_ones_come_back_as_data() -> None:
    got: list[Message] = []

    @miniagent
    async def clerk(ctx: InteractionContext) -> None:
        got.extend(await ctx.message_promises)
        ctx.reply([Order(number=7, items=("tea",)), {"total": 3}])

    async with in_process(agent_app(clerk, auth=TOKEN, admin_auth=None)) as client:
        said = ["Hi", {"content": "Hi", "role": "user"}, {"data": {"a": [1]}}]
        answer = await client.post("/agents/clerk", json={"messages": said})

    assert got == [UserMessage("Hi"), UserMessage("Hi"), DataMessage({"a": [1]})]
    order, total = answer.json()["messages"]
    assert (order["type"], order["data"]) == ("Order", {"number": 7, "items": ["tea"]})
    assert (total["type"], total["data"]) == ("DataMessage", {"total": 3})


async def test_metadata_stays_in_the_service() -> None:
    @miniagent
    async def clerk(ctx: InteractionContext) -> None:
        ctx.reply(UserMessage("Hi").with_metadata(prompt="a secret"))

    async with in_process(agent_app(clerk, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.post("/agents/clerk", json={})

    assert "secret" not in answer.text


async def test_clients_give_the_arguments_that_an_agent_needs_and_no_others() -> None:
    async with in_process(agent_app(weather, auth=TOKEN, admin_auth=None)) as client:
        good = await client.post("/agents/weather", json={"arguments": {"city": "Paris"}})
        missing = await client.post("/agents/weather", json={})
        wrong = await client.post("/agents/weather", json={"arguments": {"city": 5}})
        unit = await client.post("/agents/weather", json={"arguments": {"city": "Paris", "unit": "F"}})

    assert good.json()["messages"][0]["data"] == {"city": "Paris", "unit": "C", "degrees": 20}
    assert [one.status_code for one in (missing, wrong, unit)] == [422, 422, 422]
    assert [one.json()["error"]["param"] for one in (missing, wrong, unit)] == [
        "arguments.city",
        "arguments.city",
        "arguments.unit",
    ]


async def test_arguments_with_a_default_are_opened_one_by_one() -> None:
    app = agent_app(Served(weather, arguments=("city", "unit")), auth=TOKEN, admin_auth=None)
    async with in_process(app) as client:
        answer = await client.post("/agents/weather", json={"arguments": {"city": "Paris", "unit": "F"}})

    assert answer.json()["messages"][0]["data"]["unit"] == "F"


async def test_what_a_fork_fixed_is_not_the_clients_to_change() -> None:
    app = agent_app(weather.fork(city="Rome"), auth=TOKEN, admin_auth=None)
    async with in_process(app) as client:
        answer = await client.post("/agents/weather", json={})
        other = await client.post("/agents/weather", json={"arguments": {"city": "Paris"}})

    assert answer.json()["messages"][0]["data"]["city"] == "Rome"
    assert other.status_code == 422


async def test_no_client_can_send_the_key_of_a_model_elsewhere(fake_provider: FakeProvider) -> None:
    fake_provider.reset("Hi.")
    agent = OpenAIAgent.fork(alias="clerk", model="fake-1", **fake_provider.openai)
    async with in_process(agent_app(agent, auth=TOKEN, admin_auth=None)) as client:
        for name in ("base_url", "api_key", "connect", "system", "api_options", "max_turns", "temperature"):
            answer = await client.post("/agents/clerk", json={"messages": "Hi", "arguments": {name: "x"}})
            assert answer.status_code == 422

    assert fake_provider.exchanges == []


def test_an_argument_that_the_agent_does_not_take_is_refused_when_the_app_is_made() -> None:
    with pytest.raises(InvalidOptionError, match="cannot give an argument 'country'"):
        agent_app(Served(weather, arguments=("country",)))


def test_names_are_unique_and_fit_into_a_path() -> None:
    with pytest.raises(InvalidOptionError, match="two agents are called 'echo'"):
        agent_app([echo, echo])
    with pytest.raises(InvalidOptionError, match="cannot be served as 'a b'"):
        agent_app({"a b": echo})
    with pytest.raises(InvalidOptionError, match="needs an agent"):
        agent_app([])


class Plain:
    async def __call__(self, ctx: InteractionContext) -> None: ...


def test_a_class_that_is_no_agent_is_refused_and_the_error_says_how_it_becomes_one() -> None:
    with pytest.raises(InvalidOptionError, match=r"not <class .*Plain'>; a class becomes .* miniagent\(Plain\)$"):
        agent_app(Plain)  # type: ignore[arg-type]
    with pytest.raises(InvalidOptionError, match=r"or their paths, not 5$"):
        agent_app([5])  # type: ignore[list-item]


async def test_a_class_agent_and_one_that_was_spawned_are_served_by_name() -> None:
    @miniagent
    class Counter:
        """Counts its calls."""

        def __init__(self) -> None:
            self.calls = 0

        async def __call__(self, ctx: InteractionContext, step: int) -> None:
            self.calls += step
            ctx.reply(str(self.calls))

    async def spawn(system: Any) -> None:
        system.spawn(Counter, name="second")

    agents: dict[str, Any] = {"first": Counter, "second": Served("/second", arguments=("step",)), "third": "/nowhere"}
    app = agent_app(agents, auth=TOKEN, admin_auth=None, on_start=spawn)
    async with in_process(app) as client:
        texts = [
            (await client.post(f"/agents/{name}", json={"arguments": {"step": 2}})).json()["messages"][0]["text"]
            for name in ("first", "first", "second")
        ]
        nowhere = await client.post("/agents/third", json={})
        listed = await client.get("/agents")

    assert texts == ["2", "4", "2"]
    assert nowhere.status_code == 503
    assert listed.json()["agents"][0] == {"name": "first", "description": "Counts its calls.", "arguments": ["step"]}


def events_in(answer: httpx2.Response) -> list[tuple[str, str, Any]]:
    """The events of a stream: id, type and data."""
    return [(event.id, event.event, event.json()) for event in httpx2.EventSource(answer)]


async def test_a_stream_tells_tokens_messages_and_the_end_with_ids() -> None:
    async with in_process(agent_app(speller, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.post("/agents/speller", json={"messages": "Hi", "stream": True})

    assert answer.headers["content-type"].startswith("text/event-stream")
    events = events_in(answer)
    assert [kind for _, kind, _ in events] == ["open", "token", "token", "message", "end"]
    stream = events[0][2]["stream"]
    assert [id for id, _, _ in events] == [f"{stream}:{number}" for number in range(5)]
    assert [data.get("text") for _, _, data in events[1:3]] == ["H", "i"]
    assert events[3][2]["message"]["text"] == "Hi"


async def test_a_stream_that_is_kept_is_picked_up_after_any_event() -> None:
    async with in_process(agent_app(speller, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.post("/agents/speller", json={"messages": "Hello", "stream": True, "keep": 60})
        events = events_in(answer)
        stream = events[0][2]["stream"]
        for number, (id, _, _) in enumerate(events):
            by_get = await client.get(f"/agents/speller/streams/{stream}", headers={"last-event-id": id})
            by_post = await client.post("/agents/speller", json={"messages": "Hello"}, headers={"last-event-id": id})
            assert events_in(by_get) == events_in(by_post) == events[number + 1 :]
        whole = await client.get(f"/agents/speller/streams/{stream}")

    assert events_in(whole) == events


async def test_a_call_whose_stream_is_kept_outlives_a_broken_connection() -> None:
    held = Held()
    async with (
        served(agent_app(held.agent, auth=TOKEN, admin_auth=None)) as url,
        httpx2.AsyncClient(base_url=url, headers=AUTH) as client,
    ):
        body = {"messages": "Hi", "stream": True, "keep": 60}
        async with client.stream("POST", "/agents/held", json=body) as answer:
            lines = answer.aiter_lines()
            first = ""
            while "event: message" not in first:
                first += await anext(lines) + "\n"
        stream = first.split("id: ")[1].split(":")[0]
        held.let_go.set()
        rest = await client.get(f"/agents/held/streams/{stream}", headers={"last-event-id": f"{stream}:2"})

    assert not held.cancelled.is_set()
    assert [kind for _, kind, _ in events_in(rest)] == ["token", "message", "end"]


async def test_a_kept_stream_that_nobody_comes_back_for_is_cancelled_and_forgotten() -> None:
    held = Held()
    async with (
        served(agent_app(held.agent, auth=TOKEN, admin_auth=None)) as url,
        httpx2.AsyncClient(base_url=url, headers=AUTH) as client,
    ):
        body = {"messages": "Hi", "stream": True, "keep": 0.01}
        async with client.stream("POST", "/agents/held", json=body) as answer:
            stream = (await anext(answer.aiter_lines())).removeprefix("id: ").split(":")[0]
        await soon(held.cancelled)
        gone = await client.get(f"/agents/held/streams/{stream}")

    assert gone.status_code == 404


async def test_streams_of_others_and_ids_of_no_event_are_refused() -> None:
    app = agent_app([echo, speller], auth={"ann": TOKEN, "bob": "the-token-of-bob"}, admin_auth=None)
    async with in_process(app) as client:
        answer = await client.post("/agents/echo", json={"messages": "Hi", "stream": True, "keep": 60})
        stream = events_in(answer)[0][2]["stream"]
        bob = {"authorization": "Bearer the-token-of-bob"}
        statuses = [
            (await client.get(f"/agents/{name}/streams/{stream}", headers=headers)).status_code
            for name, headers in (
                ("echo", bob),
                ("speller", {}),
                ("echo", {"last-event-id": "1"}),
                ("echo", {"last-event-id": f"{stream}:x"}),
                ("echo", {"last-event-id": f"{stream}:-1"}),
                ("echo", {"last-event-id": "other:1"}),
                ("echo", {"last-event-id": f"{stream}:{'9' * 30}"}),
            )
        ]

    assert statuses == [404, 404, 400, 400, 400, 400, 400]


async def test_there_is_room_for_so_many_kept_streams() -> None:
    app = agent_app(echo, auth=TOKEN, admin_auth=None, limits=Limits(kept=1, keep=60))
    async with in_process(app) as client:
        body = {"messages": "Hi", "stream": True, "keep": 60}
        first = await client.post("/agents/echo", json=body)
        second = await client.post("/agents/echo", json=body)
        too_long = await client.post("/agents/echo", json={**body, "keep": 61})

    assert (first.status_code, second.status_code, too_long.status_code) == (200, 429, 422)


async def test_a_failure_in_a_stream_is_its_last_event_in_every_replay() -> None:
    @miniagent
    async def half(ctx: InteractionContext) -> None:
        ctx.reply("begun")
        raise ValueError("the password is 1234")

    async with in_process(agent_app(half, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.post("/agents/half", json={"stream": True, "keep": 60})
        events = events_in(answer)
        replay = await client.get(f"/agents/half/streams/{events[0][2]['stream']}")

    assert answer.status_code == 200
    assert [kind for _, kind, _ in events] == ["open", "token", "message", "error"]
    assert events[-1][2]["error"]["message"] == "The agent failed."
    assert events_in(replay) == events


async def test_a_failure_before_anything_was_said_has_a_status_of_its_own() -> None:
    async with in_process(agent_app(failing, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.post("/agents/failing", json={"stream": True})

    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "agent_failed"


async def test_a_stream_that_is_silent_begins_after_a_while_and_pings() -> None:
    held = Held()

    @miniagent
    async def silent(ctx: InteractionContext) -> None:
        await held.let_go.wait()
        ctx.reply("at last")

    app = agent_app(silent, auth=TOKEN, admin_auth=None, limits=Limits(head_wait=0.01, ping=0.01))
    async with (
        served(app) as url,
        httpx2.AsyncClient(base_url=url, headers=AUTH) as client,
        client.stream("POST", "/agents/silent", json={"stream": True}) as answer,
    ):
        lines = answer.aiter_lines()
        seen = []
        while ": ping" not in seen:
            seen.append(await anext(lines))
        held.let_go.set()
        rest = [line async for line in lines]

    assert answer.status_code == 200
    assert "event: open" in seen
    assert "event: end" in rest


async def test_usage_is_told_with_the_cost() -> None:
    script = Script(Reply("one two", input_tokens=1_000_000))
    model = ScriptedModel.fork(alias="clerk", model="gpt-4o-mini", script=script)
    async with in_process(agent_app(model, auth=TOKEN, admin_auth=None)) as client:
        answer = await client.post("/agents/clerk", json={"messages": "Hi"})

    usage = answer.json()["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (1_000_000, 2)
    assert usage["cost"] == pytest.approx(0.1500012)

"""Anthropic's breakpoints stand where the next request finds them, and are four at most."""

from typing import Any

import pytest

from miniagents import MiniAgents
from miniagents.ext.llms.providers.anthropic_caching import place_breakpoints
from tests.ext.llms.recorded_replies import THINKING, text
from tests.ext.llms.wire import Wire, says

MARK: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}
TOOL: dict[str, Any] = {"name": "population", "input_schema": {"type": "object"}}


def turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def placed(**options: Any) -> dict[str, Any]:
    place_breakpoints(options)
    return options


def test_tools_system_and_the_last_turns_of_the_user_are_marked() -> None:
    turns = [turn("user", "one"), turn("assistant", "two"), turn("user", "three"), turn("assistant", "four")]
    last = turn("user", [text("five"), text("six")])

    options = placed(tools=[TOOL, TOOL], system="Be brief.", messages=[*turns, last])

    assert options["tools"] == [TOOL, {**TOOL, **MARK}]
    assert options["system"] == [{**text("Be brief."), **MARK}]
    assert options["messages"] == [
        *turns[:2],
        turn("user", [{**text("three"), **MARK}]),
        turns[3],
        turn("user", [text("five"), {**text("six"), **MARK}]),
    ]


def test_the_users_own_breakpoints_count_and_stay() -> None:
    own = {**text("a long document"), **MARK}
    result = turn("user", [{"type": "tool_result", "tool_use_id": "1", "content": [own]}])
    messages = [turn("user", [own, text("one")]), turn("assistant", "two"), result, turn("user", "three")]

    options = placed(tools=[TOOL], system=[own], messages=messages)

    assert options["tools"] == [TOOL]
    assert options["system"] == [own]
    assert options["messages"] == [*messages[:3], turn("user", [{**text("three"), **MARK}])]


@pytest.mark.parametrize("own", [4, 5])
def test_no_breakpoint_is_placed_when_the_user_has_placed_all(own: int) -> None:
    system = [{**text(f"part {number}"), **MARK} for number in range(own)]

    assert placed(system=system, messages=[turn("user", "Hi")]) == {"system": system, "messages": [turn("user", "Hi")]}


def test_thinking_and_deferred_tools_have_no_breakpoints() -> None:
    deferred = {**TOOL, "defer_loading": True}

    options = placed(tools=[TOOL, deferred], messages=[turn("user", "Hi"), turn("assistant", [text("Hm."), THINKING])])

    assert options["tools"] == [{**TOOL, **MARK}, deferred]
    assert options["messages"][1]["content"] == [{**text("Hm."), **MARK}, THINKING]


def test_the_parameter_of_the_api_marks_the_last_turn_itself() -> None:
    options = placed(**MARK, system="Be brief.", messages=[turn("user", "Hi")])

    assert options["messages"] == [turn("user", "Hi")]
    assert options["system"] == [{**text("Be brief."), **MARK}]


def test_a_longer_time_to_live_does_not_follow_a_shorter_one() -> None:
    own = {**text("one"), "cache_control": {"type": "ephemeral", "ttl": "1h"}}

    options = placed(
        system="Be brief.", messages=[turn("user", [own]), turn("assistant", "two"), turn("user", "three")]
    )

    assert options["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


@pytest.mark.real_time
@pytest.mark.parametrize("cached", [True, False])
async def test_an_agent_caches_its_prompt_if_it_is_told_to(cached: bool) -> None:
    async with Wire(says("anthropic")) as wire, MiniAgents():
        await wire.agent("anthropic", system="Be brief.", cache_prompt=cached).inquire("Hi")

    assert ("cache_control" in str(wire.requests[0])) is cached
    assert "cache_prompt" not in wire.requests[0]

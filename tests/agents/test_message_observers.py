"""Observers of messages see each message object once."""

from typing import Any

from miniagents import (
    MiniAgents,
    TextMessage,
)
from tests.agents.agents import echo


async def test_every_message_object_is_persisted_once_parts_before_wholes_and_a_bad_handler_fails_nobody(
    log: list[Any],
) -> None:
    kept: list[Any] = []

    async def bad(_: Any) -> None:
        raise OSError("disk")

    async with MiniAgents(on_persist_messages=bad) as system:

        @system.on_persist_messages
        async def keep(messages: Any) -> None:
            kept.extend(messages)

        inner = TextMessage("inner")
        outer = TextMessage("outer").with_metadata(part=inner)
        await echo.inquire([inner, outer, outer])
    texts = [str(message) for message in kept]
    assert texts[:2] == ["inner", "outer"]
    assert sorted(texts) == ["echo: inner", "echo: outer", "echo: outer", "inner", "outer"]
    assert any("persist.handler_failed" in entry["event"] for entry in log)

"""Vercel's AI SDK."""

from collections.abc import Mapping
from typing import ClassVar

from tests.clients.contract import ClientContract


class TestVercel(ClientContract):
    """`unstored` is the Responses API with `store: false`, which takes whole items instead of references."""

    runtime = "node"
    script = "vercel"
    apis = ("chat", "responses", "unstored", "anthropic")
    faults: ClassVar[Mapping[tuple[str, str], str]] = {
        (ClientContract.test_the_second_turn_knows_who_said_what_in_the_first.__name__, "responses"): (
            "input items of the type item_reference are refused"
        )
    }

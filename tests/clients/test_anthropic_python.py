"""Anthropic's SDK for Python."""

from tests.clients.contract import ClientContract


class TestAnthropic(ClientContract):
    runtime = "tests"
    script = "anthropic_sdk"
    apis = ("messages",)

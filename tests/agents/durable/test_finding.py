"""Agents of recorded calls, found in the modules that are loaded."""

from miniagents import InteractionContext, miniagent
from miniagents.agents.durable.finding import agent_named, version_now
from miniagents.agents.durable.identity import stored
from miniagents.agents.durable.names import name_of


class Cart:
    def __init__(self, currency: str = "EUR") -> None:
        self.currency = currency

    async def __call__(self, ctx: InteractionContext) -> None:
        ctx.reply(self.currency)


cart = miniagent(Cart, durable=True)
small_cart = miniagent(Cart, alias="small", version="2")


def test_an_agent_that_was_made_of_a_class_is_found_by_its_name() -> None:
    assert agent_named(name_of(cart)) is cart
    assert agent_named(name_of(small_cart)) is small_cart
    assert version_now(name_of(small_cart)) == "2"


def test_a_fork_of_an_agent_that_was_made_of_a_class_is_made_again() -> None:
    for agent, alias in ((cart, "mine"), (small_cart, "small")):
        fork = agent.fork(alias=alias, currency="USD")
        again = agent_named(name_of(fork), stored(fork.arguments))
        assert again is not None
        assert (again.wrapped, again.alias, dict(again.arguments)) == (Cart, alias, {"currency": "USD"})
        assert again.options.version == agent.options.version


def test_a_class_that_no_agent_is_made_of_is_not_found() -> None:
    assert agent_named(f"{__name__}:Plain#Plain", {}) is None
    assert agent_named(f"{__name__}:Plain#Plain") is None


class Plain:
    """No agent."""

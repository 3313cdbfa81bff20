"""What an actor is made of, as data that another node can make it of."""

import subprocess
import sys
import textwrap

import pytest

from miniagents import (
    Actor,
    ActorContext,
    Backoff,
    InteractionContext,
    Mailbox,
    Message,
    OneForOne,
    Overflow,
    RetryPolicy,
    SpawnOptions,
    miniagent,
)
from miniagents.cluster.frames import decode_item, pack
from miniagents.cluster.names import (
    factory_from_wire,
    factory_to_wire,
    name_of,
    named,
    options_from_wire,
    options_to_wire,
)
from miniagents.errors import DecodeError, NotSendableError
from tests.actors.actors import Counter


@miniagent(alias="the_greeter")
async def greeter(ctx: InteractionContext, greeting: str = "Hello") -> None:
    ctx.reply(greeting)


class Cart:
    def __init__(self, currency: str = "EUR") -> None:
        self.currency = currency

    async def __call__(self, ctx: InteractionContext) -> None:
        ctx.reply(self.currency)


cart = miniagent(Cart)
small_cart = miniagent(Cart, alias="small", errors=(KeyError,))


def urgent_first(message: Message) -> float:
    return 0.0


def test_a_class_and_its_arguments_come_back() -> None:
    data = factory_to_wire(Counter, {"start": 5, "log": ("a", "b")}, "/counter")
    assert factory_from_wire(decode_item(pack([1, data]))[1]) == (Counter, {"start": 5, "log": ("a", "b")})


def test_an_agent_comes_back_with_its_alias_and_all_its_arguments() -> None:
    fork = greeter.fork(alias="casual", greeting="Hi")
    agent, arguments = factory_from_wire(factory_to_wire(fork, {}, "/casual"))
    assert (agent.alias, dict(agent.arguments), arguments) == ("casual", {"greeting": "Hi"}, {})
    agent, _ = factory_from_wire(factory_to_wire(greeter, {"greeting": "Ho"}, "/greeter"))
    assert (agent.alias, dict(agent.arguments)) == ("the_greeter", {"greeting": "Ho"})


def test_an_agent_that_was_made_of_a_class_comes_back_with_its_own_options() -> None:
    agent, _ = factory_from_wire(factory_to_wire(cart, {"currency": "USD"}, "/cart"))
    assert (agent.wrapped, agent.alias, dict(agent.arguments)) == (Cart, "Cart", {"currency": "USD"})
    agent, _ = factory_from_wire(factory_to_wire(small_cart, {}, "/small"))
    assert (agent.wrapped, agent.alias, agent.options.errors) == (Cart, "small", (KeyError,))
    agent, _ = factory_from_wire(factory_to_wire(cart.fork(alias="mine"), {}, "/mine"))
    assert (agent.wrapped, agent.alias, agent.options.errors) == (Cart, "mine", ())


def test_a_class_that_no_agent_is_made_of_is_no_agent() -> None:
    data = factory_to_wire(cart, {}, "/cart")
    with pytest.raises(DecodeError, match="is no agent on this node"):
        factory_from_wire([f"{__name__}:Plain", *data[1:]])


def test_a_name_that_leads_to_no_class_is_no_agent() -> None:
    data = factory_to_wire(cart, {}, "/cart")
    with pytest.raises(DecodeError, match="is no agent on this node"):
        factory_from_wire(["os:sep", *data[1:]])


class Plain:
    """No agent."""


def test_what_has_no_name_in_a_module_is_refused_and_the_error_says_what_to_do() -> None:
    class Inside(Actor):
        async def receive(self, message: Message, ctx: ActorContext) -> None:
            pass

    with pytest.raises(NotSendableError, match=r"/x: .*Inside cannot be .* define it at the top of a module"):
        factory_to_wire(Inside, {}, "/x")
    with pytest.raises(NotSendableError, match="is a lambda"):
        name_of(lambda message: 0.0, "/x")


def test_what_was_defined_in_main_is_refused() -> None:
    code = """
        from miniagents import Actor
        from miniagents.cluster.names import name_of
        class Mine(Actor): pass
        try:
            name_of(Mine, "/mine")
        except TypeError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True, timeout=50
    )
    assert done.stdout.startswith("/mine: Mine cannot be started on another node: it was defined in __main__")
    assert "move it into a module" in done.stdout


def test_live_arguments_do_not_travel() -> None:
    with pytest.raises(NotSendableError, match=r"/g: live arguments .*greeting.* cannot travel"):
        factory_to_wire(greeter.fork(non_freezable_kwargs={"greeting": object()}), {}, "/g")


def test_options_come_back_without_the_place_that_was_chosen() -> None:
    options = SpawnOptions(
        mailbox=Mailbox(7, Overflow.REJECT, urgent_first),
        handler_timeout=1.5,
        retry=RetryPolicy(on=(ValueError, NotSendableError), attempts=2, backoff=Backoff(0.1, 1.0)),
        supervision=OneForOne(max_restarts=None),
        node="far",
    )
    data = options_to_wire(options, "/x")
    assert options_from_wire(decode_item(pack([1, data]))[1]) == options.but(node=None).__class__(
        mailbox=options.mailbox,
        handler_timeout=1.5,
        retry=options.retry,
        supervision=options.supervision,
    )


@pytest.mark.parametrize("data", [["d", "os:system", {}], ["e", "x"], ["?"], []])
def test_data_that_are_no_options_are_refused(data: object) -> None:
    with pytest.raises(DecodeError):
        options_from_wire(data)


@pytest.mark.parametrize("name", ["nowhere_at_all:X", "tests.cluster:Nothing", "tests", "", 7])
def test_a_name_that_cannot_be_imported_is_refused(name: object) -> None:
    with pytest.raises(DecodeError):
        named(name)

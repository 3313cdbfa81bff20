"""`LLMAgent`: an agent whose options are known to editors, to type checkers, to `help()`, and to itself."""

import inspect
import typing
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Self, Unpack

from miniagents.actors import SpawnOptions
from miniagents.actors.arguments import parameters
from miniagents.agents import AgentCall, MiniAgent
from miniagents.errors import AgentArgumentError
from miniagents.ext.llms.misnomers import advice
from miniagents.ext.llms.options import LLMOptions, check_values
from miniagents.ext.llms.parameters import CHAT, MESSAGES, RESPONSES, Api
from miniagents.messages import FrozenDict, MessageSequencePromise, Sendable


class LLMAgent(MiniAgent):
    """An agent that talks to a model.

    Its options stand in the signature of `fork`, and may also be given with a call. What is no option is refused, with
    what was meant; what the API takes and the method of its SDK does not goes through `api_options={...}`.
    """

    __slots__ = ()

    more_options: ClassVar[frozenset[str]] = frozenset()
    """The options that only this kind has."""

    def apis(self, arguments: Mapping[str, Any]) -> tuple[Api, ...]:
        """The APIs whose parameters it takes, with these arguments."""
        return (CHAT, RESPONSES, MESSAGES)

    def fork(  # type: ignore[override]  # it takes less than any agent does: what is written here
        self,
        *,
        alias: str | None = None,
        description: str | None = None,
        options: SpawnOptions | None = None,
        non_freezable_kwargs: Mapping[str, Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Unpack[LLMOptions],
    ) -> Self:
        """A variant of this agent. Equal forks share one actor.

        Args:
            alias: Its name; by default the same.
            description: What it is for; by default the same.
            options: The options of its actor; by default the same, and `passivate_after=60.0`.
            non_freezable_kwargs: Live arguments: passed as they are, and part of no key.
            kwargs: Arguments whose names `fork` takes for itself.
            model: The model, as the provider calls it.
            system: A system prompt that comes before all others.
            stream: Whether the answer comes token by token; None for what the system says, which is yes.
            base_url: The address of the API; None for the provider's own.
            api_key: The key; None for that of the environment. It is shown nowhere.
            async_client: A client of the SDK, to be used instead of our own. It is not closed.
            tools: Functions and agents that the model may call.
            approve: Is asked before each call of a tool.
            tool_timeout: Seconds that a call of a tool may take; None for no limit.
            max_turns: How many requests one conversation may need, 1 or more.
            output: A type that the answer must have; any that msgspec can decode.
            repairs: How often an answer that is not of that type is sent back to the model.
            retry: How often a request that failed is repeated; None for 6 attempts with backoff.
            idle_timeout: Seconds without a token after which a request has stalled; None for no limit.
            rate_limit: How fast this agent, and all others with the same limit, may ask.
            budget: A `Budget`, or several, that this agent spends.
            cache: Where equal requests are answered from.
            llm_logger_agent: What logs prompts and answers; True for Markdown files; None for what the system says.
            response_metadata: More metadata of the replies.
            api_options: What the API takes, and neither the agent nor the method of the SDK does.
            **parameters: Parameters of the API (`temperature`, `max_tokens`), passed on as they are; and what only this
                kind of agents has.

        Raises:
            AgentArgumentError: There is no such option, or it takes something else.
            InvalidOptionError: An option is outside its range.
        """
        self._check({**arguments, **(kwargs or {}), **(non_freezable_kwargs or {})})
        return super().fork(
            alias=alias,
            description=description,
            options=options,
            non_freezable_kwargs=non_freezable_kwargs,
            kwargs=kwargs,
            **arguments,
        )

    def inquire(  # type: ignore[override]  # as above
        self,
        messages: Sendable | None = None,
        *,
        timeout: float | None = None,
        start_soon: bool = True,
        errors_as_messages: bool | None = None,
        label: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Unpack[LLMOptions],
    ) -> MessageSequencePromise:
        """Send a conversation to the model; see `MiniAgent.inquire`, and `fork` for the options."""
        return super().inquire(
            messages,
            timeout=timeout,
            start_soon=start_soon,
            errors_as_messages=errors_as_messages,
            label=label,
            kwargs=kwargs,
            **arguments,
        )

    trigger = inquire  # type: ignore[assignment]  # as above

    def initiate_call(  # type: ignore[override]  # as above
        self,
        *,
        timeout: float | None = None,
        start_soon: bool = True,
        errors_as_messages: bool | None = None,
        label: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Unpack[LLMOptions],
    ) -> AgentCall:
        """Begin a call that is sent bit by bit; see `MiniAgent.initiate_call`, and `fork` for the options."""
        return super().initiate_call(
            timeout=timeout,
            start_soon=start_soon,
            errors_as_messages=errors_as_messages,
            label=label,
            kwargs=kwargs,
            **arguments,
        )

    def check_call(self, given: Mapping[str, Any]) -> FrozenDict[str, Any]:
        """Check the options of a call; see `MiniAgent.check_call`."""
        if given:
            self._check(given)
        return super().check_call(given)

    def _check(self, given: Mapping[str, Any]) -> None:
        own = parameters(self.wrapped, 1)[0] | self.more_options
        apis = self.apis({**self.arguments, **given})
        for name in dict.fromkeys((*self.arguments, *given)):
            if name not in own and not any(api.takes(name) for api in apis):
                raise AgentArgumentError(
                    f"agent {self.alias}: takes no option {name!r}: {advice(name, own - {'connect'}, apis)}"
                )
        check_values(self.alias, given)


def show_options(function: Any) -> None:
    """Let `help()` and `inspect` show the options of a function in the methods of `LLMAgent`, with their defaults.

    Args:
        function: What all these agents are made of.
    """
    options = [one for one in inspect.signature(function).parameters.values() if one.default is not one.empty]
    shown = [one.replace(annotation=_without_notes(one.annotation)) for one in options]
    methods: tuple[Any, ...] = (LLMAgent.fork, LLMAgent.inquire, LLMAgent.initiate_call)
    for method in methods:
        signature = inspect.signature(method)
        *first, others = signature.parameters.values()
        rest = others.replace(name="parameters", annotation=Any)
        method.__signature__ = signature.replace(parameters=[*first, *shown, rest])


def _without_notes(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint

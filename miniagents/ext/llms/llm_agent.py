"""`LLMAgent`: an agent that talks to a model, with options that editors, type checkers and `help()` know."""

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Generic, Self, TypeVar, Unpack, overload

from miniagents.actors import SpawnOptions
from miniagents.actors.arguments import parameters
from miniagents.agents import AgentCall, MiniAgent
from miniagents.errors import AgentArgumentError, InvalidOptionError
from miniagents.ext.llms.messages import OutputT_co, ReplyMessage
from miniagents.ext.llms.misnomers import advice
from miniagents.ext.llms.options import LLMOptions, OptionsBesideOutput, check_values
from miniagents.ext.llms.parameters import CHAT, MESSAGES, RESPONSES, Api
from miniagents.messages import FrozenDict, MessageSequencePromise, Sendable

Output = TypeVar("Output")


class LLMAgent(MiniAgent[ReplyMessage[OutputT_co]], Generic[OutputT_co]):
    """An agent that talks to a model.

    `LLMAgent[Person]` is one with `output=Person`, for type checkers: `reply.output` is a `Person`.

    Give options to `fork`, or to a single call. An unknown option is refused, with a suggestion. Parameters that the
    API takes and the method of its SDK does not go through `api_options={...}`.

    Example:
        ```python
        from miniagents import MiniAgents
        from miniagents.ext.llms import LLMAgent, OpenAIAgent

        async def main() -> None:
            assert isinstance(OpenAIAgent, LLMAgent)
            poet = OpenAIAgent.fork(model="gpt-5-mini", system="You write haiku.", max_tokens=100)
            async for promise in poet.inquire("The sea", temperature=1.0):
                async for token in promise:
                    print(token, end="")

        MiniAgents().run(main())
        ```
    """

    __slots__ = ()

    more_options: ClassVar[frozenset[str]] = frozenset()
    """The options that only this class of agents has."""

    in_no_key = frozenset(
        {"rate_limit", "budget", "cache", "compact", "approve", "approve_timeout", "retry", "llm_logger_agent"}
    )

    def key_of_live(self, name: str, value: object) -> str | None:
        """Return the key of a live argument in a journal; a client of an SDK has the address that it talks to."""
        if name == "async_client" and value is not None:
            return f"{type(value).__module__}:{type(value).__qualname__} {getattr(value, 'base_url', '')}"
        return super().key_of_live(name, value)

    def apis(self, arguments: Mapping[str, Any]) -> tuple[Api, ...]:
        """Return the APIs whose parameters the agent takes, with these arguments."""
        return (CHAT, RESPONSES, MESSAGES)

    @overload  # type: ignore[override]  # it takes fewer arguments than `MiniAgent.fork`
    def fork(
        self,
        *,
        alias: str | None = None,
        description: str | None = None,
        options: SpawnOptions | None = None,
        non_freezable_kwargs: Mapping[str, Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        output: type[Output],
        **arguments: Unpack[OptionsBesideOutput],
    ) -> "LLMAgent[Output]": ...

    @overload
    def fork(
        self,
        *,
        alias: str | None = None,
        description: str | None = None,
        options: SpawnOptions | None = None,
        non_freezable_kwargs: Mapping[str, Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Unpack[LLMOptions],
    ) -> Self: ...

    def fork(
        self,
        *,
        alias: str | None = None,
        description: str | None = None,
        options: SpawnOptions | None = None,
        non_freezable_kwargs: Mapping[str, Any] | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> Any:
        """Return a variant of this agent. Equal forks share one actor.

        Args:
            alias: The name of the variant; None for the same name.
            description: What the variant is for; None for the same description.
            options: The options of its actor; None for the same options, and `passivate_after=60.0`.
            non_freezable_kwargs: Live arguments, passed on as they are and not part of any key.
            kwargs: Arguments with names that `fork` takes for itself.
            model: The provider's name of the model.
            system: A system prompt that is sent before all others.
            stream: Whether the answer streams token by token; None for the setting of the system, which is True by
                default.
            base_url: The address of the API; None for the address of the provider.
            api_key: The key; None for the key in the environment. No log and no error shows it.
            async_client: A client of the SDK to use instead of an own one. It is not closed.
            tools: Functions, agents, `Tool`s, and `ToolSource`s, which list their tools at the start of each call; and
                dicts, which are the provider's own tools, in the words of its API.
            approve: A function or an agent that decides about each tool call before it runs; "wait" to wait for the
                answer of somebody outside. See `Approve`.
            approve_timeout: Seconds to wait for that answer, more than 0; None for no limit.
            tool_timeout: Seconds that a tool call may take, more than 0; None for no limit.
            max_turns: The most requests of one call of the agent, 1 or more.
            output: The type of structured output: any type that msgspec can decode.
            repairs: The most times that an output which does not fit its type is sent back to the model, 0 or more.
            retry: The retry policy of failed requests; None for 6 attempts with backoff.
            idle_timeout: Seconds without a token after which a request has stalled, more than 0; None for no limit.
            rate_limit: The rate limit that this agent shares with all others that have it.
            budget: The `Budget`, or several, that pay for the requests.
            cache: The cache that answers equal requests.
            compact: How a conversation stays below the context window of the model; None to send it as it is.
            llm_logger_agent: An agent that logs prompts and answers; True for Markdown files, False for none, None for
                the setting of the system.
            response_metadata: More metadata for the replies.
            api_options: Parameters of the API that neither the agent nor the method of the SDK knows.
            **parameters: Parameters of the API (`temperature`, `max_tokens`), passed on as they are, and the options of
                this class of agents.

        Raises:
            AgentArgumentError: There is no such option, or its value has another type.
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

    @overload  # type: ignore[override]  # it takes fewer arguments than `MiniAgent.inquire`
    def inquire(
        self,
        messages: Sendable | None = None,
        *,
        timeout: float | None = None,
        start_soon: bool = True,
        errors_as_messages: bool | None = None,
        label: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        output: type[Output],
        **arguments: Unpack[OptionsBesideOutput],
    ) -> MessageSequencePromise[ReplyMessage[Output]]: ...

    @overload
    def inquire(
        self,
        messages: Sendable | None = None,
        *,
        timeout: float | None = None,
        start_soon: bool = True,
        errors_as_messages: bool | None = None,
        label: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Unpack[LLMOptions],
    ) -> MessageSequencePromise[ReplyMessage[OutputT_co]]: ...

    def inquire(
        self,
        messages: Sendable | None = None,
        *,
        timeout: float | None = None,
        start_soon: bool = True,
        errors_as_messages: bool | None = None,
        label: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> MessageSequencePromise[Any]:
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

    @overload  # type: ignore[override]  # it takes fewer arguments than `MiniAgent.initiate_call`
    def initiate_call(
        self,
        *,
        timeout: float | None = None,
        start_soon: bool = True,
        errors_as_messages: bool | None = None,
        label: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        output: type[Output],
        **arguments: Unpack[OptionsBesideOutput],
    ) -> AgentCall[ReplyMessage[Output]]: ...

    @overload
    def initiate_call(
        self,
        *,
        timeout: float | None = None,
        start_soon: bool = True,
        errors_as_messages: bool | None = None,
        label: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Unpack[LLMOptions],
    ) -> AgentCall[ReplyMessage[OutputT_co]]: ...

    def initiate_call(
        self,
        *,
        timeout: float | None = None,
        start_soon: bool = True,
        errors_as_messages: bool | None = None,
        label: str | None = None,
        kwargs: Mapping[str, Any] | None = None,
        **arguments: Any,
    ) -> AgentCall[Any]:
        """Begin a call whose messages are sent one by one; see `MiniAgent.initiate_call`, and `fork` for options."""
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

    def _check(self, options: Mapping[str, Any]) -> None:
        own = parameters(self.wrapped, 1)[0] | self.more_options
        apis = self.apis({**self.arguments, **options})
        for name in dict.fromkeys((*self.arguments, *options)):
            if name not in own and not any(api.takes(name) for api in apis):
                raise AgentArgumentError(
                    f"agent {self.alias}: takes no option {name!r}: {advice(name, own - {'connect'}, apis)}"
                )
        check_values(self.alias, options)
        compact = options.get("compact")
        if compact is not None and compact.by == "provider" and not any(api.compacts for api in apis):
            raise InvalidOptionError(
                f'agent {self.alias}: {apis[0].title} do not compact: Compact(by="provider") is for AnthropicAgent and '
                f'for OpenAIAgent with api="responses"; give by= an agent, or None'
            )


def show_options(function: Callable[..., object]) -> None:
    """Let `help()` and `inspect` show the options of a function in the methods of `LLMAgent`, with their defaults.

    Args:
        function: The function of all LLM agents.
    """
    parameters = inspect.signature(function).parameters.values()
    options = [option for option in parameters if option.default is not option.empty]
    shown = [option.replace(annotation=_without_notes(option.annotation)) for option in options]
    methods: tuple[Any, ...] = (LLMAgent.fork, LLMAgent.inquire, LLMAgent.initiate_call)
    for method in methods:
        signature = inspect.signature(method)
        *named, others = signature.parameters.values()
        rest = others.replace(name="parameters", annotation=Any)
        method.__signature__ = signature.replace(parameters=[*named, *shown, rest])


def _without_notes(hint: object) -> object:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint

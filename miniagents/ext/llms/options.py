"""`LLMOptions`: the options of agents that talk to models, with the types and ranges of their values."""

import math
import reprlib
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from miniagents.actors import RetryPolicy
from miniagents.agents import MiniAgent
from miniagents.errors import AgentArgumentError, InvalidOptionError
from miniagents.ext.llms.approvals import Approve
from miniagents.ext.llms.budgets import Budget
from miniagents.ext.llms.cache import Cache
from miniagents.ext.llms.compact import Compact
from miniagents.ext.llms.limits import RateLimit
from miniagents.ext.llms.parameters import (
    ChatParameters,
    CommonParameters,
    MaxTokens,
    MessagesParameters,
    OpenAIParameters,
    ResponsesParameters,
)
from miniagents.ext.llms.providers.openai_mapping import SendReasoning
from miniagents.ext.llms.schemas import output_type
from miniagents.ext.llms.tool_sources import ToolChoice
from miniagents.messages import Secret

_Seconds = Annotated[float | None, msgspec.Meta(gt=0), "seconds, more than 0, or None for no limit"]
_Switch = Annotated[bool | None, "True, False, or None"]
_Text = Annotated[str | None, "a text"]


class OptionsBesideOutput(
    CommonParameters,
    MaxTokens,
    OpenAIParameters,
    ChatParameters,
    ResponsesParameters,
    MessagesParameters,
    total=False,
):
    """The options of agents that talk to models, all but `output`, which decides the type of the replies.

    The inherited ones are parameters of the providers' APIs. An agent takes those of its own API.
    """

    model: _Text
    system: _Text
    stream: _Switch
    base_url: _Text
    api_key: Annotated[str | Secret | None, "a key, as a text"]
    async_client: Annotated[Any, "a client of the SDK"]
    tools: Annotated[
        Sequence[ToolChoice] | None,
        "a list of functions and agents (and of the provider's own tools, as dicts in its words)",
    ]
    approve: Annotated[Approve | None, "a function or an agent, or 'wait'"]
    approve_timeout: _Seconds
    tool_timeout: _Seconds
    max_turns: Annotated[int, msgspec.Meta(ge=1), "a whole number, 1 or more"]
    repairs: Annotated[int, msgspec.Meta(ge=0), "a whole number, 0 or more"]
    retry: Annotated[RetryPolicy | None, "a RetryPolicy, as in retry=RetryPolicy(attempts=3)"]
    idle_timeout: _Seconds
    rate_limit: Annotated[RateLimit | None, "a RateLimit, as in rate_limit=RateLimit(requests_per_minute=600)"]
    budget: Annotated[Budget | Sequence[Budget] | None, "a Budget, or a list of them, as in budget=Budget(usd=1.0)"]
    cache: Annotated[Cache | None, "a Cache, as in cache=Cache()"]
    compact: Annotated[Compact | None, "a Compact, as in compact=Compact(at=0.8)"]
    llm_logger_agent: Annotated[MiniAgent | bool | None, "an agent, True, False, or None"]
    response_metadata: Annotated[Mapping[str, Any], "a dict"]
    api_options: Annotated[Mapping[str, Any], "a dict of parameters of the API"]
    api: Annotated[Literal["chat", "responses"], "'chat' or 'responses'"]
    effort: Annotated[
        Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None,
        "'none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max', or None",
    ]
    send_reasoning: Annotated[SendReasoning, "'none', 'calls' or 'all'"]
    provider: Annotated[Literal["azure", "bedrock", "vertex"] | None, "'azure', 'bedrock', 'vertex', or None"]
    region: _Text
    project: _Text
    api_version: _Text
    cache_prompt: _Switch
    fake_first_user_message: Annotated[str, msgspec.Meta(pattern=r"\S"), "a text that is not blank"]
    model_path: Annotated[str | Path | None, "the path of a file"]
    n_ctx: Annotated[int, msgspec.Meta(ge=1), "a whole number, 1 or more"]
    n_parallel: Annotated[int, msgspec.Meta(ge=1), "a whole number, 1 or more"]


class LLMOptions(OptionsBesideOutput, total=False):
    """The options of agents that talk to models, for annotations; `LLMAgent.fork` describes them.

    Example:
        ```python
        from typing import Unpack

        from miniagents import MiniAgents
        from miniagents.ext.llms import LLMAgent, LLMOptions, OpenAIAgent

        def assistant(**options: Unpack[LLMOptions]) -> LLMAgent:
            return OpenAIAgent.fork(**options).fork(system="You are helpful.")

        async def main() -> None:
            print(await assistant(model="gpt-5-mini", max_tokens=100).inquire("Hi"))

        MiniAgents().run(main())
        ```
    """

    output: Annotated[object, "a type that msgspec can decode, or None"]


_HINTS = typing.get_type_hints(LLMOptions, include_extras=True)
_SECRET = frozenset({"api_key"})


def check_values(agent: str, options: Mapping[str, Any]) -> None:
    """Check the types and ranges of the values of options.

    Args:
        agent: The alias of the agent, for errors.
        options: The options, by name.

    Raises:
        AgentArgumentError: A value has a wrong type.
        InvalidOptionError: A value is outside its range.
    """
    for name, value in options.items():
        hint = _HINTS.get(name)
        if hint is None:
            continue
        problem = _problem(value, hint)
        if problem is not None:
            shown = f"a {type(value).__qualname__}" if name in _SECRET else reprlib.repr(value)
            raise problem(f"agent {agent}: {name}= takes {_words(hint)}, not {shown}")
        if name == "output" and value is not None:
            try:
                output_type(value)
            except (TypeError, ValueError, NameError) as error:
                raise AgentArgumentError(
                    f"agent {agent}: output= takes {_words(hint)}, not {reprlib.repr(value)}: {error}"
                ) from error


def _problem(value: object, hint: Any) -> type[AgentArgumentError | InvalidOptionError] | None:
    if not _fits(value, hint):
        return AgentArgumentError
    if value is not None and typing.get_origin(hint) is Annotated:
        ranges = [note for note in hint.__metadata__ if isinstance(note, msgspec.Meta)]
        if not all(_is_within(value, meta) for meta in ranges):
            return InvalidOptionError
    return None


def _is_within(value: Any, meta: msgspec.Meta) -> bool:
    if meta.pattern is not None:
        return bool(str(value).strip())
    return not (meta.ge is not None and not value >= meta.ge) and not (meta.gt is not None and not value > meta.gt)


def _fits(value: object, hint: Any) -> bool:
    """Return whether a value has the type that the hint of an option says."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return True
    if origin is Annotated:
        return _fits(value, inside[0])
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, alternative) for alternative in inside)
    if origin is Literal:
        return value in inside
    if origin is Callable:
        return callable(value)
    if origin is not None and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if origin is not None and issubclass(origin, Sequence):
        return (
            isinstance(value, Sequence)
            and not isinstance(value, (str, bytes))
            and all(_fits(item, inside[0]) for item in value)
        )
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _words(hint: Any) -> str:
    """Return the values that an option takes, in words."""
    if typing.get_origin(hint) is Annotated:
        return next(note for note in hint.__metadata__ if isinstance(note, str))
    kinds = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    return " or ".join("None" if kind is type(None) else getattr(kind, "__name__", None) or str(kind) for kind in kinds)

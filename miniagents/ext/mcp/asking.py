"""`Asking`: questions of a server to its client: for input of a person (elicitation), and for a model (sampling)."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import Any, TypeAlias, TypeVar

import jsonschema
import mcp_types as types
import msgspec
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from miniagents.agents import AgentRef, MiniAgent
from miniagents.ext.mcp.idle import IdleTimes
from miniagents.ext.mcp.results import said
from miniagents.ext.mcp.texts import clean, shortened
from miniagents.log import log as _log
from miniagents.messages import Message, SystemMessage, error_text, to_json

T = TypeVar("T")

Answer: TypeAlias = Mapping[str, Any] | bool | None
"""The fields of a form; True to agree, False or None to refuse."""

_NO = types.ElicitResult(action="decline")


class Elicitation(Message):
    """A question of a server, while it carries out a call.

    The text of the question is the server's. Show it as such, and give it no secrets.

    Attributes:
        server: The name of the server.
        question: The question.
        schema: The JSON schema of the answer, an object without nesting; None for a URL.
        url: The address that a person is asked to open, or None. Agents are never asked for that.

    Example:
        >>> print(Elicitation(server="shop", question="Which colour?", schema={"type": "object"}))
        The MCP server 'shop' asks: Which colour?
        Answer with nothing but a JSON object of this schema, or with the word "decline": {"type":"object"}
    """

    server: str
    question: str
    schema: Mapping[str, Any] | None = None
    url: str | None = None

    def __str__(self) -> str:
        asks = f"The MCP server {self.server!r} asks: {self.question}"
        if self.schema is None:
            return f"{asks}\nIt wants this address to be opened: {self.url}"
        return (
            f'{asks}\nAnswer with nothing but a JSON object of this schema, or with the word "decline": '
            f"{to_json(self.schema)}"
        )


OnElicitation: TypeAlias = MiniAgent | AgentRef | Callable[[Elicitation], Answer | Awaitable[Answer]]
"""An agent, or a function, async or not, that answers questions."""


class Asking:
    """Answers the questions of one server. Without an agent or function for them, the server is told of none.

    Args:
        server: The name of the server.
        on_elicitation: Answers questions for input, or None.
        on_sampling: The agent that stands for a model, or None.
        idle: The idle times of the calls, which stop while a question is open.
    """

    def __init__(
        self,
        server: str,
        on_elicitation: OnElicitation | None,
        on_sampling: MiniAgent | AgentRef | None,
        idle: IdleTimes,
    ) -> None:
        self._server = server
        self._on_elicitation = on_elicitation
        self._on_sampling = on_sampling
        self._idle = idle
        self._calls: dict[object, Context] = {}

    def callbacks(self) -> dict[str, Any]:
        """Return the arguments of the SDK's client. What has no callback is no capability of the client."""
        callbacks: dict[str, Any] = {}
        if self._on_elicitation is not None:
            callbacks["elicitation_callback"] = self._elicit
        if self._on_sampling is not None:
            callbacks["sampling_callback"] = self._sample
        return callbacks

    @contextmanager
    def call(self) -> Generator[None, None, None]:
        """Mark a call, on whose behalf questions are answered within the context."""
        if self._on_elicitation is None and self._on_sampling is None:
            yield
            return
        key = object()
        self._calls[key] = copy_context()
        try:
            yield
        finally:
            del self._calls[key]

    async def _elicit(self, context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        schema = url = None
        if isinstance(params, types.ElicitRequestFormParams):
            schema = dict(params.requested_schema)
        else:
            url = clean(params.url)
        question = Elicitation(server=self._server, question=clean(params.message), schema=schema, url=url)
        try:
            with self._idle.paused():
                answer = await self._on_behalf(context, lambda: self._answer(question))
            if schema is not None and isinstance(answer, Mapping):
                jsonschema.validate(answer, schema)
        except Exception as error:
            _log.warning("mcp.not_answered", server=self._server, error=shortened(error_text(error)))
            return types.ElicitResult(action="cancel")
        if answer is None or answer is False:
            return _NO
        return types.ElicitResult(action="accept", content=dict(answer) if isinstance(answer, Mapping) else None)

    async def _answer(self, question: Elicitation) -> Answer:
        who = self._on_elicitation
        if not isinstance(who, (MiniAgent, AgentRef)):
            assert who is not None  # `callbacks` has no callback otherwise
            answer = who(question)
            return await answer if inspect.isawaitable(answer) else answer
        if question.schema is None:
            _log.warning("mcp.url_refused", server=self._server, url=shortened(question.url or ""))
            return None
        text = str(await who.inquire(question)).strip()
        return None if text.strip('."').lower() == "decline" else msgspec.json.decode(text, type=dict[str, Any])

    async def _sample(
        self, context: Any, params: types.CreateMessageRequestParams
    ) -> types.CreateMessageResult | types.ErrorData:
        agent = self._on_sampling
        assert agent is not None  # `callbacks` has no callback otherwise
        messages: list[Message] = [SystemMessage(params.system_prompt)] if params.system_prompt else []
        for message in params.messages:
            messages += [said(block, message.role) for block in message.content_as_list]

        async def ask() -> str:
            return str(await agent.inquire(messages))

        try:
            with self._idle.paused():
                text = await self._on_behalf(context, ask)
        except Exception as error:
            _log.warning("mcp.not_sampled", server=self._server, error=shortened(error_text(error)))
            return types.ErrorData(code=types.INTERNAL_ERROR, message="the model has not answered")
        alias = getattr(agent, "alias", None) or "agent"
        return types.CreateMessageResult(
            role="assistant", content=types.TextContent(text=text), model=alias, stop_reason="endTurn"
        )

    async def _on_behalf(self, context: Any, answer: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Answer in the context of a call, so that its budget and its limits hold.

        In the old era a question does not say to which call it belongs. It is answered on behalf of the newest one.
        """
        if context.session.protocol_version in MODERN_PROTOCOL_VERSIONS or not self._calls:
            return await answer()
        call = next(reversed(self._calls.values()))
        task = asyncio.get_running_loop().create_task(answer(), context=call.copy())
        try:
            return await task
        finally:
            task.cancel()

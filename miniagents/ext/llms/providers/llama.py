"""`LocalProvider`: llama.cpp's server, which has OpenAI's API, with tools by a grammar."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import msgspec

from miniagents.ext.llms.endings import Ending, ending_of
from miniagents.ext.llms.provider import Answer, ModelRequest
from miniagents.ext.llms.providers.checking import check_ending, check_has_ended
from miniagents.ext.llms.providers.clients import sdk
from miniagents.ext.llms.providers.error_mapping import malformed
from miniagents.ext.llms.providers.llama_tools import ANSWER, prompt_with_tools, tool_output
from miniagents.ext.llms.providers.openai import OpenAIProvider
from miniagents.ext.llms.schemas import OutputType


class LocalProvider(OpenAIProvider):
    """llama.cpp's server.

    Args:
        client: An `openai.AsyncOpenAI` that is connected to the server.
        key: The key of the provider in caches.
    """

    def __init__(self, client: Any, key: str) -> None:
        super().__init__(client, name="local", key_source="")
        self.key = key  # the port differs in each run

    def stream(self, request: ModelRequest, answer: Answer) -> AsyncGenerator[str | None, None]:
        """Send a request and fill the answer as it arrives; see `Provider`."""
        return self._with_tools(request, answer) if request.tools else super().stream(request, answer)

    def _response_format(self, output: OutputType) -> dict[str, Any]:
        """Return the whole schema: a grammar holds the model to lengths, too."""
        return {"type": "json_schema", "json_schema": {"name": output.api_name, "schema": output.schema}}

    async def _with_tools(self, request: ModelRequest, answer: Answer) -> AsyncGenerator[str | None, None]:
        options = dict(request.options)
        choice = options.pop("tool_choice", "auto")
        plain = replace(
            request,
            messages=prompt_with_tools(request.messages, request.tools),
            tools=(),
            output=tool_output(request.tools, request.output, choice),
            options=options,
        )
        text, shown = "", 0
        async with aclosing(self._send(plain, answer, check_has_ended)) as pieces:
            async for piece in pieces:
                if not piece:
                    yield piece
                    continue
                text += piece
                answer_text = _answer_so_far(text) if request.output is None else ""
                yield answer_text[shown:]
                shown = max(shown, len(answer_text))
        if ending_of(answer.stop_reason) is Ending.TRUNCATED:
            check_ending(self.name, request, answer)
            return  # the JSON was cut off: the stop reason of the reply says so
        try:
            turn = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise malformed(self.name, f"the grammar was not kept: {error}") from error
        if "tool" in turn:
            answer.call_piece(0, "", turn["tool"], msgspec.json.encode(turn["arguments"]).decode())
            answer.stop_reason = "tool_calls"
        elif request.output is not None:
            yield msgspec.json.encode(turn[ANSWER]).decode()
        check_ending(self.name, request, answer)


def _answer_so_far(text: str) -> str:
    """Return the part of the answer that an unfinished JSON object has."""
    if not text.strip():
        return ""
    try:
        value = sdk("jiter", "local").from_json(text.encode(), partial_mode="trailing-strings")
    except ValueError:
        return ""
    answer = value.get(ANSWER) if isinstance(value, dict) else None
    return answer if isinstance(answer, str) else ""

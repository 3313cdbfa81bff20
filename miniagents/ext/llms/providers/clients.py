"""The SDKs' clients: one for each provider, address and key in a system, closed with it."""

import asyncio
import importlib
import inspect
import os
import sys
from collections.abc import Mapping
from typing import Any

from miniagents.errors import MissingDependencyError, MissingKeyError
from miniagents.ext.llms.provider import ModelRequest
from miniagents.messages import Secret
from miniagents.messages.frozen import thaw


def sdk(package: str, extra: str) -> Any:
    """An optional package.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(
            f"this needs the package {package}: pip install 'miniagents[{extra}]'", name=package
        ) from error


async def loaded(package: str, extra: str) -> Any:
    """An optional package, imported in a thread the first time: it takes a second, and the loop has others to serve.

    Raises:
        MissingDependencyError: It is not installed.
    """
    if package in sys.modules:
        return sdk(package, extra)
    return await asyncio.to_thread(sdk, package, extra)


def key_or_environment(api_key: Secret | None, variable: str, agent: str) -> Secret:
    """The key that was given, or that of the environment, without the white space around it.

    Raises:
        MissingKeyError: There is none, or no HTTP header can carry it.
    """
    key = api_key.reveal() if api_key is not None else os.environ.get(variable, "")
    key = key.strip()  # what is read from a file ends with a newline
    if not key and api_key is None:
        raise MissingKeyError(f"{agent}: there is no key: set {variable} in the environment, or give api_key=")
    if not (key.isascii() and key.isprintable()):
        raise MissingKeyError(
            f"{agent}: the key of {key_source(api_key, variable)} has letters that no key has: is it the key?"
        )
    return Secret(key)


def key_source(api_key: Secret | None, variable: str, client: Any = None) -> str:
    """Where a key came from: the name of the argument, or of the environment variable."""
    if client is not None:
        return "async_client="
    return "api_key=" if api_key is not None else variable


async def close_client(client: Any) -> None:
    """Close a client of an SDK."""
    await client.close()


def as_parameters(method: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options for a method of an SDK: what it does not take as a parameter is sent as `extra_body`."""
    names = inspect.signature(method).parameters
    taken = {name: value for name, value in options.items() if name in names}
    others = {name: value for name, value in options.items() if name not in names}
    if others:
        taken["extra_body"] = {**others, **taken.get("extra_body", {})}
    return taken


def without_retries(client: Any) -> Any:
    """A client whose own retries are off: there is one policy, and one place to see it."""
    return client.with_options(max_retries=0) if client.max_retries else client


def call_options(request: ModelRequest) -> dict[str, Any]:
    """The options of an API call: those of the request, with its idempotency key and what is left of its deadline."""
    options: dict[str, Any] = thaw(request.options)
    headers = {**options.pop("extra_headers", {})}
    if request.idempotency_key:
        headers.setdefault("Idempotency-Key", request.idempotency_key)
    options["extra_headers"] = headers
    if request.timeout is not None:
        options.setdefault("timeout", request.timeout)
    return options

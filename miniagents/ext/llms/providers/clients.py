"""The SDKs and their clients: imports, keys and options."""

import importlib
import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

from miniagents.errors import MissingDependencyError, MissingKeyError
from miniagents.ext.llms.provider import ModelRequest
from miniagents.messages import Secret
from miniagents.messages.frozen import thaw


def sdk(package: str, extra: str) -> Any:
    """Import an optional package.

    Raises:
        MissingDependencyError: The package is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise MissingDependencyError(
            f"this needs the package {package}: pip install 'miniagents[{extra}]'", name=package
        ) from error


def key_or_environment(api_key: Secret | None, variable: str, agent: str) -> Secret:
    """Return the given key or the key in the environment, without white space around it.

    Raises:
        MissingKeyError: There is no key, or no HTTP header can carry it.
    """
    key = api_key.reveal() if api_key is not None else os.environ.get(variable, "")
    key = key.strip()  # a key that was read from a file ends with a newline
    if not key and api_key is None:
        raise MissingKeyError(f"{agent}: there is no key: set {variable} in the environment, or give api_key=")
    if not (key.isascii() and key.isprintable()):
        raise MissingKeyError(
            f"{agent}: the key of {key_source(api_key, variable)} has letters that no key has: is it the key?"
        )
    return Secret(key)


def key_source(api_key: Secret | None, variable: str, client: object = None) -> str:
    """Return the source of a key: the name of the argument or of the environment variable."""
    if client is not None:
        return "async_client="
    return "api_key=" if api_key is not None else variable


def as_parameters(method: Callable[..., object], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as arguments of an SDK's method; options that are no parameters of it go into `extra_body`."""
    names = inspect.signature(method).parameters
    arguments = {name: value for name, value in options.items() if name in names}
    others = {name: value for name, value in options.items() if name not in names}
    if others:
        arguments["extra_body"] = {**others, **arguments.get("extra_body", {})}
    return arguments


def without_retries(client: Any) -> Any:
    """Return a client whose own retries are off, since `RetryPolicy` decides about retries."""
    return client.with_options(max_retries=0) if client.max_retries else client


def call_options(request: ModelRequest) -> dict[str, Any]:
    """Return the options of an API call: those of the request, its idempotency key, and the time until its deadline."""
    options: dict[str, Any] = thaw(request.options)
    headers = {**options.pop("extra_headers", {})}
    if request.idempotency_key:
        headers.setdefault("Idempotency-Key", request.idempotency_key)
    options["extra_headers"] = headers
    if request.timeout is not None:
        options.setdefault("timeout", request.timeout)
    return options

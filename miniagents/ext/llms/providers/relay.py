"""From an SDK's response to the pieces of an answer, with whatever the SDK raises as our errors."""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Self

from miniagents.errors import IncompleteResponseError
from miniagents.ext.llms.model import Answer, ModelRequest
from miniagents.ext.llms.providers.clients import sdk
from miniagents.ext.llms.providers.failures import (
    connection_failure,
    is_no_stream,
    limit_headers,
    malformed,
    status_failure,
)

Reader = Callable[[str, Any, Answer], AsyncGenerator[str, None]]


class Failures:
    """Turns what an SDK raises into our errors. Both SDKs name their exceptions alike, and both are built on httpx2.

    Args:
        name: What the provider is called in errors.
        package: The package of the SDK, and the extra that installs it.

    Attributes:
        has_begun: Whether the answer has begun to come.
    """

    def __init__(self, name: str, package: str) -> None:
        self._name = name
        self._package = package
        self.has_begun = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, tb: object) -> None:
        if error is None:
            return
        own, httpx, name = sdk(self._package, self._package), sdk("httpx2", self._package), self._name
        if isinstance(error, own.APIStatusError):
            raise status_failure(
                name, error.status_code, error.body, error.response.headers, str(error), in_stream=self.has_begun
            ) from error
        if isinstance(error, own.APIResponseValidationError):
            raise malformed(name, str(error)) from error
        if isinstance(error, (own.APIConnectionError, httpx.TransportError, httpx.StreamError)):
            raise connection_failure(name, error, has_begun=self.has_begun) from error
        if isinstance(error, own.APIError):
            raise status_failure(name, None, error.body, {}, str(error), in_stream=True) from error
        if isinstance(error, (json.JSONDecodeError, UnicodeDecodeError)):
            raise malformed(name, f"what came is no JSON: {error}") from error


async def relay(
    name: str,
    package: str,
    request: ModelRequest,
    answer: Answer,
    send: Callable[[], Awaitable[Any]],
    read: Reader,
) -> AsyncGenerator[str, None]:
    """Send a request, and read the answer as it comes.

    Args:
        name: What the provider is called in errors.
        package: The package of the SDK.
        request: The request.
        answer: What is filled.
        send: Sends it; gives the SDK's stream, or the whole answer where the request does not stream.
        read: Reads either.

    Yields:
        The pieces of the text; an empty one for anything else that came.

    Raises:
        ProviderError: It failed, or the answer ended without a reason to stop.
    """
    with Failures(name, package) as failures:
        response = await send()
        if request.stream:
            headers = response.response.headers
            answer.request_id = headers.get("x-request-id") or headers.get("request-id")
            answer.limits = limit_headers(headers)
            if is_no_stream(headers):
                await response.close()
                raise malformed(name, f"a stream was expected, but {headers['content-type']} came")
            failures.has_begun = True
        else:
            answer.request_id = getattr(response, "_request_id", None)
        pieces = read(name, response, answer)
        try:
            async for piece in pieces:
                yield piece
        finally:
            if request.stream:
                await response.close()  # at once: this is where billing stops
            await pieces.aclose()
    if answer.stop_reason is None:
        raise IncompleteResponseError(f"{name}: the answer ended without a reason to stop: it is cut off")

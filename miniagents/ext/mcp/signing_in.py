"""`SideBySide`: the SDK's sign-in by OAuth, without its lock around the requests that need no sign-in.

The SDK's provider holds a lock from the beginning of a request to the end of its response, and reads each response
whole before it hands it on. Calls would wait for each other, and a server could not ask anything in the middle of one.
"""

import asyncio
from collections.abc import AsyncGenerator

import httpx2
from mcp.client.auth import OAuthClientProvider

_REFUSED = (401, 403)


class SideBySide(httpx2.Auth):
    """Adds the token of a provider to requests, and leaves to the provider what needs another token.

    Args:
        provider: The SDK's provider. One request at a time signs in with it; the others wait for the token.
    """

    requires_request_body = True

    def __init__(self, provider: OAuthClientProvider) -> None:
        self._provider = provider
        self._signing_in = asyncio.Lock()

    async def async_auth_flow(self, request: httpx2.Request) -> AsyncGenerator[httpx2.Request, httpx2.Response]:
        """Send a request with the token that is there; if it is refused, sign in and send it again."""
        refused: set[str] = set()
        while True:
            token = self._valid(refused)
            if token is None:
                async with self._signing_in:
                    token = self._valid(refused)  # another request may have signed in
                    if token is None:
                        flow = self._provider.async_auth_flow(request)
                        try:
                            outgoing = await anext(flow)
                            # With a token, the request itself is sent without the lock: it may take long.
                            while outgoing is not request or self._valid(refused) is None:
                                response = yield outgoing
                                if outgoing is not request or response.status_code in _REFUSED:
                                    await response.aread()
                                outgoing = await flow.asend(response)
                        except StopAsyncIteration:
                            return
                        finally:
                            await flow.aclose()
                        continue
            request.headers["Authorization"] = f"Bearer {token}"
            response = yield request
            if response.status_code not in _REFUSED:
                return
            await response.aread()
            refused.add(token)

    def _valid(self, refused: set[str]) -> str | None:
        context = self._provider.context
        if context.current_tokens is None or not context.is_token_valid():
            return None
        token = context.current_tokens.access_token
        return token if token not in refused else None

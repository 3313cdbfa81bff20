"""Hosts: the names by which clients may call a service. The check protects against DNS rebinding."""

import os
import re
from collections.abc import Awaitable, Iterable

from starlette.types import ASGIApp, Receive, Scope, Send

from miniagents.errors import InvalidOptionError
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_headers import header, header_values

HOSTS_VARIABLE = "MINIAGENTS_ALLOWED_HOSTS"
LOOPBACK = ("localhost", "127.0.0.1", "::1")

_NAME = re.compile(r"\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]|[0-9a-f]*:[0-9a-f:.]*")
_HEADER = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:@/\s]+)(?::[0-9]*)?")
_LONGEST = 100
"""The most characters of a refused name in the answer."""


class Hosts:
    """The names by which clients may call a service, with any port.

    Args:
        names: "agents.example.com", "*.example.com", "10.0.0.7", "*" for all names; None for the names of loopback and
            those in the environment variable `MINIAGENTS_ALLOWED_HOSTS`, separated by commas.

    Raises:
        InvalidOptionError: A name is not valid.
    """

    def __init__(self, names: Iterable[str] | None) -> None:
        self._names: frozenset[str] = frozenset()
        if names is None:
            self.add(LOOPBACK)
            variable = [name.strip() for name in os.environ.get(HOSTS_VARIABLE, "").split(",")]
            self.add((name for name in variable if name), option=HOSTS_VARIABLE)
        else:
            self.add((names,) if isinstance(names, str) else names)

    def add(self, names: Iterable[str], *, option: str = "allowed_hosts=") -> None:
        """Allow more names.

        Args:
            names: The names.
            option: The option that the names come from, for errors.

        Raises:
            InvalidOptionError: A name is not valid.
        """
        added = set()
        for wanted in names:
            name = wanted.lower()
            if not _NAME.fullmatch(name):
                raise InvalidOptionError(
                    f"{option} takes names without scheme and port (agents.example.com, *.example.com, 10.0.0.7, *), "
                    f"not {wanted!r}"
                )
            added.add(name.strip("[]"))
        self._names |= added

    @property
    def are_loopback(self) -> bool:
        """Whether all names are those of loopback."""
        return self._names <= frozenset(LOOPBACK)

    def allow(self, host: str) -> bool:
        """Return whether a `Host` header has an allowed name."""
        if "*" in self._names:
            return True
        match = _HEADER.fullmatch(host.lower())
        if match is None:
            return False
        name = match[1].strip("[]")
        if name in self._names:
            return True
        return any(name.endswith(pattern[1:]) for pattern in self._names if pattern.startswith("*."))


class HostCheck:
    """Refuses requests with a host that is not allowed, over HTTP and WebSocket.

    Args:
        app: The app behind the check.
        hosts: The allowed names.
        free: The paths of the app that any host may call: those of probes.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts, free: Iterable[str]) -> None:
        self._app = app
        self._hosts = hosts
        self._free = frozenset(free)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass the request on, or answer with a 400."""
        if scope["type"] in ("http", "websocket") and not self._passes(scope):
            host = header(scope, b"host") or ""
            text = (
                f"This service may not be called {host[:_LONGEST]!r}. Allow the name with "
                f"agent_app(allowed_hosts=[...]), with miniagents serve --allowed-host, or with {HOSTS_VARIABLE}."
            )
            problem = Problem(400, text, param="host", code="host_not_allowed")
            return problem.response()(scope, receive, send)
        return self._app(scope, receive, send)  # without a coroutine of its own, through which each event would go

    def _passes(self, scope: Scope) -> bool:
        headers = header_values(scope, b"host")
        host = headers[0] if len(headers) == 1 else ""
        if self._hosts.allow(host) or _is_test_client(scope, host):
            return True
        return scope["type"] == "http" and scope["path"].removeprefix(scope.get("root_path", "")) in self._free


def _is_test_client(scope: Scope, host: str) -> bool:
    """Return whether the request comes from the TestClient of Starlette or FastAPI, without a network in between.

    No network address is "testclient". A trusted proxy could pass that address on, but a page cannot have the name
    "testserver".
    """
    client = scope.get("client")
    return host == "testserver" and client is not None and client[0] == "testclient"

"""Hosts: by which names a service may be called, against DNS rebinding."""

import os
import re
from collections.abc import Iterable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from miniagents.errors import InvalidOptionError
from miniagents.ext.serving.http.problems import Problem

HOSTS_VARIABLE = "MINIAGENTS_ALLOWED_HOSTS"
LOOPBACK = ("localhost", "127.0.0.1", "::1")

_NAME = re.compile(r"\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]|[0-9a-f]*:[0-9a-f:.]*")
_HEADER = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:@/\s]+)(?::[0-9]*)?")
_LONGEST = 100
"""Characters of a refused name that are repeated to whoever sent it."""


class Hosts:
    """The names that a service may be called by, without regard to ports.

    Args:
        names: "agents.example.com", "*.example.com", "10.0.0.7", "*" for all; None for those of loopback and of the
            environment variable `MINIAGENTS_ALLOWED_HOSTS`, where they are separated by commas.

    Raises:
        InvalidOptionError: One is no name.
    """

    def __init__(self, names: Iterable[str] | None) -> None:
        self._names: frozenset[str] = frozenset()
        if names is None:
            self.add(LOOPBACK)
            given = [name.strip() for name in os.environ.get(HOSTS_VARIABLE, "").split(",")]
            self.add((name for name in given if name), option=HOSTS_VARIABLE)
        else:
            self.add((names,) if isinstance(names, str) else names)

    def add(self, names: Iterable[str], *, option: str = "allowed_hosts=") -> None:
        """Allow more of them.

        Args:
            names: The names.
            option: Where they were given, for errors.

        Raises:
            InvalidOptionError: One is no name.
        """
        more = set()
        for given in names:
            name = given.lower()
            if not _NAME.fullmatch(name):
                raise InvalidOptionError(
                    f"{option} takes names without scheme and port (agents.example.com, *.example.com, 10.0.0.7, *), "
                    f"not {given!r}"
                )
            more.add(name.strip("[]"))
        self._names |= more

    @property
    def are_loopback(self) -> bool:
        """Whether only this machine knows itself by these names."""
        return self._names <= frozenset(LOOPBACK)

    def allow(self, host: str) -> bool:
        """Whether a `Host` header has one of them."""
        if "*" in self._names:
            return True
        found = _HEADER.fullmatch(host.lower())
        if found is None:
            return False
        name = found[1].strip("[]")
        if name in self._names:
            return True
        return any(name.endswith(pattern[1:]) for pattern in self._names if pattern.startswith("*."))


class HostCheck:
    """Refuses requests that call the service by a name that is not allowed, over HTTP and WebSocket alike.

    Args:
        app: What is behind it.
        hosts: The names.
        free: Paths of the app that may be called by any name: those of probes.
    """

    def __init__(self, app: ASGIApp, hosts: Hosts, free: Iterable[str]) -> None:
        self._app = app
        self._hosts = hosts
        self._free = frozenset(free)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand it on, or answer with a 400."""
        if scope["type"] in ("http", "websocket") and not self._passes(scope):
            host = Headers(scope=scope).get("host", "")
            text = (
                f"This service may not be called {host[:_LONGEST]!r}. Allow the name with "
                f"agent_app(allowed_hosts=[...]), with miniagents serve --allowed-host, or with {HOSTS_VARIABLE}."
            )
            problem = Problem(400, text, param="host", code="host_not_allowed")
            await problem.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _passes(self, scope: Scope) -> bool:
        given = Headers(scope=scope).getlist("host")
        host = given[0] if len(given) == 1 else ""
        if self._hosts.allow(host) or _is_test_client(scope, host):
            return True
        return scope["type"] == "http" and scope["path"].removeprefix(scope.get("root_path", "")) in self._free


def _is_test_client(scope: Scope, host: str) -> bool:
    """Whether this is the TestClient of Starlette and FastAPI, with no network in between. No address is called
    "testclient"; where a proxy is believed to say so, a page cannot have the name "testserver" all the same."""
    client = scope.get("client")
    return host == "testserver" and client is not None and client[0] == "testclient"

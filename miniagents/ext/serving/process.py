"""`serve`: a process that serves agents, run by uvicorn, from its start to its end."""

import asyncio
import contextlib
import errno
import inspect
import ipaddress
import logging
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any

from miniagents.actors.collecting import collecting
from miniagents.actors.threads import EXIT_GRACE, DaemonExecutor, use_daemon_threads
from miniagents.errors import InvalidOptionError, MissingDependencyError
from miniagents.ext.importing import import_target

_LAST_PORT = 65_535
_LOOK_EVERY = 0.1
"""Seconds between two looks, during a start, at whether the process has got a signal."""

_MOST_GRACE = 5.0
"""Seconds that a start which hangs has to end after a signal."""

_NOT_STARTED = 3


def serve(
    where: str,
    *,
    host: str,
    port: int,
    grace: float | None,
    allowed_hosts: Sequence[str],
    access_log: bool,
    collector: str,
    mcp: bool,
    a2a: bool,
    front_ends: Sequence[str],
) -> int:
    """Serve until the process gets a signal to stop.

    Args:
        where: The app or the agent, as `module:name`.
        host: The address to listen at.
        port: The port, 0 for any.
        grace: Seconds for the requests under way when the service stops; None for those of the app.
        allowed_hosts: Names and addresses by which clients may call the service, besides those of the app.
        access_log: Whether requests are logged.
        collector: "service" to make full garbage collections rare, "python" to leave the collector as it is.
        mcp: Whether the agents are served as tools, too.
        a2a: Whether they are served by the Agent2Agent protocol, too.
        front_ends: The protocols of chat front ends that the service speaks.

    Returns:
        The exit status.
    """
    try:
        import uvicorn

        from miniagents.ext.serving.asgi import AgentApp
        from miniagents.ext.serving.http.access_log import AccessLog
    except (ImportError, MissingDependencyError):
        print("miniagents serve needs starlette and uvicorn: pip install 'miniagents[serve]'", file=sys.stderr)
        return 2
    os.environ.setdefault("MINIAGENTS_CONTROL", "1")  # the system is made by the app, and other commands can ask it
    try:
        app = _loaded(where)
    except InvalidOptionError as error:
        print(f"miniagents serve: {where}: {error}", file=sys.stderr)
        return 2
    inner = app if isinstance(app, AgentApp) else _mounted(app)
    try:
        _check_address(host, port)
        _configured(inner, host=host, grace=grace, allowed_hosts=allowed_hosts, mcp=mcp, a2a=a2a, front_ends=front_ends)
    except (InvalidOptionError, MissingDependencyError) as error:
        print(f"miniagents serve: {error}", file=sys.stderr)
        return 2
    if threading.current_thread() is threading.main_thread():
        # uvicorn raises the signal once more after it has stopped. That is a normal end, so the status is 0.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    options: dict[str, Any] = {"ws_max_size": inner.limits.body} if inner is not None else {}
    if logging.getLogger().handlers:
        options["log_config"] = None  # the application has said where all lines go, and in which form
    config = uvicorn.Config(
        AccessLog(app) if access_log else app,
        host=host,
        port=port,
        server_header=False,
        access_log=False,  # uvicorn's own has no request ids
        **options,
    )

    threads = DaemonExecutor(name="asyncio")

    class Server(uvicorn.Server):
        is_told = False

        def handle_exit(self, sig: int, frame: Any) -> None:
            self.is_told = True
            super().handle_exit(sig, frame)
            if not self.started:
                end_soon(inner.grace_left if inner is not None else 0.0)

        async def serve(self, sockets: Any = None) -> None:
            with collecting("service" if collector == "service" else None):
                await super().serve(sockets)

        async def startup(self, sockets: Any = None) -> None:
            use_daemon_threads(asyncio.get_running_loop(), threads)
            # uvicorn itself would wait for a start that hangs, in spite of the signal.
            starting = asyncio.ensure_future(super().startup(sockets))
            while not starting.done():
                await asyncio.wait([starting], timeout=_LOOK_EVERY)
                if self.is_told:
                    starting.cancel()
            if not starting.cancelled():
                starting.result()

        async def shutdown(self, sockets: Any = None) -> None:
            # uvicorn itself would wait without a limit for clients that send or read too slowly.
            if inner is not None:
                config.timeout_graceful_shutdown = max(math.ceil(inner.grace_left), 1)
                threads.grace = min(EXIT_GRACE, inner.grace_left)  # for tools, when the agents stop
            await super().shutdown(sockets)
            if inner is not None:
                threads.grace = min(EXIT_GRACE, inner.grace_left)

    server = Server(config)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    return 0 if server.started or server.is_told else _NOT_STARTED  # as uvicorn's own command


def _check_address(host: str, port: int) -> None:
    """Check that a process may listen at an address, before anything is started.

    Raises:
        InvalidOptionError: The port is none or is taken, or the host is unknown.
    """
    if not 0 <= port <= _LAST_PORT:
        raise InvalidOptionError(f"--port must be 0 to {_LAST_PORT}, not {port}")
    try:
        places = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise InvalidOptionError(f"--host {host}: there is no such address: {error.strerror}") from error
    for family, kind, protocol, _, place in places:
        with socket.socket(family, kind, protocol) as probe:
            # As asyncio sets them, so that a port which the service could take is free here, too.
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind(place)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise InvalidOptionError(
                        f"--port {port} of {host} is taken by another process: choose another one, or 0 for any"
                    ) from error
                if error.errno == errno.EACCES:
                    raise InvalidOptionError(f"--port {port}: this user may not listen there") from error


def _configured(
    app: Any,
    *,
    host: str,
    grace: float | None,
    allowed_hosts: Sequence[str],
    mcp: bool,
    a2a: bool,
    front_ends: Sequence[str],
) -> None:
    """Apply the options of the command to an app, and warn if no other machine could call it.

    Args:
        app: The app, as `agent_app` returns it; None if there is none.
        host: The address to listen at.
        grace: That of `serve`.
        allowed_hosts: Those of `serve`.
        mcp: That of `serve`.
        a2a: That of `serve`.
        front_ends: Those of `serve`.

    Raises:
        InvalidOptionError: An option is wrong, or there is no app for it.
    """
    if app is None:
        for option, value in (
            ("--grace", grace),
            ("--allowed-host", allowed_hosts or None),
            ("--mcp", mcp or None),
            ("--a2a", a2a or None),
            ("--front-end", front_ends or None),
        ):
            if value is not None:
                raise InvalidOptionError(f"{option} needs an agent_app(), and there is none here")
        return
    if grace is not None:
        try:
            app.grace = grace
        except InvalidOptionError as error:
            raise InvalidOptionError(f"--{error}") from None
    app.hosts.add(list(allowed_hosts), option="--allowed-host")
    if mcp:
        app.serve_mcp()
    if a2a:
        app.serve_a2a()
    app.serve_front_ends(front_ends)
    if app.hosts.are_loopback and not _is_loopback(host):
        print(
            f"miniagents serve: warning: listening at {host}, but only requests for localhost are accepted "
            f"(and probes): name the hosts that clients call with --allowed-host or MINIAGENTS_ALLOWED_HOSTS",
            file=sys.stderr,
            flush=True,
        )


def _is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a server at this address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def end_soon(grace: float) -> None:
    """End the process after a short time although its start hangs, even if the loop is blocked.

    Args:
        grace: Seconds for the process to end by itself.
    """

    def end() -> None:
        print("miniagents serve: the start of the app does not end: the process is ended", file=sys.stderr, flush=True)
        os._exit(_NOT_STARTED)

    timer = threading.Timer(min(grace, _MOST_GRACE), end)
    timer.daemon = True
    timer.start()


def _loaded(where: str) -> Any:
    """Return the app at `module:name`. An agent becomes an app.

    Raises:
        InvalidOptionError: There is neither an app nor an agent.
    """
    from miniagents.agents import MiniAgent
    from miniagents.ext.serving.app import agent_app
    from miniagents.ext.serving.served_agent import Served

    target = import_target(where)
    if isinstance(target, (MiniAgent, Served, dict, list, tuple)):
        return agent_app(target)
    if not _is_asgi(target):
        raise InvalidOptionError(f"this is neither an agent nor an app, but {target!r}{_hint(target, where)}")
    return target


def _hint(target: Any, where: str) -> str:
    """Return what to do about an object that is not served, with a semicolon before it, or ""."""
    if not inspect.isfunction(target):
        return ""
    hint = "; decorate it with @miniagent, if it is to be an agent"
    required = [each for each in inspect.signature(target).parameters.values() if each.default is each.empty]
    if not inspect.iscoroutinefunction(target) and not required:
        module, _, name = where.partition(":")
        hint += f"; if it makes the app, write `agents = {name}()` in {module}, and name {module}:agents"
    return hint


def _is_asgi(target: Any) -> bool:
    """Return whether an object is an ASGI app: a callable of a scope, a function that receives, and one that sends."""
    if not callable(target) or inspect.isclass(target) or inspect.isbuiltin(target):
        return False
    if inspect.isfunction(target) and not inspect.iscoroutinefunction(target):
        return False
    try:
        inspect.signature(target).bind(None, None, None)
    except (TypeError, ValueError):
        return False
    return True


def _mounted(app: Any) -> Any:
    """Return the `AgentApp` inside another app; None if there is none, or more than one."""
    from miniagents.ext.serving.asgi import AgentApp

    below = getattr(app, "app", None)
    if isinstance(below, AgentApp):  # that of an McpApp
        return below
    apps = [route.app for route in getattr(app, "routes", ()) if isinstance(getattr(route, "app", None), AgentApp)]
    return apps[0] if len(apps) == 1 else None

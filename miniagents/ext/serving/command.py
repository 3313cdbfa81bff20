"""`miniagents serve module:app`: an app that serves agents, run by uvicorn."""

import argparse
import asyncio
import contextlib
import inspect
import ipaddress
import math
import os
import signal
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


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `miniagents serve` to a parser, and set `run` as the function for them."""
    parser.description = (
        "Serve agents over HTTP: an agent_app(), an app in which one is mounted, or an agent. "
        "Tokens are generated and printed, unless MINIAGENTS_TOKEN and MINIAGENTS_ADMIN_TOKEN have them. "
        "For clients on other machines, name the hosts that they may call: --allowed-host."
    )
    parser.add_argument("app", metavar="module:name", help="the app, or the agent")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="the port, 0 for any (default: %(default)s)")
    parser.add_argument(
        "--grace",
        type=float,
        metavar="SECONDS",
        help="seconds for the requests under way when the service stops (default: those of the app, 30)",
    )
    parser.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name or address by which clients may call the service, besides those of the app; may be repeated: "
        "agents.example.com, '*.example.com', 10.0.0.7, '*'. "
        "If the app has none: localhost, and those of MINIAGENTS_ALLOWED_HOSTS, separated by commas",
    )
    parser.add_argument(
        "--no-access-log",
        action="store_false",
        dest="access_log",
        help="log no requests (default: one event `service.request` for each)",
    )
    parser.add_argument(
        "--gc",
        choices=("service", "python"),
        default="service",
        help="how Python's garbage collector works: 'service' makes full collections, for which all clients wait, rare "
        "(default), 'python' leaves it as it is",
    )
    parser.add_argument(
        "--mcp",
        action="store_true",
        help="serve the agents also as tools of the Model Context Protocol, at /mcp",
    )
    parser.add_argument(
        "--a2a",
        action="store_true",
        help="serve the agents also by the Agent2Agent protocol, at /a2a/{name}",
    )
    parser.add_argument(
        "--front-end",
        action="append",
        default=[],
        metavar="NAME",
        help="speak the protocol of chat front ends: 'ag-ui', or 'ai-sdk' for the Vercel AI SDK; may be repeated",
    )
    parser.set_defaults(run=run)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command on its own.

    Args:
        argv: The arguments after `miniagents serve`; None for those of this process.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="miniagents serve")
    configure(parser)
    return run(parser.parse_args(argv))


def run(arguments: argparse.Namespace) -> int:
    """Serve until the process gets a signal to stop.

    Args:
        arguments: `app`, `host`, `port`, `grace`, `allowed_host`, `access_log`, `gc`, `mcp`, `a2a`,
            `front_end`;
            see `configure`.

    Returns:
        The exit status.
    """
    try:
        import uvicorn

        from miniagents.ext.serving.asgi import AgentApp
        from miniagents.ext.serving.http.access_log import AccessLog
    except (ImportError, MissingDependencyError):
        print("miniagents serve needs starlette and uvicorn: pip install 'miniagents[serve]'", file=sys.stderr)
        return 1
    try:
        app = _loaded(arguments.app)
    except InvalidOptionError as error:
        print(f"miniagents serve: {arguments.app}: {error}", file=sys.stderr)
        return 2
    if not 0 <= arguments.port <= _LAST_PORT:
        print(f"miniagents serve: --port must be 0 to {_LAST_PORT}, not {arguments.port}", file=sys.stderr)
        return 2
    inner = app if isinstance(app, AgentApp) else _mounted(app)
    try:
        _configured(inner, arguments)
    except (InvalidOptionError, MissingDependencyError) as error:
        print(f"miniagents serve: {error}", file=sys.stderr)
        return 2
    if threading.current_thread() is threading.main_thread():
        # uvicorn raises the signal once more after it has stopped. That is a normal end, so the status is 0.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    limits: dict[str, Any] = {"ws_max_size": inner.limits.body} if inner is not None else {}
    config = uvicorn.Config(
        AccessLog(app) if arguments.access_log else app,
        host=arguments.host,
        port=arguments.port,
        server_header=False,
        access_log=False,  # uvicorn's own has no request ids
        **limits,
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
            with collecting("service" if arguments.gc == "service" else None):
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


def _configured(app: Any, arguments: argparse.Namespace) -> None:
    """Apply the options of the command to an app, and warn if no other machine could call it.

    Args:
        app: The app, as `agent_app` returns it; None if there is none.
        arguments: The arguments of the command.

    Raises:
        InvalidOptionError: An option is wrong, or there is no app for it.
    """
    if app is None:
        for option, value in (
            ("--grace", arguments.grace),
            ("--allowed-host", arguments.allowed_host or None),
            ("--mcp", arguments.mcp or None),
            ("--a2a", arguments.a2a or None),
            ("--front-end", arguments.front_end or None),
        ):
            if value is not None:
                raise InvalidOptionError(f"{option} needs an agent_app(), and there is none here")
        return
    if arguments.grace is not None:
        try:
            app.grace = arguments.grace
        except InvalidOptionError as error:
            raise InvalidOptionError(f"--{error}") from None
    app.hosts.add(arguments.allowed_host, option="--allowed-host")
    if arguments.mcp:
        app.serve_mcp()
    if arguments.a2a:
        app.serve_a2a()
    app.serve_front_ends(arguments.front_end)
    if app.hosts.are_loopback and not _is_loopback(arguments.host):
        print(
            f"miniagents serve: warning: listening at {arguments.host}, but only requests for localhost are accepted "
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
        hint = "; decorate it with @miniagent, if it is to be an agent" if inspect.isfunction(target) else ""
        raise InvalidOptionError(f"this is neither an agent nor an app, but {target!r}{hint}")
    return target


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


if __name__ == "__main__":
    sys.exit(main())

"""`miniagents serve module:app`: agents behind uvicorn."""

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
from miniagents.ext.importing import import_named

_LAST_PORT = 65_535
_LOOK_EVERY = 0.1
"""Seconds after which a start that goes on looks whether the process is to end."""

_MOST_GRACE = 5.0
"""Seconds that a start which hangs has to end, once the process is told to."""

_NOT_STARTED = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `miniagents serve` to a parser; `run` takes what it makes of them."""
    parser.description = (
        "Serve agents over HTTP: what agent_app() made, an app in which it is mounted, or an agent as it is. "
        "A token is made and printed, unless MINIAGENTS_TOKEN has one; so is one for MINIAGENTS_ADMIN_TOKEN. "
        "Where others than this machine are to reach it, name the hosts that they may call: --allowed-host."
    )
    parser.add_argument("app", metavar="module:name", help="where the app, or the agent, is")
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8000, help="the port, 0 for any (default: %(default)s)")
    parser.add_argument(
        "--grace", type=float, metavar="SECONDS", help="how long what is under way may go on (default: the app's: 30)"
    )
    parser.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name or address by which clients may call it, besides the app's own; may be repeated: "
        "agents.example.com, '*.example.com', 10.0.0.7, '*'. "
        "Where the app names none: localhost, and those of MINIAGENTS_ALLOWED_HOSTS, separated by commas",
    )
    parser.add_argument(
        "--gc",
        choices=("service", "python"),
        default="service",
        help="how Python's garbage collector works: 'service' makes full collections, for which all clients wait, rare "
        "(default), 'python' leaves it as it is",
    )
    parser.set_defaults(run=run)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command on its own.

    Args:
        argv: What was typed after `miniagents serve`; None for the arguments of this process.

    Returns:
        The exit status.
    """
    parser = argparse.ArgumentParser(prog="miniagents serve")
    configure(parser)
    return run(parser.parse_args(argv))


def run(arguments: argparse.Namespace) -> int:
    """Serve until the process is told to stop.

    Args:
        arguments: `app`, `host`, `port`, `grace`, `allowed_host`, `gc`; see `configure`.

    Returns:
        The exit status.
    """
    try:
        import uvicorn

        from miniagents.ext.serving.asgi import AgentApp
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
    except InvalidOptionError as error:
        print(f"miniagents serve: {error}", file=sys.stderr)
        return 2
    if threading.current_thread() is threading.main_thread():
        # uvicorn raises the signal once more when it has stopped: it was asked to, and has, which is no failure.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    limits: dict[str, Any] = {"ws_max_size": inner.limits.body} if inner is not None else {}
    config = uvicorn.Config(app, host=arguments.host, port=arguments.port, server_header=False, **limits)

    threads = DaemonExecutor(name="asyncio")

    class Server(uvicorn.Server):
        is_told = False

        def handle_exit(self, sig: int, frame: Any) -> None:
            self.is_told = True
            super().handle_exit(sig, frame)
            if not self.started:
                end_soon(inner.grace_left if inner is not None else 0.0)

        async def startup(self, sockets: Any = None) -> None:
            use_daemon_threads(asyncio.get_running_loop(), threads)
            # By default a start that hangs is waited for, whatever the process is told.
            starting = asyncio.ensure_future(super().startup(sockets))
            while not starting.done():
                await asyncio.wait([starting], timeout=_LOOK_EVERY)
                if self.is_told:
                    starting.cancel()
            if not starting.cancelled():
                starting.result()

        async def shutdown(self, sockets: Any = None) -> None:
            # By default it waits for ever for clients that are too slow to send, or to read, what is under way.
            if inner is not None:
                config.timeout_graceful_shutdown = max(math.ceil(inner.grace_left), 1)
                threads.grace = min(EXIT_GRACE, inner.grace_left)  # for tools, when the agents stop
            await super().shutdown(sockets)
            if inner is not None:
                threads.grace = min(EXIT_GRACE, inner.grace_left)

    server = Server(config)
    with contextlib.suppress(KeyboardInterrupt), collecting("service" if arguments.gc == "service" else None):
        server.run()
    return 0 if server.started or server.is_told else _NOT_STARTED  # as uvicorn's own command


def _configured(app: Any, arguments: argparse.Namespace) -> None:
    """Give what `agent_app` made the options of the command, and warn where nobody could reach it.

    Args:
        app: What `agent_app` made, or None.
        arguments: Those of the command.

    Raises:
        InvalidOptionError: An option is wrong, or there is nothing to give it to.
    """
    if app is None:
        for option, value in (("--grace", arguments.grace), ("--allowed-host", arguments.allowed_host or None)):
            if value is not None:
                raise InvalidOptionError(f"{option} is for what agent_app() made, and there is none here")
        return
    if arguments.grace is not None:
        try:
            app.grace = arguments.grace
        except InvalidOptionError as error:
            raise InvalidOptionError(f"--{error}") from None
    app.hosts.add(arguments.allowed_host, option="--allowed-host")
    if app.hosts.are_loopback and not _is_loopback(arguments.host):
        print(
            f"miniagents serve: warning: it listens at {arguments.host}, but takes requests to localhost alone (and "
            f"probes): name the hosts that clients call with --allowed-host or MINIAGENTS_ALLOWED_HOSTS",
            file=sys.stderr,
            flush=True,
        )


def _is_loopback(host: str) -> bool:
    """Whether what listens there is reached by this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def end_soon(grace: float) -> None:
    """Let the process end though its start hangs, in code that may not even let the loop turn.

    Args:
        grace: Seconds that it has to end by itself.
    """

    def end() -> None:
        print("miniagents serve: the start of the app does not end: the process is ended", file=sys.stderr, flush=True)
        os._exit(_NOT_STARTED)

    timer = threading.Timer(min(grace, _MOST_GRACE), end)
    timer.daemon = True
    timer.start()


def _loaded(where: str) -> Any:
    """The app at `module:name`; an agent becomes one.

    Raises:
        InvalidOptionError: There is none.
    """
    from miniagents.agents import MiniAgent
    from miniagents.ext.serving.app import agent_app
    from miniagents.ext.serving.served_agent import Served

    module, _, name = where.partition(":")
    if not module or not name:
        raise InvalidOptionError("say where the app is, as module:name")
    found: Any = import_named(module)
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise InvalidOptionError(str(error)) from error
    if isinstance(found, (MiniAgent, Served, dict, list, tuple)):
        return agent_app(found)
    if not _is_asgi(found):
        hint = "; decorate it with @miniagent, if it is to be an agent" if inspect.isfunction(found) else ""
        raise InvalidOptionError(f"this is neither an agent nor an app, but {found!r}{hint}")
    return found


def _is_asgi(found: Any) -> bool:
    """Whether it takes a scope, and what receives and sends."""
    if not callable(found) or inspect.isclass(found) or inspect.isbuiltin(found):
        return False
    if inspect.isfunction(found) and not inspect.iscoroutinefunction(found):
        return False
    try:
        inspect.signature(found).bind(None, None, None)
    except (TypeError, ValueError):
        return False
    return True


def _mounted(app: Any) -> Any:
    """What `agent_app` made, inside another app; None if there is none, or more than one."""
    from miniagents.ext.serving.asgi import AgentApp

    found = [one.app for one in getattr(app, "routes", ()) if isinstance(getattr(one, "app", None), AgentApp)]
    return found[0] if len(found) == 1 else None


if __name__ == "__main__":
    sys.exit(main())

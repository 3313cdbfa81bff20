"""`McpApp`: an ASGI app whose agents are tools of the Model Context Protocol."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.types import Receive, Scope, Send

from miniagents.agents import AgentRef, MiniAgent, MiniAgents
from miniagents.ext.serving.app import agent_app
from miniagents.ext.serving.asgi import PROBES
from miniagents.ext.serving.http.auth import GENERATE, Auth
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.served_agent import Served


class McpApp:
    """An ASGI app whose agents are tools of the Model Context Protocol, over streamable HTTP at `/mcp`.

    The app speaks both eras of the protocol. It also answers the probes `/healthz` and `/readyz`. Inside another app,
    mount it at the root (`Mount("/", app)`, as the last route) and hand on its `lifespan`.

    Args:
        *agents: The agents. Each becomes a tool with its alias and description. `Served(agent, arguments=(...))` says
            which arguments clients may give.
        auth: The tokens of clients; see `agent_app`. None for an app without tokens.
        allowed_hosts: The names by which clients may call the app; see `agent_app`.
        allowed_origins: The origins of web pages that may use the app, besides its own.
        system: The system that runs the agents; None for a new one.
        on_start: An async function that gets the running system.
        grace: Seconds for the calls under way when the app stops, 0 or more, and finite.
        limits: The limits of the app; see `Limits`.
        shows_errors: Whether clients see the texts of agents' own errors; otherwise only the log has them.
        stateless: Whether clients of the era before 2026-07-28 get no session. A session lives in one process: with
            several processes say True, or route the requests by the header `Mcp-Session-Id`. Without a session a
            client of that era cancels a call by closing the response, since a notification cannot reach the call.

    Attributes:
        app: The app of the service below, for its `grace` and its `hosts`.

    Raises:
        InvalidOptionError: An option is outside its range, or two agents have the same name.

    Example:
        >>> @miniagent
        ... async def echo(ctx: InteractionContext) -> None:
        ...     ctx.reply(ctx.message_promises)
        >>> app = McpApp(echo, auth="a-secret-token", allowed_hosts=["agents.example.com"])
        >>> app.system.is_running
        False
    """

    def __init__(
        self,
        *agents: MiniAgent | AgentRef | Served,
        auth: Auth = GENERATE,
        allowed_hosts: Iterable[str] | None = None,
        allowed_origins: Iterable[str] = (),
        system: MiniAgents | None = None,
        on_start: Callable[[MiniAgents], Awaitable[Any]] | None = None,
        grace: float = 30.0,
        limits: Limits | None = None,
        shows_errors: bool = False,
        stateless: bool = False,
    ) -> None:
        self.app = app = agent_app(
            agents,
            auth=auth,
            admin_auth=None,
            system=system,
            on_start=on_start,
            grace=grace,
            limits=limits,
            allowed_hosts=allowed_hosts,
            allowed_origins=allowed_origins,
            shows_errors=shows_errors,
        )
        app.router.routes[:] = [route for route in app.routes if getattr(route, "path", None) in PROBES]
        app.serve_mcp(stateless=stateless)

    @property
    def system(self) -> MiniAgents:
        """The system that runs the agents."""
        return self.app.system

    def lifespan(self, app: Any = None) -> AbstractAsyncContextManager[None]:
        """Run the agents while the block runs; see `AgentApp.lifespan`.

        Args:
            app: The outermost app, which is not used.
        """
        return self.app.lifespan(app)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self.app(scope, receive, send)

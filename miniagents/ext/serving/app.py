"""`agent_app`: an ASGI app that serves agents."""

from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from miniagents.actors.collecting import Collecting, check_collecting
from miniagents.agents import MiniAgents
from miniagents.errors import InvalidOptionError
from miniagents.ext.serving.asgi import AgentApp
from miniagents.ext.serving.conversations.conversations import ConversationStore, MemoryConversations
from miniagents.ext.serving.conversations.turn_queue import Turns
from miniagents.ext.serving.draining import check_grace
from miniagents.ext.serving.front_ends.front_end import FrontEnd
from miniagents.ext.serving.http.auth import GENERATE, Auth, Keys
from miniagents.ext.serving.http.hosts import Hosts
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.openai.response_store import MemoryResponses, ResponseStore
from miniagents.ext.serving.served_agent import Agents, entries_of
from miniagents.ext.serving.service import Service
from miniagents.ext.serving.shown import are_tools_shown
from miniagents.ext.telemetry.prometheus import metrics_app

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from miniagents.ext.observer.web_observer import Mounted, WebObserver

TOKEN_VARIABLE = "MINIAGENTS_TOKEN"
ADMIN_TOKEN_VARIABLE = "MINIAGENTS_ADMIN_TOKEN"
OBSERVER_PATH = "/observer"


def agent_app(
    agents: Agents,
    *,
    auth: Auth = GENERATE,
    admin_auth: Auth = GENERATE,
    system: MiniAgents | None = None,
    on_start: Callable[[MiniAgents], Awaitable[Any]] | None = None,
    grace: float = 30.0,
    limits: Limits | None = None,
    allowed_hosts: Iterable[str] | None = None,
    allowed_origins: Iterable[str] = (),
    responses: ResponseStore | None = None,
    conversations: ConversationStore | None = None,
    conversation_idle: float = 600.0,
    metrics: "bool | CollectorRegistry" = False,
    shows_errors: bool = False,
    expose: Iterable[str] = (),
    front_ends: Iterable[FrontEnd] = (),
    gc: Collecting | None = None,
    observer: "bool | WebObserver | None" = None,
) -> AgentApp:
    """Return an ASGI app that serves agents, to run alone or to mount in another app.

    Args:
        agents: The agents: one, several (served under their aliases), or a dict of them by name. `Served(agent,
            arguments=(...))` says which arguments clients may give.
        auth: The tokens of clients: a str, several, or a dict of them by the names of their owners; or a function (it
            may be async) that returns the owner of a token: a `Caller`, a name, or None for an unknown token. By
            default the token of `MINIAGENTS_TOKEN`, or else a new one, which is printed once. None for a service
            without tokens.
        admin_auth: The tokens of operators, in the same forms. The variable is `MINIAGENTS_ADMIN_TOKEN`.
        system: The system that runs the agents; None for a new one. The service does not stop a system that runs
            already.
        on_start: An async function that gets the running system, to spawn and supervise actors.
        grace: Seconds for the requests under way when the service stops, 0 or more, and finite. Jobs that only wait are
            not waited for: they stay in the journal.
        limits: The limits of the service; see `Limits`.
        allowed_hosts: The names by which clients may call the service: "agents.example.com", "*.example.com",
            "10.0.0.7", "*". By default the names of loopback, and those of `MINIAGENTS_ALLOWED_HOSTS`, separated by
            commas. Probes (`/healthz`, `/readyz`) may use any name.
        allowed_origins: The origins of web pages that may use the service, "https://chat.example.com", besides its own.
        responses: The store of responses; by default 1,000 of each key in memory, for an hour.
        conversations: The store of conversations; by default 1,000 of each key in memory.
        conversation_idle: Seconds without a request after which the agent of a conversation is passivated, more than 0.
        metrics: Whether operators get `/metrics` for Prometheus; or a registry, in place of the one of the process.
        shows_errors: Whether clients see the texts of agents' own errors; otherwise only the log has them.
        expose: The parts that clients see besides answers: "tools" for the agents' own tool calls and their results, at
            `/agents/{name}`, and in chat front ends. All clients see the calls that an agent leaves to the client.
        front_ends: The protocols of chat front ends that the service speaks: "ag-ui" (AG-UI, at
            `/agents/{name}/ag-ui`), "ai-sdk" (the Vercel AI SDK, at `/agents/{name}/ai-sdk`). See
            docs/guides/front-ends.md.
        gc: "service" for a process that only serves: collections of Python's garbage collector, for which all clients
            would wait, become rare and short as long as the app runs (docs/guides/benchmarking.md). None leaves the
            collector alone; `miniagents serve` sets it itself.
        observer: Whether the live page of the system is served at `/observer`; or a `WebObserver` with one's own
            options. A link with a token is printed at the start.

    Returns:
        The app.

    Raises:
        InvalidOptionError: An option is outside its range.
        MissingDependencyError: `metrics=` needs OpenTelemetry's exporter, or "ag-ui" the package `ag-ui-protocol`,
            which is not installed.

    Example:
        >>> @miniagent
        ... async def echo(ctx: InteractionContext) -> None:
        ...     ctx.reply(ctx.message_promises)
        >>> app = agent_app(echo, auth="a-token", admin_auth=None, grace=10.0)
        >>> app.grace
        10.0
    """
    check_grace(grace)
    check_collecting(gc)
    if not conversation_idle > 0:
        raise InvalidOptionError(f"conversation_idle= must be more than 0 s, not {conversation_idle!r}")
    shows_tools = are_tools_shown(expose)
    system = system if system is not None else MiniAgents()
    limits = limits if limits is not None else Limits()
    turns = Turns(
        system,
        conversations if conversations is not None else MemoryConversations(),
        idle=conversation_idle,
        limits=limits,
    )
    service = Service(
        system,
        entries_of(agents, system),
        limits,
        Keys(auth, option="auth", variable=TOKEN_VARIABLE),
        Keys(admin_auth, option="admin_auth", variable=ADMIN_TOKEN_VARIABLE),
        turns,
        shows_errors=shows_errors,
        shows_tools=shows_tools,
    )
    hosts = Hosts(allowed_hosts)
    if isinstance(observer, bool):  # what the page needs is imported only where there is one
        observer = import_module("miniagents.ext.observer").WebObserver(opens=False) if observer else None
    app = AgentApp(
        service,
        grace=grace,
        on_start=on_start,
        hosts=hosts,
        allowed_origins=(allowed_origins,) if isinstance(allowed_origins, str) else allowed_origins,
        responses=responses if responses is not None else MemoryResponses(),
        metrics=None if metrics is False else metrics_app(None if metrics is True else metrics),
        gc=gc,
        observer=_mounted(observer, system, hosts) if observer is not None else None,
    )
    app.serve_front_ends(front_ends)
    return app


def _mounted(observer: "WebObserver", system: MiniAgents, hosts: Hosts) -> "Mounted":
    """Return the page of an observer, which is attached to the system."""
    system.observers.attach(observer)
    return observer.mounted(OBSERVER_PATH, hosts.allow)

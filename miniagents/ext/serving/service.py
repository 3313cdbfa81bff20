"""The service: the state that all endpoints share, and the wrapper around each endpoint."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from miniagents.actors.observing.caller import current_caller
from miniagents.agents import MiniAgents
from miniagents.errors import InvalidRequestError
from miniagents.ext.serving.conversations.conversation_id import ConversationIn, conversation_id
from miniagents.ext.serving.conversations.turn_queue import Turns
from miniagents.ext.serving.http.auth import ANYBODY, Keys
from miniagents.ext.serving.http.concurrency import Gate, Place
from miniagents.ext.serving.http.disconnect import while_connected
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.parsing import Parser
from miniagents.ext.serving.http.problems import FAILURES, GONE, Problem, stopping, told
from miniagents.ext.serving.http.tracing import traced
from miniagents.ext.serving.runs import Run, Runs, timeout_of
from miniagents.ext.serving.served_agent import Entry
from miniagents.ext.serving.tracking import Tracking
from miniagents.log import log as _log
from miniagents.messages import Message, Messages
from miniagents.promising import Promise

_RUN = "miniagents.run"
_CALLER = "miniagents.caller"
PLACE = "miniagents.place"
"""The key of a request's place in its scope."""
_NOT_STARTED = (
    "The agents are not running: the server has not run the lifespan of agent_app(). Inside another app, hand it on: "
    "FastAPI(lifespan=agents.lifespan), or `async with agents.lifespan(app):` in a lifespan of your own."
)


class Service:
    """The state that all endpoints of an app share.

    Attributes:
        system: The system that runs the agents.
        entries: The served agents, by name.
        limits: The limits of the service.
        keys: The tokens of clients.
        admin_keys: The tokens of operators.
        shows_errors: Whether clients see the texts of agents' own errors.
        shows_tools: Whether clients of `/agents` see the agents' own tool calls and their results.
        gate: The requests under way.
        tracking: The tracked calls in routes of the application.
        runs: The calls under way.
        turns: The conversations in use.
        parser: The parser of bodies.
        is_started: Whether the lifespan of the app runs.
    """

    def __init__(
        self,
        system: MiniAgents,
        entries: dict[str, Entry],
        limits: Limits,
        keys: Keys,
        admin_keys: Keys,
        turns: Turns,
        *,
        shows_errors: bool,
        shows_tools: bool,
    ) -> None:
        self.system = system
        self.entries = entries
        self.limits = limits
        self.keys = keys
        self.admin_keys = admin_keys
        self.shows_errors = shows_errors
        self.shows_tools = shows_tools
        self.gate = Gate(limits.concurrent)
        self.tracking = Tracking(self.gate)
        self.runs = Runs(limits)
        self.turns = turns
        self.parser = Parser(limits, frozenset(name for entry in entries.values() for name in entry.argument_names))
        self.is_started = False
        self._end: Promise[Any] | None = None

    def started(self) -> None:
        """Mark the service as started: the system runs."""
        self.is_started = True
        self._end = self.system.terminated()

    def ended(self) -> None:
        """Mark the service as ended."""
        self.is_started = False

    @property
    def has_failed(self) -> bool:
        """Whether a supervisor at the root of the system has given up."""
        end = self._end
        return end is not None and end.done() and isinstance(end.result(), BaseException)

    async def key_of(self, request: HTTPConnection, keys: Keys) -> str:
        """Return the name of the key of a request.

        Raises:
            Problem: 401: the token is missing or unknown; 500: the application's own `auth=` failed.
        """
        try:
            caller = request.scope[_CALLER] = await keys.caller_of(request.scope)
        except FAILURES as error:
            raise self.problem(error) from None
        return caller.name if caller is not None else ANYBODY

    def entry(self, name: str) -> Entry:
        """Return the agent that is served under a name.

        Raises:
            Problem: 404: there is no such agent.
        """
        try:
            return self.entries[name]
        except KeyError:
            raise Problem(404, f"There is no agent {name!r}.", param="model", code="model_not_found") from None

    async def begin(
        self,
        request: HTTPConnection,
        entry: Entry,
        key: str,
        messages: tuple[Message, ...] | None,
        arguments: dict[str, Any],
        conversation: ConversationIn = None,
        name: str | None = None,
    ) -> Run:
        """Call an agent for a client, when it is the request's turn in its conversation.

        Args:
            request: The request.
            entry: The agent.
            key: The name of the key of the request.
            messages: All messages; None to leave the call open for more.
            arguments: The arguments, checked.
            conversation: The conversation that the body names.
            name: The id of the run; None for a new one.

        Raises:
            Problem: The system is not running; or see `Turns.begin` and `Runs.begin`.
            ClientDisconnect: The client has disconnected before its turn came.
        """
        if not self.system.is_running:
            if not self.is_started:
                _log.error(_NOT_STARTED)
            raise Problem(503, "The agents are not running.", code="unavailable", retry_after=1.0)
        timeout = timeout_of(request, self.limits.request_timeout)
        id = conversation_id(request, conversation)
        if id is None:
            return self._begin(request, entry, key, arguments, timeout, messages, None, name)
        turn = await self.turns.begin(request, entry, key, id, timeout)
        try:
            left = timeout - turn.waited if timeout is not None else None
            return self._begin(request, entry, key, arguments, left, messages, turn, name)
        except BaseException:
            turn.give_up()
            raise

    def _begin(self, request: HTTPConnection, *given: Any) -> Run:
        token = current_caller.set(request.scope[_CALLER])
        try:
            with traced(self.system, request):
                run = request.scope[_RUN] = self.runs.begin(*given)
        finally:
            current_caller.reset(token)
        place: Place = request.scope[PLACE]
        place.hold()
        run.when_stopped(place.release)
        return run

    async def whole(self, request: Request, run: Run) -> Messages:
        """Return all replies of a run. The run is cancelled if the client disconnects meanwhile.

        Raises:
            ClientDisconnect: The client has disconnected.
        """
        stop = partial(run.cancel, "the request was cancelled")
        try:
            return await while_connected(request, run.replies, on_disconnect=run.leave, on_cancel=stop)
        finally:
            del self, request, run, stop  # else the run, its error and this frame would be a cycle

    def problem(self, error: BaseException, run: Run | None = None) -> Problem:
        """Return the problem of a failure for the client, and log the facts that the client does not see."""
        if run is not None and isinstance(error, InvalidRequestError):
            named = next((name for name in run.options if name in str(error)), None)
            if named is not None:  # the client has given the option that the provider refuses
                return Problem(400, f"The model refuses {named}: {error} ({named})", param=named, code="invalid")
        interaction = run.interaction if run is not None else None
        problem = told(
            error,
            shows_errors=self.shows_errors,
            actor=interaction.path if interaction is not None else getattr(error, "path", None),
            interaction=interaction.id if interaction is not None else None,
            caller=run.key if run is not None else None,
            **({} if run is None else {"request_id": run.request_id}),
        )
        if problem.code == "unavailable" and self.gate.is_draining:
            problem = stopping()
        problem.begun_by = run.request_id if run is not None else None
        return problem


Handler = Callable[[Request, str], Awaitable[ASGIApp]]
"""Answers a request with an app that sends the response. The second argument is the name of the key of the request."""


OnHttpError = Callable[[Request, Exception], Awaitable[Response]]
"""Answers a request after an `HTTPException` of Starlette."""

AsBody = Callable[[Request, Problem], Any]
"""Returns the body of the response for a problem; None for our own form."""


class Endpoint:
    """An ASGI app around a handler. It checks the token and the limits of a key, and answers failures.

    Args:
        service: The service.
        handler: Answers the request.
        keys: The tokens that are allowed; None for all clients.
        is_counted: Whether the request counts for the limits of its key, and for draining.
        as_body: The form of failures; None for our own form.
    """

    def __init__(
        self,
        service: Service,
        handler: Handler,
        *,
        keys: Keys | None,
        is_counted: bool = False,
        as_body: AsBody | None = None,
    ) -> None:
        self._service = service
        self._handler = handler
        self._keys = keys
        self.is_counted = is_counted
        self._as_body = as_body

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send, on_http_error: OnHttpError | None = None
    ) -> None:
        """Answer a request.

        Args:
            scope: The request.
            receive: Receives the body.
            send: Sends the answer.
            on_http_error: Answers an `HTTPException`; None to raise it, for the middleware of Starlette.
        """
        request = Request(scope, receive, send)
        place: Place | None = None
        response: ASGIApp
        try:
            try:
                key = await self._service.key_of(request, self._keys) if self._keys is not None else ""
                if self.is_counted:
                    place = scope[PLACE] = self._service.gate.enter(key)
                    place.hold()
                response = await self._answer(request, key)
            except Problem as problem:
                response = self._refusal(request, problem)
            except ClientDisconnect:
                response = Response(status_code=GONE)  # nobody reads it, but outer middleware needs an answer
            except HTTPException as error:
                if on_http_error is None:
                    raise
                response = await on_http_error(request, error)
            await response(scope, receive, send)
        except OSError:
            pass  # the client has disconnected (since ASGI 2.4)
        finally:
            if place is not None:
                place.release()

    async def _answer(self, request: Request, key: str) -> ASGIApp:
        try:
            if not self.is_counted:
                return await self._handler(request, key)
            async with self._service.gate.until_cut_off():
                return await self._handler(request, key)
        except (ClientDisconnect, HTTPException):
            raise
        except FAILURES as error:
            return self._refusal(request, self._service.problem(error, request.scope.get(_RUN)))

    def _refusal(self, request: Request, problem: Problem) -> Response:
        return problem.response(self._as_body(request, problem) if self._as_body is not None else None)

"""`A2aEndpoint`: the Agent2Agent protocol as routes of a service."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from a2a.auth.user import User
from a2a.server.agent_execution import RequestContext
from a2a.server.context import ServerCallContext
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.request_handlers.response_helpers import agent_card_to_dict
from a2a.server.routes import DefaultServerCallContextBuilder
from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from a2a.utils.constants import AGENT_CARD_WELL_KNOWN_PATH
from starlette.requests import Request
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from miniagents.ext.serving.a2a.card import card_of
from miniagents.ext.serving.a2a.executor import AgentTasks
from miniagents.ext.serving.a2a.recent_tasks import RecentTasks
from miniagents.ext.serving.http.problems import json_response
from miniagents.ext.serving.http.request_body import check_structure, read_body, replayed
from miniagents.ext.serving.runs import Run
from miniagents.ext.serving.served_agent import Entry
from miniagents.ext.serving.service import Endpoint, Service
from miniagents.journal.pending_wait import PendingWait
from miniagents.messages import Message

_KEPT = 1000
"""The most tasks of one key that are remembered."""

_REQUEST = "request"


class A2aEndpoint:
    """The agents of a service, each behind its card.

    Tokens, limits and draining are those of the service.

    Args:
        service: The service.
        url: The address at which callers reach the service; None for that of each request.
    """

    def __init__(self, service: Service, url: str | None = None) -> None:
        self._service = service
        self._url = url.rstrip("/") if url is not None else None
        self._handlers: list[DefaultRequestHandler] = []

    def routes(self, path: str) -> Iterable[BaseRoute]:
        """Yield the routes of all agents.

        Args:
            path: The path, "/a2a". The agents are below it.
        """
        service = self._service
        for entry in service.entries.values():
            place = f"{path}/{entry.name}"
            tasks = AgentTasks(entry, partial(self._begin, entry), service.problem, self._deliver)
            card = card_of(entry, self._url or place, needs_token=service.keys.are_needed)
            handler = DefaultRequestHandler(tasks, RecentTasks(_KEPT), card)
            self._handlers.append(handler)
            dispatcher = JsonRpcDispatcher(handler, context_builder=_Contexts())
            answer = Endpoint(service, partial(self._answer, dispatcher), keys=service.keys, is_counted=True)
            show = Endpoint(service, partial(self._card, entry, place), keys=service.keys)
            yield Route(place, answer, methods=["POST"])
            yield Route(place + AGENT_CARD_WELL_KNOWN_PATH, show, methods=["GET"])

    async def close(self) -> None:
        """End all tasks."""
        for handler in self._handlers:
            await handler.aclose()

    async def _card(self, entry: Entry, place: str, request: Request, key: str) -> ASGIApp:
        url = (self._url or str(request.base_url).rstrip("/")) + place
        return json_response(agent_card_to_dict(card_of(entry, url, needs_token=self._service.keys.are_needed)))

    async def _answer(self, dispatcher: JsonRpcDispatcher, request: Request, key: str) -> ASGIApp:
        limits = self._service.limits
        body = await read_body(request, limits)
        check_structure(body, limits)
        request.scope["user"] = key
        return await dispatcher.handle_requests(Request(request.scope, replayed(body, request.receive)))

    async def _begin(
        self, entry: Entry, context: RequestContext, messages: tuple[Message, ...], arguments: dict[str, Any]
    ) -> Run:
        request: Request = context.call_context.state[_REQUEST]
        return await self._service.begin(request, entry, request.scope["user"], messages, arguments, context.context_id)

    async def _deliver(self, wait: PendingWait, answer: Message) -> None:
        await self._service.system.answers.deliver(wait.job, wait.id, answer, wait.owner)


class _Contexts(DefaultServerCallContextBuilder):
    """Makes the contexts of requests, whose users are keys of the service."""

    def build(self, request: Request) -> ServerCallContext:
        context = super().build(request)
        context.state[_REQUEST] = request
        return context

    def build_user(self, request: Request) -> User:
        return Key(request.scope["user"])


class Key(User):
    """A key of the service, which owns the tasks that it begins.

    Args:
        name: The name of the key.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def is_authenticated(self) -> bool:
        """True: the service has checked the token."""
        return True

    @property
    def user_name(self) -> str:
        """The name of the key."""
        return self._name

"""The calls of agents, which do not take the way of Starlette: what the application has set there still holds."""

import json
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from miniagents import InteractionContext, miniagent
from miniagents.ext.serving import AgentApp, agent_app
from tests.ext.serving.agents import echo, speller
from tests.ext.serving.clients import Client
from tests.ext.serving.servers import TOKEN


@miniagent
async def teapot(ctx: InteractionContext) -> None:
    raise HTTPException(418, "I am a teapot", headers={"x-tea": "green"})


def new_app() -> AgentApp:
    return agent_app([echo, speller, teapot], auth=TOKEN, admin_auth=None)


def chat(agent: str, *, stream: bool = False) -> dict[str, Any]:
    return {"model": agent, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]}


async def answered(app: AgentApp, path: str, body: Any = None, **options: Any) -> Client:
    async with app.lifespan():
        client = Client(app, path, body, **options)
        await client.asking
    return client


class Noting:
    """A middleware of the application that notes the scopes of requests as they are after the answer."""

    scopes: list[Any]

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)
        self.scopes.append(scope)


@pytest.mark.parametrize(
    ("path", "body", "parameters"),
    [("/v1/chat/completions", chat("echo"), {}), ("/agents/echo", {"messages": "Hi"}, {"name": "echo"})],
)
async def test_a_middleware_of_the_application_sees_the_route_of_a_call(
    path: str, body: Any, parameters: dict[str, str]
) -> None:
    app = new_app()
    Noting.scopes = []
    app.add_middleware(Noting)

    client = await answered(app, path, body)

    assert client.status == 200
    scope = Noting.scopes[0]
    assert (scope["app"], scope["router"], scope["path_params"]) == (app, app.router, parameters)
    assert scope["route"] in app.routes
    assert scope["endpoint"] is scope["route"].endpoint


async def test_a_route_of_the_application_before_ours_is_taken() -> None:
    async def own(request: Request) -> Response:
        return PlainTextResponse("own")

    app = new_app()
    app.router.routes.insert(0, Route("/v1/chat/completions", own, methods=["POST"]))

    assert (await answered(app, "/v1/chat/completions", chat("echo"))).body == b"own"


async def test_an_http_exception_of_an_agent_has_its_status_and_headers() -> None:
    client = await answered(new_app(), "/v1/chat/completions", chat("teapot"))

    assert (client.status, json.loads(client.body)["error"]["message"]) == (418, "I am a teapot")
    assert (b"x-tea", b"green") in client.sent[0]["headers"]


async def test_a_handler_of_the_application_answers_for_an_http_exception_of_an_agent() -> None:
    async def handler(request: Request, error: Exception) -> Response:
        return PlainTextResponse("our own words", 418)

    app = new_app()
    app.add_exception_handler(418, handler)

    client = await answered(app, "/v1/chat/completions", chat("teapot"))

    assert (client.status, client.body) == (418, b"our own words")


async def test_another_method_is_refused_with_the_methods_of_the_path() -> None:
    client = await answered(new_app(), "/v1/chat/completions", method="DELETE")

    assert client.status == 405
    assert (b"allow", b"POST") in client.sent[0]["headers"]


async def test_a_stream_takes_the_short_way() -> None:
    """Starlette's middleware for exceptions notes itself in the scope."""
    app = new_app()
    Noting.scopes = []
    app.add_middleware(Noting)

    await answered(app, "/v1/chat/completions", chat("speller", stream=True))

    assert "starlette.exception_handlers" not in Noting.scopes[0]

"""A server on the SDK's low-level `Server`, for tests: `python -m tests.ext.mcp.program stdio|http old|new`.

The file that `MCP_TEST_NOTES` names gets a line for each thing that happens in it.
"""

import base64
import json
import os
import signal
import sys
import time
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import NotificationOptions, Server
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated, ToolsListChanged
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError
from mcp.shared.message import SessionMessage
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

Context = ServerRequestContext[Any, Any]

PNG = b"\x89PNG\r\n"
TEXT: dict[str, Any] = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
NOTHING: dict[str, Any] = {"type": "object"}
SCHEMAS: dict[str, dict[str, Any]] = {
    "echo": TEXT,
    "fail": NOTHING,
    "refuse": NOTHING,
    "contents": NOTHING,
    "weather.today": NOTHING,
    "unfit": NOTHING,
    "slow": {"type": "object", "properties": {"key": {"type": "string"}}},
    "hold": NOTHING,
    "die": {"type": "object", "properties": {"code": {"type": "integer"}}},
    "big": {"type": "object", "properties": {"size": {"type": "integer"}}},
    "steps": {"type": "object", "properties": {"number": {"type": "integer"}, "pause": {"type": "number"}}},
    "environment": NOTHING,
    "change": NOTHING,
    "noise": NOTHING,
    "touch": NOTHING,
    "whoami": NOTHING,
    "ask": NOTHING,
    "open": NOTHING,
    "model": NOTHING,
    "once": NOTHING,
}
OUTPUT = {"type": "object", "properties": {"degrees": {"type": "integer"}}, "required": ["degrees"]}
HINTS = {"once": types.ToolAnnotations(read_only_hint=True)}
PAGE = 5
PAGES = -(-len(SCHEMAS) // PAGE)
"""The number of pages of the list."""

bus = InMemorySubscriptionBus()
more: list[str] = [f"more_{number}" for number in range(int(os.environ.get("MCP_TEST_MORE", "0")))]


def note(text: str) -> None:
    path = os.environ.get("MCP_TEST_NOTES")
    if path:
        with Path(path).open("a") as file:
            file.write(text + "\n")


async def list_tools(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    note("listed")
    names = [name for name in (*SCHEMAS, *more) if may_call(ctx, name)]
    start = int(params.cursor) if params is not None and params.cursor else 0
    page = PAGE if not more else 1000
    tools = [
        types.Tool(
            name=name,
            description=f"Does {name}.",
            input_schema=SCHEMAS.get(name, NOTHING),
            output_schema=OUTPUT if name in ("weather.today", "unfit") else None,
            annotations=HINTS.get(name),
        )
        for name in names[start : start + page]
    ]
    following = str(start + page) if start + page < len(names) else None
    return types.ListToolsResult(tools=tools, next_cursor=following)


def may_call(ctx: Context, tool: str) -> bool:
    """Whether the caller has the right to call a tool: guests may not `once`."""
    is_guest = ctx.request is not None and ctx.request.headers.get("authorization") == "Bearer guest"
    return not (is_guest and tool == "once")


def text(*texts: str, is_error: bool = False) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=text) for text in texts], is_error=is_error)


async def call_tool(ctx: Context, params: types.CallToolRequestParams) -> Any:
    if not may_call(ctx, params.name):
        return text(f"{params.name} is not for guests", is_error=True)
    note(f"called {params.name}")
    arguments = params.arguments or {}
    match params.name:
        case "echo":
            return text(arguments["text"])
        case "fail":
            return text("no such file", is_error=True)
        case "refuse":
            raise MCPError(types.INVALID_PARAMS, "not like this")
        case "contents":
            data = base64.b64encode(PNG).decode()
            return types.CallToolResult(
                content=[
                    types.TextContent(text="look:"),
                    types.ImageContent(data=data, mime_type="image/png"),
                    types.AudioContent(data=data, mime_type="audio/wav"),
                    types.EmbeddedResource(
                        resource=types.BlobResourceContents(uri="file:///a.pdf", mime_type="application/pdf", blob=data)
                    ),
                    types.ResourceLink(name="b", uri="file:///b.txt"),
                ]
            )
        case "weather.today":
            structured = {"degrees": 21}
            return types.CallToolResult(
                content=[types.TextContent(text=json.dumps(structured))], structured_content=structured
            )
        case "unfit":
            return types.CallToolResult(content=[], structured_content={"degrees": "warm"})
        case "slow":
            try:
                await anyio.sleep(300)
            except anyio.get_cancelled_exc_class():
                note(f"cancelled {arguments.get('key')} at {time.time()}")
                raise
            return text("done")
        case "hold":
            while "open" not in Path(os.environ["MCP_TEST_NOTES"]).read_text().splitlines():  # noqa: ASYNC110 - a file
                await anyio.sleep(0.02)
            return text("let go")
        case "die":
            print("it is the end", file=sys.stderr, flush=True)
            os._exit(arguments.get("code", 3))
        case "big":
            return text("x" * arguments["size"])
        case "steps":
            for step in range(arguments["number"]):
                await anyio.sleep(arguments["pause"])
                await ctx.session.report_progress(step, arguments["number"])
            return text("all steps done")
        case "environment":
            return text(*sorted(os.environ))
        case "change":
            more.append("new")
            SCHEMAS.pop("echo", None)
            await ctx.session.send_tool_list_changed()
            await bus.publish(ToolsListChanged())
            return text("changed")
        case "whoami":
            return text(ctx.request.headers.get("authorization", "nobody") if ctx.request is not None else "nobody")
        case "ask" | "open" | "model":
            return await asked(ctx, params)
        case "touch":
            contents["text"] += "!"
            await ctx.session.send_resource_updated("notes://one")
            await bus.publish(ResourceUpdated(uri="notes://one"))
            return text("touched")
        case "noise":
            os.write(int(os.environ["MCP_TEST_STDOUT"]), b"starting...\n\xff\xfe{not json\n\n")
            return text("quiet again")
        case "once":
            if os.environ.get("MCP_TEST_NOTES") and Path(os.environ["MCP_TEST_NOTES"]).read_text().count("once") < 2:
                os._exit(1)
            return text("the second time")
        case _:
            return text(f"{params.name} does nothing")


FORM: dict[str, Any] = {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]}


def question(name: str) -> types.InputRequest:
    if name == "model":
        said = types.SamplingMessage(role="user", content=types.TextContent(text="Say hello."))
        return types.CreateMessageRequest(
            params=types.CreateMessageRequestParams(messages=[said], system_prompt="Be brief.", max_tokens=10)
        )
    if name == "ask":
        return types.ElicitRequest(
            params=types.ElicitRequestFormParams(message="Which \x1b[31mcolour?", requested_schema=FORM)
        )
    return types.ElicitRequest(
        params=types.ElicitRequestURLParams(message="Sign in.", url="https://a.example", elicitation_id="1")
    )


async def asked(ctx: Context, params: types.CallToolRequestParams) -> Any:
    """Ask the client in the way of the era, and return its answer."""
    answer: Any
    if ctx.protocol_version >= "2026":
        if not params.input_responses:
            return types.InputRequiredResult(input_requests={"q": question(params.name)})
        answer = params.input_responses["q"]
    else:
        kind = types.CreateMessageResult if params.name == "model" else types.ElicitResult
        answer = await ctx.session.send_request(question(params.name), kind)
    if isinstance(answer, types.CreateMessageResult):
        return text(f"{answer.model}: {getattr(answer.content, 'text', '')}")
    return text(f"{answer.action} {answer.content}")


contents = {"text": "one"}


async def list_resources(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListResourcesResult:
    if params is None or params.cursor is None:
        one = types.Resource(name="one", uri="notes://one", description="The first.", mime_type="text/plain")
        return types.ListResourcesResult(resources=[one], next_cursor="next")
    return types.ListResourcesResult(resources=[types.Resource(name="two", uri="notes://two", title="Two")])


async def list_templates(
    ctx: Context, params: types.PaginatedRequestParams | None
) -> types.ListResourceTemplatesResult:
    return types.ListResourceTemplatesResult(
        resource_templates=[types.ResourceTemplate(name="any", uri_template="notes://{number}")]
    )


async def read_resource(ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    uri = str(params.uri)
    if uri == "notes://one":
        return types.ReadResourceResult(contents=[types.TextResourceContents(uri=uri, text=contents["text"])])
    if uri == "notes://two":
        blob = base64.b64encode(PNG).decode()
        return types.ReadResourceResult(
            contents=[types.BlobResourceContents(uri=uri, mime_type="image/png", blob=blob)]
        )
    raise MCPError(types.INVALID_PARAMS, f"no resource {uri}")


async def get_prompt(ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
    about = (params.arguments or {})["about"]
    return types.GetPromptResult(
        messages=[
            types.PromptMessage(role="user", content=types.TextContent(text=f"What is {about}?")),
            types.PromptMessage(role="assistant", content=types.TextContent(text="Let me think.")),
        ]
    )


async def subscribe(ctx: Context, params: types.SubscribeRequestParams) -> types.EmptyResult:
    note(f"subscribed {params.uri}")
    return types.EmptyResult()


async def unsubscribe(ctx: Context, params: types.UnsubscribeRequestParams) -> types.EmptyResult:
    note(f"unsubscribed {params.uri}")
    return types.EmptyResult()


with warnings.catch_warnings():
    warnings.simplefilter("ignore", MCPDeprecationWarning)
    server: Server[Any] = Server(
        "tests",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_get_prompt=get_prompt,
        on_subscribe_resource=subscribe,
        on_unsubscribe_resource=unsubscribe,
        on_subscriptions_listen=ListenHandler(bus),
    )


@asynccontextmanager
async def old_era(read: Any, write: Any) -> AsyncIterator[Any]:
    """Answer `server/discover` as a server of the old era: there is no such method."""
    to_server, forwarded = anyio.create_memory_object_stream[SessionMessage | Exception](0)

    async def forward() -> None:
        async with to_server:
            async for item in read:
                message = item.message if isinstance(item, SessionMessage) else None
                if isinstance(message, types.JSONRPCRequest) and message.method == "server/discover":
                    error = types.ErrorData(code=types.METHOD_NOT_FOUND, message="Method not found")
                    await write.send(SessionMessage(types.JSONRPCError(jsonrpc="2.0", id=message.id, error=error)))
                else:
                    await to_server.send(item)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(forward)
        yield forwarded


class OldEra:
    """The same over HTTP: 400 without a session."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self.app(scope, receive, send)
            return
        first = await receive()
        if b"server/discover" in first.get("body", b""):
            await send({"type": "http.response.start", "status": 400, "headers": []})
            await send({"type": "http.response.body", "body": b"Bad Request: Missing session ID"})
            return
        given = [first]

        async def again() -> Message:
            return given.pop() if given else await receive()

        await self.app(scope, again, send)


class SignIn:
    """Lets through who has a token, and gives tokens to machines."""

    def __init__(self, app: Any, base: str) -> None:
        self.app = app
        self.base = base
        self.tokens = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope, receive)
        path, base = scope["path"], self.base
        if "oauth-protected-resource" in path:
            answer = JSONResponse({"resource": f"{base}/mcp", "authorization_servers": [base]})
        elif "oauth-authorization-server" in path:
            answer = JSONResponse(
                {
                    "issuer": base,
                    "authorization_endpoint": f"{base}/authorize",
                    "token_endpoint": f"{base}/token",
                    "response_types_supported": ["code"],
                    "grant_types_supported": ["client_credentials"],
                    "token_endpoint_auth_methods_supported": ["client_secret_basic"],
                }
            )
        elif path == "/token":
            note("token")
            self.tokens += 1
            token = f"token-{self.tokens}"
            answer = JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": 3600})
        elif path == "/forget":
            self.tokens += 1
            answer = JSONResponse({})
        elif request.headers.get("authorization") == f"Bearer token-{self.tokens}":
            await self.app(scope, receive, send)
            return
        else:
            where = f'Bearer resource_metadata="{base}/.well-known/oauth-protected-resource/mcp"'
            answer = JSONResponse({}, 401, {"WWW-Authenticate": where})
        await answer(scope, receive, send)


async def serve_stdio(era: str) -> None:
    note("started")
    os.environ["MCP_TEST_STDOUT"] = str(os.dup(1))
    if os.environ.get("MCP_TEST_STUBBORN"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    options = server.create_initialization_options(NotificationOptions(tools_changed=True))
    async with stdio_server() as (read, write):
        if era == "old":
            async with old_era(read, write) as forwarded:
                await server.run(forwarded, write, options)
        else:
            await server.run(read, write, options)
    if os.environ.get("MCP_TEST_STUBBORN"):
        note("ignores the end of its input")
        while True:
            signal.pause()


def app_of(era: str, **options: Any) -> Any:
    app = server.streamable_http_app(**options)
    return OldEra(app) if era == "old" else app


def main() -> None:
    kind, era, *rest = sys.argv[1:]
    if kind == "stdio":
        anyio.run(serve_stdio, era)
    else:
        app = app_of(era, json_response="json" in rest)
        if "sign-in" in rest:
            app = SignIn(app, f"http://127.0.0.1:{rest[0]}")
        uvicorn.run(app, port=int(rest[0]), log_level="error")


if __name__ == "__main__":
    main()

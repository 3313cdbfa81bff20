"""`/openapi.json`: the OpenAPI document, made from the types that requests are checked with."""

from collections.abc import Iterable
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from miniagents.ext.serving.anthropic.messages_api import TokenCount
from miniagents.ext.serving.anthropic.messages_input import CountRequest, MessagesRequest
from miniagents.ext.serving.anthropic.models import AnthropicModel, AnthropicModelList
from miniagents.ext.serving.http.problems import json_response
from miniagents.ext.serving.native import agents_api
from miniagents.ext.serving.openai import chat, conversation_items_api, conversations_api, paging, responses_api
from miniagents.ext.serving.openai.chat_input import ChatRequest
from miniagents.ext.serving.openai.responses_input import ResponsesRequest
from miniagents.ext.serving.openai.schemas import REFERENCE
from miniagents.ext.serving.operations import admin_api as operations
from miniagents.ext.serving.operations import waits_api
from miniagents.ext.serving.operations.openapi_schemas import request_of, schemas_of
from miniagents.ext.serving.service import Service
from miniagents.ext.wire.anthropic import AnthropicError, AnthropicMessage
from miniagents.ext.wire.openai_chat import ChatCompletion
from miniagents.ext.wire.openai_errors import ErrorBody
from miniagents.ext.wire.openai_items import ItemList
from miniagents.ext.wire.openai_responses import ResponseBody

_ANSWERS = {
    400: "The request, or one of its headers, is wrong.",
    401: "The token is missing or unknown.",
    402: "The budget is spent.",
    403: "Pages of this origin may not use the service.",
    404: "The agent, or another named object, does not exist.",
    408: "The body arrived too slowly.",
    409: "The request was stopped, for example by an operator.",
    413: "The body is too large.",
    415: "The content type is not application/json.",
    422: "The body is JSON, but does not fit its schema.",
    429: "The agent is busy, or the key has too many requests under way; `Retry-After` says when to try again.",
    500: "The agent failed.",
    502: "A model, or its provider, failed.",
    503: "The service is starting or stopping, or the agent is not running at the moment.",
    504: "The deadline passed.",
}
_GUARDED = (400, 401, 403)
_CALL = (*_GUARDED, 402, 404, 408, 409, 413, 415, 429, 500, 502, 503, 504)
_CHANGE = (*_GUARDED, 404, 408, 409, 413, 415, 429, 503, 504)
_COUNT = (*_GUARDED, 404, 408, 413, 415, 429, 500, 503)
_ANTHROPIC = {
    "name": "anthropic-version",
    "in": "header",
    "description": "The version of Anthropic's API. Clients that send it get answers in the form of that API.",
    "schema": {"type": "string"},
}
_PAGES = [
    {
        "name": "limit",
        "in": "query",
        "description": "Models on a page, for clients of Anthropic's API.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 20},
    },
    *(
        {"name": name, "in": "query", "description": f"The page {name[:-3]} this model.", "schema": {"type": "string"}}
        for name in ("after_id", "before_id")
    ),
]
_CONVERSATION = {
    "name": "X-Conversation",
    "in": "header",
    "description": "The conversation that the call belongs to, if the body names none.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]+$", "maxLength": 128},
}
_TIMEOUT = {
    "name": "X-Request-Timeout",
    "in": "header",
    "description": "Seconds until the deadline.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}


_INCLUDE = {
    "name": "include",
    "in": "query",
    "description": "More data to include. Everything that exists is included anyway.",
    "schema": {"type": "array", "items": {"enum": list(paging.INCLUDABLE)}},
}
_PAGE = [
    {
        "name": "limit",
        "in": "query",
        "description": "The most items; 20 by default.",
        "schema": {"type": "integer", "minimum": 1, "maximum": paging.MOST},
    },
    {
        "name": "order",
        "in": "query",
        "description": "`asc` begins with the oldest item, `desc` (the default) with the newest.",
        "schema": {"enum": ["asc", "desc"]},
    },
    {"name": "after", "in": "query", "description": "The item before the first one.", "schema": {"type": "string"}},
    _INCLUDE,
]


class OpenApi:
    """The endpoint of the document.

    Args:
        service: The service.
        has_metrics: Whether the service has `/metrics`.
    """

    def __init__(self, service: Service, *, has_metrics: bool) -> None:
        self._service = service
        self._has_metrics = has_metrics
        self._document: dict[str, Any] | None = None

    async def document(self, request: Request, key: str) -> Response:
        """Answer `GET /openapi.json`."""
        if self._document is None:
            self._document = document(self._service, has_metrics=self._has_metrics)
        root = request.scope.get("root_path", "")
        return json_response({**self._document, **({"servers": [{"url": root}]} if root else {})})


def document(service: Service, *, has_metrics: bool) -> dict[str, Any]:
    """Return the OpenAPI document of a service.

    Args:
        service: The service.
        has_metrics: Whether the service has `/metrics`.
    """
    schemas, components = schemas_of(service)
    keys: list[dict[str, Any]] = [{"token": []}] if service.keys.are_needed else []
    admin: list[dict[str, Any]] = [{"admin": []}] if service.admin_keys.are_needed else []
    make = _Operations(schemas)
    # OpenAPI 3.1 has no schema for single events, so these have no type.
    chunks = {"description": "Events. The data of each is a ChatChunk; the data of the last one is [DONE]."}
    chat_stream = {"text/event-stream": {"schema": chunks}}
    stream: dict[str, Any] = {"text/event-stream": {"schema": {"description": "Events."}}}
    stream_id, after = (
        _path("stream", {"type": "string"}),
        _header("Last-Event-ID", "The last event that was received."),
    )
    response_id = _path("id", {"type": "string"})
    resumed = [
        _query("stream", "Whether to answer with a stream of events.", {"type": "boolean"}),
        _query("starting_after", "The number of the last event that was received.", {"type": "integer", "minimum": 0}),
    ]
    grace = _query(
        "grace", "Seconds to wait for calls that do not stop.", {"type": "number", "minimum": 0, "maximum": 600}
    )
    paths: dict[str, Any] = {
        "/healthz": {"get": make("The health of the process", operations.Health, (400, 403), failing=503)},
        "/readyz": {"get": make("The readiness for requests", operations.Health, (400, 403), failing=503)},
        "/openapi.json": {"get": make("This document", {"type": "object"}, _GUARDED, keys)},
        "/v1/models": {
            "parameters": [_ANTHROPIC, *_PAGES],
            "get": make(
                "The served agents, as models",
                _either(schemas, chat.ModelList, AnthropicModelList),
                (*_GUARDED, 404),
                keys,
                error=_either(schemas, ErrorBody, AnthropicError),
            ),
        },
        "/v1/models/{model}": {
            "parameters": [_path("model", {"type": "string"}), _ANTHROPIC],
            "get": make(
                "One agent, as a model",
                _either(schemas, chat.Model, AnthropicModel),
                (*_GUARDED, 404),
                keys,
                error=_either(schemas, ErrorBody, AnthropicError),
            ),
        },
        "/v1/chat/completions": {
            "parameters": [_TIMEOUT, _CONVERSATION],
            "post": make("A chat completion", ChatCompletion, _CALL, keys, body=ChatRequest, also=chat_stream),
        },
        "/v1/messages": {
            "parameters": [_TIMEOUT, _CONVERSATION],
            "post": make(
                "A message", AnthropicMessage, _CALL, keys, MessagesRequest, stream, error=schemas[AnthropicError]
            ),
        },
        "/v1/messages/count_tokens": {
            "post": make(
                "An estimate of the tokens of a conversation",
                TokenCount,
                _COUNT,
                keys,
                CountRequest,
                error=schemas[AnthropicError],
            ),
        },
        "/v1/responses": {
            "parameters": [_TIMEOUT, _CONVERSATION],
            "post": make("A response", ResponseBody, _CALL, keys, body=ResponsesRequest, also=stream),
        },
        "/v1/responses/{id}": {
            "parameters": [response_id],
            "get": {
                **make("The current state of a response", ResponseBody, (*_GUARDED, 404, 429, 503), keys, also=stream),
                "parameters": resumed,
            },
            "delete": make("Delete a response", responses_api.Deleted, (*_GUARDED, 404), keys),
        },
        "/v1/responses/{id}/input_items": {
            "parameters": [response_id],
            "get": {**make("The input items of a response", ItemList, (*_GUARDED, 404), keys), "parameters": _PAGE},
        },
        "/v1/responses/{id}/cancel": {
            "parameters": [response_id],
            "post": make("Cancel a response", ResponseBody, (*_GUARDED, 404), keys),
        },
        "/v1/conversations": {
            "post": make(
                "Create a conversation",
                conversations_api.ConversationInfo,
                (*_GUARDED, 404, 408, 413, 415, 503),
                keys,
                body=conversations_api.ConversationRequest,
            )
        },
        "/v1/conversations/{id}": {
            "parameters": [_path("id", {"type": "string"})],
            "get": make("A conversation", conversations_api.ConversationInfo, (*_GUARDED, 404, 503), keys),
            "post": {
                **make(
                    "Change the metadata of a conversation",
                    conversations_api.ConversationInfo,
                    _CHANGE,
                    keys,
                    body=conversations_api.ConversationUpdate,
                ),
                "parameters": [_TIMEOUT],
            },
            "delete": make("Delete a conversation", conversations_api.ConversationDeleted, (*_GUARDED, 404, 503), keys),
        },
        "/v1/conversations/{id}/items": {
            "parameters": [_path("id", {"type": "string"})],
            "get": {**make("The items of a conversation", ItemList, (*_GUARDED, 404, 503), keys), "parameters": _PAGE},
            "post": {
                **make(
                    "Add items to a conversation", ItemList, _CHANGE, keys, body=conversation_items_api.ItemsRequest
                ),
                "parameters": [_INCLUDE, _TIMEOUT],
            },
        },
        "/v1/conversations/{id}/items/{item}": {
            "parameters": [_path("id", {"type": "string"}), _path("item", {"type": "string"})],
            "get": {
                **make("An item", {"$ref": REFERENCE.format(name="Item")}, (*_GUARDED, 404, 503), keys),
                "parameters": [_INCLUDE],
            },
            "delete": {
                **make(
                    "Delete an item of a conversation",
                    conversations_api.ConversationInfo,
                    (*_GUARDED, 404, 409, 429, 503, 504),
                    keys,
                ),
                "parameters": [_TIMEOUT],
            },
        },
        "/agents": {"get": make("The served agents", agents_api.AgentList, _GUARDED, keys)},
        "/interactions": {"get": make("The calls under way", operations.InteractionList, _GUARDED, admin)},
        "/interactions/{id}": {
            "parameters": [_path("id", {"type": "integer", "minimum": 0})],
            "delete": {
                **make("Stop a call, and all calls below it", operations.Stopped, (*_GUARDED, 404, 422), admin),
                "parameters": [grace],
            },
        },
    }
    either = keys + admin if keys and admin else []
    job = _query("job", "The job whose waits are listed; all if it is missing.", {"type": "string"})
    paths["/waits"] = {
        "get": {
            **make("What waits for an answer", waits_api.WaitList, (*_GUARDED, 503), either),
            "parameters": [job],
        },
        "post": make(
            "Answer what waits",
            waits_api.AnswerTaken,
            (*_GUARDED, 404, 408, 409, 413, 415, 422, 503),
            either,
            body=waits_api.AnswerRequest,
        ),
    }
    if has_metrics:
        shown = {kind: {"schema": {"type": "string"}} for kind in ("text/plain", "application/openmetrics-text")}
        paths["/metrics"] = {"get": make("Metrics, for Prometheus", None, _GUARDED, admin, also=shown)}
    for name, entry in service.entries.items():
        body = {"$ref": REFERENCE.format(name=request_of(entry))}
        call = make(entry.description or f"Call {name}", agents_api.AgentReply, (*_CALL, 422), keys, body, stream)
        paths[f"/agents/{name}"] = {"parameters": [_TIMEOUT, _CONVERSATION, after], "post": call}
        paths[f"/agents/{name}/streams/{{stream}}"] = {
            "parameters": [stream_id, after],
            "get": make("Resume a stream", None, (*_GUARDED, 404, 429, 503), keys, also=stream),
        }
    security = {name: {"type": "http", "scheme": "bearer"} for name in ("token", "admin")}
    return {
        "openapi": "3.1.0",
        "info": {"title": "MiniAgents", "version": version("miniagents")},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": security},
    }


class _Operations:
    """A writer of operations.

    Args:
        schemas: The schemas of types.
    """

    def __init__(self, schemas: dict[Any, dict[str, Any]]) -> None:
        self._schemas = schemas

    def __call__(
        self,
        summary: str,
        answer: Any,
        errors: Iterable[int],
        security: list[dict[str, Any]] | None = None,
        body: Any = None,
        also: dict[str, Any] | None = None,
        *,
        failing: int | None = None,
        error: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return one operation.

        Args:
            summary: A short description.
            answer: The type or the schema of the answer; None if only `also` applies.
            errors: The statuses of the errors.
            security: The security requirements.
            body: The type or the schema of the body.
            also: Other content types of the answer.
            failing: Another status with the same answer.
            error: The schema of the errors; None for the form of this service.
        """
        content = {**({} if answer is None else self._json(answer)), **(also or {})}
        responses: dict[str, Any] = {"200": {"description": "OK", "content": content}}
        if failing is not None:
            responses[str(failing)] = {"description": "No", "content": content}
        for status in errors:
            failure = self._json(error if error is not None else ErrorBody)
            if status == 400:  # a host that is not allowed
                failure["text/plain"] = {"schema": {"type": "string"}}
            responses[str(status)] = {"description": _ANSWERS[status], "content": failure}
        operation: dict[str, Any] = {"summary": summary.split("\n")[0], "responses": responses}
        if security:
            operation["security"] = security
        if body is not None:
            operation["requestBody"] = {"required": True, "content": self._json(body)}
        return operation

    def _json(self, kind: Any) -> dict[str, Any]:
        return {"application/json": {"schema": kind if isinstance(kind, dict) else self._schemas[kind]}}


def _either(schemas: dict[Any, dict[str, Any]], *kinds: Any) -> dict[str, Any]:
    """Return the schema of an answer whose form depends on the client's API."""
    return {"anyOf": [schemas[kind] for kind in kinds]}


def _path(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string"}}

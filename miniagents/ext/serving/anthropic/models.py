"""`/v1/models`, for clients of Anthropic's API: the agents, page by page."""

import datetime as dt
from typing import Any, Literal

import msgspec
from starlette.requests import Request

from miniagents.ext.serving.anthropic.client import speaks_anthropic
from miniagents.ext.serving.http.problems import Problem, json_response
from miniagents.ext.serving.service import Handler, Service

_PAGE = 20
_MOST = 1000
_LIFECYCLES = ("active", "deprecated", "retired")


class AnthropicModel(msgspec.Struct, frozen=True):
    """An agent, as a model."""

    id: str
    display_name: str
    created_at: str
    lifecycle: Literal["active"] = "active"
    deprecated_at: None = None
    retires_at: None = None
    line: None = None
    capabilities: None = None
    max_input_tokens: None = None
    max_tokens: None = None
    type: Literal["model"] = "model"


class AnthropicModelList(msgspec.Struct, frozen=True):
    """A page of the served agents."""

    data: tuple[AnthropicModel, ...]
    has_more: bool
    first_id: str | None
    last_id: str | None


class AnthropicModels:
    """The endpoints of models for clients of Anthropic's API. Other clients get the answer of other handlers.

    Args:
        service: The service.
        list_others: Answers requests of other clients for the list.
        retrieve_others: Answers requests of other clients for one model.
    """

    def __init__(self, service: Service, list_others: Handler, retrieve_others: Handler) -> None:
        self._service = service
        self._list_others = list_others
        self._retrieve_others = retrieve_others
        self._created = dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    async def list(self, request: Request, key: str) -> Any:
        """Answer `GET /v1/models`."""
        limit = _limit(request)
        after, before = (self._place(request, name) for name in ("after_id", "before_id"))
        wanted = _lifecycles(request)
        if not speaks_anthropic(request):
            return await self._list_others(request, key)
        names = list(self._service.entries) if "active" in wanted else []
        between = names[None if after is None else after + 1 : before]
        page = between[-limit:] if after is None and before is not None else between[:limit]
        models = tuple(map(self._model, page))
        first, last = (page[0], page[-1]) if page else (None, None)
        return json_response(AnthropicModelList(models, len(page) < len(between), first, last))

    async def retrieve(self, request: Request, key: str) -> Any:
        """Answer `GET /v1/models/{model}`."""
        if not speaks_anthropic(request):
            return await self._retrieve_others(request, key)
        return json_response(self._model(self._service.entry(request.path_params["model"]).name))

    def _model(self, name: str) -> AnthropicModel:
        return AnthropicModel(name, name, self._created)

    def _place(self, request: Request, name: str) -> int | None:
        id = request.query_params.get(name)
        if id is None:
            return None
        try:
            return list(self._service.entries).index(id)
        except ValueError:
            raise Problem(404, f"There is no agent {id!r} ({name})", param=name, code="model_not_found") from None


def _limit(request: Request) -> int:
    value = request.query_params.get("limit", str(_PAGE))
    if not (value.isascii() and value.isdecimal() and len(value) <= len(str(_MOST)) and 1 <= int(value) <= _MOST):
        raise Problem(400, f"limit must be a number from 1 to {_MOST}.", param="limit", code="invalid")
    return int(value)


def _lifecycles(request: Request) -> frozenset[str]:
    values = [*request.query_params.getlist("lifecycle"), *request.query_params.getlist("lifecycle[]")]
    names = frozenset(name for value in values for name in value.split(","))
    if not names <= set(_LIFECYCLES):
        raise Problem(400, f"lifecycle must be one of {', '.join(_LIFECYCLES)}.", param="lifecycle", code="invalid")
    return names or frozenset({"active"})

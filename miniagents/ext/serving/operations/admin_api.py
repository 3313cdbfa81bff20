"""The endpoints of operators: health, readiness, and the calls under way."""

import re
from collections.abc import Iterable
from typing import Literal

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from miniagents.agents import Interaction
from miniagents.errors import InvalidOptionError
from miniagents.ext.serving.http.problems import Problem, json_response
from miniagents.ext.serving.service import Service
from miniagents.promising.abandoning import DEFAULT_GRACE

_NUMBER = re.compile(r"[0-9]{1,18}")
_MOST_GRACE = 600.0


class Health(msgspec.Struct, frozen=True):
    """The state of the service."""

    status: Literal["ok", "ready", "starting", "draining", "failed", "store_unavailable"]


class InteractionInfo(msgspec.Struct, frozen=True):
    """A call that is under way.

    Attributes:
        id: The number of the call.
        agent: The path of the agent.
        parent: The number of the calling call, or null.
        age: Seconds since the call was made.
        tokens: Tokens used so far. The call of a client includes all calls below it.
        cost: The cost so far in USD, of the same calls; None if it is not known.
        state: The state: waiting in the mailbox, running, cancelled, or still running after that (`abandoned`).
        label: A label that tells equal calls apart, or null.
        key: The name of the key that made the call, or null.
    """

    id: int
    agent: str
    parent: int | None
    age: float
    tokens: int
    cost: float | None
    state: Literal["waiting", "running", "cancelled", "abandoned"]
    label: str | None = None
    key: str | None = None


class InteractionList(msgspec.Struct, frozen=True):
    """The calls under way, oldest first."""

    interactions: tuple[InteractionInfo, ...]


class Stopped(msgspec.Struct, frozen=True):
    """The result of stopping a call.

    Attributes:
        id: The number of the call.
        abandoned: The calls that still run, among this one and all below it. Their results are discarded.
    """

    id: int
    abandoned: tuple[InteractionInfo, ...]


class Operations:
    """The endpoints of operators.

    Args:
        service: The service.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def live(self, request: Request, key: str) -> Response:
        """Answer `GET /healthz`: 200 while the process works, 503 after its system has failed."""
        failed = self._service.has_failed
        return json_response(Health("failed" if failed else "ok"), 503 if failed else 200)

    async def ready(self, request: Request, key: str) -> Response:
        """Answer `GET /readyz`: whether the service accepts requests."""
        service = self._service
        if service.has_failed:
            return json_response(Health("failed"), 503)
        if service.gate.is_draining:
            return json_response(Health("draining"), 503)
        if not service.system.is_running:
            return json_response(Health("starting"), 503)
        if not await service.turns.store.check():
            return json_response(Health("store_unavailable"), 503)
        return json_response(Health("ready"))

    async def interactions(self, request: Request, key: str) -> Response:
        """Answer `GET /interactions`."""
        return json_response(InteractionList(self._infos(self._under_way().values())))

    async def stop(self, request: Request, key: str) -> Response:
        """Answer `DELETE /interactions/{id}` when all calls have stopped, or after `grace` seconds."""
        id, grace = request.path_params["id"], _grace(request)
        number = int(id) if _NUMBER.fullmatch(id) else -1
        interaction = self._under_way().get(number)
        if interaction is None:
            text = f"There is no interaction {id[:20]!r} (any more)."
            raise Problem(404, text, param="id", code="interaction_not_found")
        abandoned = await interaction.cancel("an operator stopped it", grace=grace)
        return json_response(Stopped(number, self._infos(abandoned)))

    def _under_way(self) -> dict[int, Interaction]:
        """The calls under way, oldest first."""
        service = self._service
        interactions = {interaction.id: interaction for interaction in service.runs.interactions()}
        if service.system.is_running:
            interactions |= {interaction.id: interaction for interaction in service.system.interactions()}
        return dict(sorted(interactions.items()))

    def _infos(self, interactions: Iterable[Interaction]) -> tuple[InteractionInfo, ...]:
        # An agent that passes on the replies of another one may have returned already.
        tops = {interaction.id: top for top in self._service.runs.interactions() for interaction in top.below}
        return tuple(
            self._info(interaction, interaction.parent or tops.get(interaction.id)) for interaction in interactions
        )

    def _info(self, interaction: Interaction, parent: Interaction | None) -> InteractionInfo:
        run = self._service.runs.of(interaction.id)
        meter = run.meter if run is not None else None
        cost = interaction.cost if meter is None else meter.cost
        return InteractionInfo(
            id=interaction.id,
            agent=interaction.path,
            parent=parent.id if parent is not None else None,
            age=round(interaction.age, 3),
            tokens=interaction.tokens if meter is None else meter.input_tokens + meter.output_tokens,
            cost=round(cost, 9) if cost is not None else None,
            state="abandoned"
            if interaction.abandoned
            else "cancelled"
            if interaction.cancelled is not None
            else "running"
            if interaction.is_running or interaction.done()
            else "waiting",
            label=interaction.label,
            key=run.key if run is not None else None,
        )


def _grace(request: Request) -> float:
    value = request.query_params.get("grace")
    if value is None:
        return DEFAULT_GRACE
    try:
        seconds = float(value)
        if not 0 <= seconds <= _MOST_GRACE:
            raise InvalidOptionError(value)
    except ValueError:
        text = f"grace must be a number of seconds, 0 to {_MOST_GRACE:.0f} (grace)"
        raise Problem(422, text, param="grace", code="invalid") from None
    return seconds

"""The endpoints of waits: what waits for an answer from outside, and the answers."""

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from miniagents.errors import AnswerRefusedError, InvalidOptionError, MessageTooLargeError
from miniagents.ext.serving.http.json_messages import MessageIn
from miniagents.ext.serving.http.limits import Limits
from miniagents.ext.serving.http.parsing import Parsed
from miniagents.ext.serving.http.problems import Problem, json_response, refused
from miniagents.ext.serving.http.request_body import decode, read_body
from miniagents.ext.serving.service import Service
from miniagents.journal.pending_wait import PendingWait
from miniagents.messages import UserMessage


class WaitList(msgspec.Struct, frozen=True):
    """What waits for an answer, oldest first."""

    waits: tuple[PendingWait, ...]


class AnswerRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer to a wait.

    Attributes:
        wait: The id of the wait, or its name if no other wait of the job has it.
        message: The answer: a text, or a message.
        job: The name of the job, or "".
    """

    wait: str
    message: str | MessageIn
    job: str = ""


class AnswerTaken(msgspec.Struct, frozen=True):
    """An answer that was taken.

    Attributes:
        id: The id of the wait that has it; null for an answer that is kept until something waits for it.
    """

    id: str | None


def parse_answer(body: bytes, limits: Limits, names: frozenset[str]) -> Parsed:
    """Parse an answer to a wait; see `Parse`."""
    wanted = decode(body, AnswerRequest, status=422)
    given = wanted.message
    message = UserMessage(given) if isinstance(given, str) else given.message("message")
    return Parsed(msgspec.structs.replace(wanted, message=""), (message,))


class WaitsApi:
    """The endpoints of waits.

    A client sees and answers the waits of the calls that it has made. An operator sees and answers all.

    Args:
        service: The service.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def waits(self, request: Request, key: str) -> Response:
        """Answer `GET /waits`."""
        _, owner = await self._who(request)
        waits = await self._service.system.pending(request.query_params.get("job"))
        return json_response(WaitList(tuple(wait for wait in waits if owner in (None, wait.owner))))

    async def answer(self, request: Request, key: str) -> Response:
        """Answer `POST /waits`."""
        service = self._service
        name, owner = await self._who(request)
        wanted, (message,), _ = await service.parser.parsed(parse_answer, await read_body(request, service.limits))
        try:
            id = await service.system.answers.deliver(wanted.job, wanted.wait, message, name, owner=owner)
        except AnswerRefusedError as error:
            raise refused(error) from None
        except (InvalidOptionError, MessageTooLargeError) as error:
            raise Problem(422, f"{error}.", code="invalid") from None
        return json_response(AnswerTaken(id))

    async def _who(self, request: Request) -> tuple[str, str | None]:
        """Return the name of the one who asks, and the owner of the waits that he may see; None for all of them.

        Raises:
            Problem: 401: the token is neither an operator's nor a client's. In a service without tokens for clients,
                a wait belongs to no client. 500: the application's function for tokens fails.
        """
        service = self._service
        try:
            return await service.key_of(request, service.admin_keys), None
        except Problem as problem:
            if problem.status != 401 or not service.keys.are_needed:
                raise
            name = await service.key_of(request, service.keys)
            return name, name

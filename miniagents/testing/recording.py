"""Real exchanges in a file: recorded once, replayed in every test after that."""

from collections import defaultdict, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from miniagents.testing.script import Reply

_KEPT_HEADERS = frozenset({"content-type", "request-id", "x-request-id", "retry-after", "retry-after-ms"})


class Recorded(msgspec.Struct, frozen=True):
    """One exchange. The request's headers are not kept: they have the key.

    Attributes:
        path: The path of the API.
        request: The JSON body of the request.
        status: The HTTP status of the answer.
        headers: Those headers of the answer that matter.
        answer: Its body.
    """

    path: str
    request: Any
    status: int
    headers: dict[str, str]
    answer: str


class Recording:
    """Exchanges in a file, one line of JSON each; only their owner can read it.

    Args:
        path: The file; what is there is read.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._answers: dict[bytes, deque[Recorded]] = defaultdict(deque)
        if self._path.exists():
            for line in self._path.read_bytes().splitlines():
                self._keep(msgspec.json.decode(line, type=Recorded))

    def add(self, path: str, request: Any, status: int, headers: Mapping[str, str], answer: str) -> None:
        """Put an exchange in."""
        kept = {name: value for name, value in headers.items() if name in _KEPT_HEADERS or "ratelimit" in name}
        one = Recorded(path, request, status, kept, answer)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(one) + b"\n")
        self._keep(one)

    def answer(self, path: str, request: Any) -> Reply:
        """What was answered to an equal request: to the first one first, and so on, and then the last one again."""
        answers = self._answers.get(_key(path, request))
        if not answers:
            return Reply.failure(404, error=f"{self._path}: no such request to {path} was recorded")
        one = answers.popleft() if len(answers) > 1 else answers[0]
        headers = {name: value for name, value in one.headers.items() if name != "content-type"}
        return Reply(
            body=one.answer, status=one.status, headers=headers, content_type=one.headers.get("content-type", "")
        )

    def _keep(self, one: Recorded) -> None:
        self._answers[_key(one.path, one.request)].append(one)


def _key(path: str, request: Any) -> bytes:
    return msgspec.json.encode((path, request), order="sorted")

"""Recordings: real exchanges with a provider in a file, replayed in tests."""

from collections import defaultdict, deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from miniagents.testing.script import Reply

_RECORDED_HEADERS = frozenset({"content-type", "request-id", "x-request-id", "retry-after", "retry-after-ms"})


class Recorded(msgspec.Struct, frozen=True):
    """One recorded exchange. The headers of the request are left out, because they contain the key.

    Attributes:
        path: The path of the API.
        request: The JSON body of the request.
        status: The HTTP status of the answer.
        headers: The headers of the answer that clients read.
        answer: The body of the answer.
    """

    path: str
    request: Any
    status: int
    headers: dict[str, str]
    answer: str


class Recording:
    """Exchanges in a file, one line of JSON for each. Only the owner of the file can read it.

    Args:
        path: The file. Its exchanges are read if it exists.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     recording = Recording(f"{folder}/exchanges.jsonl")
        ...     recording.add("/v1/embeddings", {"input": "a"}, 200, {}, "{}")
        ...     Recording(f"{folder}/exchanges.jsonl").answer("/v1/embeddings", {"input": "a"}).body
        '{}'
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._answers: dict[bytes, deque[Recorded]] = defaultdict(deque)
        if self._path.exists():
            for line in self._path.read_bytes().splitlines():
                self._append(msgspec.json.decode(line, type=Recorded))

    def add(self, path: str, request: object, status: int, headers: Mapping[str, str], answer: str) -> None:
        """Append an exchange to the file.

        Args:
            path: The path of the API.
            request: The JSON body of the request.
            status: The HTTP status of the answer.
            headers: The headers of the answer.
            answer: The body of the answer.
        """
        recorded_headers = {
            name: value for name, value in headers.items() if name in _RECORDED_HEADERS or "ratelimit" in name
        }
        exchange = Recorded(path, request, status, recorded_headers, answer)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch(mode=0o600)
        with self._path.open("ab") as file:
            file.write(msgspec.json.encode(exchange) + b"\n")
        self._append(exchange)

    def answer(self, path: str, request: object) -> Reply:
        """Return the recorded answer to an equal request.

        Equal requests get their answers in the order of the recording; the last answer is repeated.

        Args:
            path: The path of the API.
            request: The JSON body of the request.

        Returns:
            The answer, or a 404 if no equal request was recorded.
        """
        answers = self._answers.get(_key(path, request))
        if not answers:
            return Reply.failure(404, error=f"{self._path}: no such request to {path} was recorded")
        exchange = answers.popleft() if len(answers) > 1 else answers[0]
        headers = {name: value for name, value in exchange.headers.items() if name != "content-type"}
        return Reply(
            body=exchange.answer,
            status=exchange.status,
            headers=headers,
            content_type=exchange.headers.get("content-type", ""),
        )

    def _append(self, exchange: Recorded) -> None:
        self._answers[_key(exchange.path, exchange.request)].append(exchange)


def _key(path: str, request: object) -> bytes:
    return msgspec.json.encode((path, request), order="sorted")

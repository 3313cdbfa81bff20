"""The child process that parses large bodies: see `parsing`. The process ends when the parent closes the pipe."""

import os
import pickle
import signal
import sys
from typing import BinaryIO

from miniagents.ext.serving.http.parsing import HEAD
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.serving.http.request_body import check_structure
from miniagents.messages import encode


def main() -> None:
    """Answer the parent until it closes the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which stops this process
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # so that printed text does not get into the answers
    while (head := _read(sys.stdin.buffer, HEAD)) is not None:
        asked = _read(sys.stdin.buffer, int.from_bytes(head, "big"))
        if asked is None:
            break
        answer = _answer(asked)
        answers.write(len(answer).to_bytes(HEAD, "big"))
        answers.write(answer)
        answers.flush()


def _answer(asked: bytes) -> bytes:
    parse, body, limits, names = pickle.loads(asked)
    try:
        check_structure(body, limits)
        wanted, messages, fields = parse(body, limits, names)
        return pickle.dumps((wanted, dict(fields), [encode(message) for message in messages]))
    except Problem as problem:
        return pickle.dumps((problem, {}, []))


def _read(pipe: BinaryIO, size: int) -> bytes | None:
    data = pipe.read(size)
    return data if len(data) == size else None


if __name__ == "__main__":
    main()

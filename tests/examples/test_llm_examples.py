"""The examples that talk to models, run as a user runs them, against a provider that is a real server."""

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Self

import pytest

from miniagents.testing import Call, FakeProvider, Reply

ROOT = Path(__file__).parents[2]


def environment(provider: FakeProvider) -> dict[str, str]:
    return {
        **os.environ,
        "MODEL": "openai:fake-1",
        "OPENAI_API_KEY": "fake-key",
        "OPENAI_BASE_URL": provider.openai_url,
        "PROMPT_TOOLKIT_NO_CPR": "1",
        "TERM": "xterm",
    }


# Importing an SDK takes seconds where the machine is busy.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def run(name: str, provider: FakeProvider) -> str:
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}"],
        cwd=ROOT,
        env=environment(provider),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    return done.stdout


def test_tools(fake_provider: FakeProvider) -> None:
    calls = (Call("population", {"city": "Paris"}), Call("archivist", {"message": "1900?"}))
    fake_provider.reset(Reply(calls=calls), "2.1 million, and a great fair.")
    assert run("tools", fake_provider).splitlines() == [
        'approve: population({"city":"Paris"})',
        'approve: archivist({"message":"1900?"})',
        "2.1 million, and a great fair.",
        "(4 messages, with the calls of tools and their results)",
    ]


def test_extraction(fake_provider: FakeProvider) -> None:
    fake_provider.reset('{"value": [{"name": "Ann Lee", "age": 34}, {"name": "Bob Ray", "age": 51}]}')
    lines = run("extraction", fake_provider).splitlines()
    assert lines[-2:] == ["Ann Lee is 34", "Bob Ray is 51"]
    assert len(lines) > 4


def test_debate(fake_provider: FakeProvider) -> None:
    def speak(exchange: object) -> str:
        system = exchange.body["messages"][0]["content"]  # type: ignore[attr-defined]
        return "The one against." if "convincing" in system else f"I am {system.split()[2]}."

    fake_provider.reset(speak)
    assert run("debate", fake_provider) == "for: I am for.\nagainst: I am against.\njudge: The one against.\n"
    judged = fake_provider.last.prompt
    assert "I am for." in judged
    assert "I am against." in judged


def test_fallback(fake_provider: FakeProvider) -> None:
    fake_provider.reset("I am here.")
    assert run("fallback", fake_provider) == "OpenAIAgent: I am here.\nOpenAIAgent: I am here.\n"


class Terminal:
    """A program in a real terminal."""

    def __init__(self, *command: str, env: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 80))
        self._process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, env=env, start_new_session=True
        )
        os.close(slave)
        self.shown = ""
        self._read_to = 0

    def expect(self, text: str, timeout: float = 60.0) -> None:
        """Wait for a text; the next one is looked for behind it."""
        end = time.monotonic() + timeout
        while text not in self._plain():
            ready, _, _ = select.select([self._master], [], [], max(end - time.monotonic(), 0))
            assert ready, f"{text!r} was not shown, but: {self._plain()!r}"
            try:
                self.shown += os.read(self._master, 65536).decode(errors="replace")
            except OSError:
                assert text in self._plain(), f"it ended without {text!r}: {self._plain()!r}"
        self._read_to += self._plain().index(text) + len(text)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)

    def ended(self) -> int:
        return self._process.wait(60)

    def _plain(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]", "", self.shown)[self._read_to :]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.timeout(200)
def test_a_chat_in_a_terminal_goes_on_after_a_restart(fake_provider: FakeProvider, tmp_path: Path) -> None:
    pytest.importorskip("prompt_toolkit")
    fake_provider.reset("Hello, whoever you are.", "You are Ann.")
    history = str(tmp_path / "CHAT.md")
    for said, answer, end in (
        ("I am Ann\x00(two lines)\r", "Hello, whoever you are.", "exit\r"),
        ("Who am I?\r", "You are Ann.", "\x03"),
    ):
        with Terminal(sys.executable, "-m", "examples.chat", history, env=environment(fake_provider)) as terminal:
            terminal.expect("USER:")
            terminal.type(said)
            terminal.expect(answer)
            terminal.expect("USER:")
            terminal.type(end)
            assert terminal.ended() == 0
    sent = [message["content"] for message in fake_provider.last.body["messages"]]
    assert sent[1:] == ["I am Ann\n(two lines)", "Hello, whoever you are.", "Who am I?"]

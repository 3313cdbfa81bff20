"""`run_agent`: one call of an agent, whose replies are printed as they stream."""

import contextlib
import sys
from typing import Any, TextIO

import msgspec

from miniagents.agents import MiniAgent, MiniAgents
from miniagents.cli.log import log_to_stderr
from miniagents.cli.target import load_agent
from miniagents.control.protocol import failed
from miniagents.errors import AgentArgumentError, InvalidOptionError
from miniagents.ext.agents.console import shown
from miniagents.ext.command_line import DONE, envelope
from miniagents.ext.importing import own_trace
from miniagents.ext.serving.http.reply_messages import MessageOut


def run_agent(
    target: str, text: str | None, timeout: float | None, factory: bool, as_json: bool, settings: dict[str, Any]
) -> int:
    """Call an agent, and print its replies.

    Args:
        target: The agent, as `module:agent`.
        text: The message; "-" for standard input, None for a call without a message.
        timeout: Seconds that the call may take, more than 0; None for no limit.
        factory: Whether `target` is a function whose call gives the agent.
        as_json: Whether each reply is printed as one JSON object in a line.
        settings: Options of the system.

    Returns:
        The exit status of success.

    Raises:
        CommandError: The call failed.
        InvalidOptionError: An argument is wrong.
    """
    if timeout is not None and not timeout > 0:
        raise InvalidOptionError(f"--timeout must be more than 0 seconds, not {timeout}")
    message = _read() if text == "-" else text
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # what the program prints is no reply
        agent = load_agent(target, factory=factory)
        log_to_stderr()
        MiniAgents(**settings).run(_print_replies(agent, message, timeout, out, as_json=as_json))
    return DONE


async def _print_replies(
    agent: MiniAgent, message: str | None, timeout: float | None, out: TextIO, *, as_json: bool
) -> None:
    try:
        async for promise in agent.inquire(message, timeout=timeout, errors_as_messages=False):
            if as_json:
                reply = msgspec.json.encode(MessageOut.of(await promise))
                print(envelope("run", msgspec.json.decode(reply)), file=out, flush=True)
                continue
            is_empty = True  # as is the reply of a model that calls tools and says nothing
            async for token in promise:
                text = str(token)
                is_empty = is_empty and not text
                out.write(shown(text) if out.isatty() else text)
                out.flush()
            if not is_empty:
                print(file=out, flush=True)
    except AgentArgumentError as error:
        raise InvalidOptionError(f"{error}; name an agent that was forked with its arguments") from error
    except BrokenPipeError:
        raise
    except Exception as error:
        if not as_json:
            print(own_trace(error), file=sys.stderr)
        raise failed(f"{agent.alias} failed: {type(error).__name__}: {error}") from error


def _read() -> str:
    try:
        return sys.stdin.read().removesuffix("\n")
    except UnicodeError as error:
        raise InvalidOptionError(f"standard input is no text in UTF-8: {error}") from error

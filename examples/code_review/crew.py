"""The agents of the crew: reviewers, who read side by side, and an editor, who merges what they have found."""

from collections.abc import Mapping

import msgspec

from miniagents import InteractionContext, MiniAgent, miniagent
from miniagents.errors import MiniAgentsError
from miniagents.ext.llms import LLMAgent
from miniagents.ext.mcp import McpServer

TASK = (
    "You review a small Python repository. List its files, read each of them, and report {fault}. Report nothing else. "
    "Name the file and the number of the line, and say in one sentence what goes wrong."
)
FAULTS = {
    "security": "what an attacker can use, such as input that becomes part of an SQL statement",
    "resources": "files, connections and locks that are not closed on every path",
    "edges": "inputs that the code forgets: nothing found, an empty list, zero",
}
VERDICT = "You get the findings of a code review. Say in one sentence whether the code can be merged."


class Finding(msgspec.Struct, frozen=True):
    """One fault.

    Attributes:
        file: The path in the repository.
        line: The number of the line, from 1.
        problem: What goes wrong, in one sentence.
    """

    file: str
    line: int
    problem: str


class Findings(msgspec.Struct, frozen=True):
    """The answer of a reviewer: an object, since not all providers let an answer be a list."""

    findings: list[Finding]


@miniagent
async def editor(
    ctx: InteractionContext, reviewers: Mapping[str, LLMAgent[Findings]], judge: MiniAgent, repository: McpServer
) -> None:
    """Let all reviewers read, and reply with what they have found, by file and line, and with a verdict."""
    calls = {kind: reviewer.inquire(ctx.message_promises) for kind, reviewer in reviewers.items()}
    problems: dict[tuple[str, int], list[str]] = {}
    for kind, replies in calls.items():
        try:
            findings = (await replies)[-1].output.findings
        except MiniAgentsError as error:  # the others have read, too, and what they have found counts
            ctx.reply(f"{kind}: failed, {error}")
            continue
        for finding in findings:
            problems.setdefault((finding.file, finding.line), []).append(f"{kind}: {finding.problem}")
    places = [
        f"{file}:{line}: {await _line(repository, file, line)}\n  " + "\n  ".join(problems[file, line])
        for file, line in sorted(problems)
    ]
    ctx.reply(places)
    ctx.reply(judge.inquire(places or "Nothing was found."))


async def _line(repository: McpServer, file: str, number: int) -> str:
    """Quote a line, since a model may name one that does not exist."""
    text = await repository.call("read_file", path=file)
    numbered = dict(line.split(": ", 1) for line in str(text).splitlines() if ": " in line)
    return "no such file" if text.is_error else numbered.get(str(number), "no such line").strip()


def crew(models: Mapping[str, LLMAgent], judge: LLMAgent, repository: McpServer) -> MiniAgent:
    """Return the editor of a crew.

    Args:
        models: The model for each kind of fault, by the names of `FAULTS`.
        judge: The model for the verdict.
        repository: The server with the tools `list_files` and `read_file`.
    """
    reviewers = {
        kind: model.fork(alias=kind, system=TASK.format(fault=FAULTS[kind]), tools=[repository], output=Findings)
        for kind, model in models.items()
    }
    return editor.fork(
        reviewers=reviewers,
        judge=judge.fork(alias="judge", system=VERDICT),
        non_freezable_kwargs={"repository": repository},  # a live object, which no message can hold
    )

"""Models for the crew without a key: each reads all files with its tools, as a real one would, for one pattern."""

import re
from typing import Any

import msgspec

from examples.code_review.crew import Finding, Findings
from miniagents.ext.llms import LLMAgent, ToolResultMessage
from miniagents.testing import Call, Reply, Script, ScriptedModel

PATTERNS = {
    "security": (r"execute\(f\"", "The value becomes a part of the SQL statement: pass it as a parameter."),
    "resources": (r"= open\(", "The file stays open if a later line fails: use `with`."),
    "edges": (r"fetchone\(\)\[|/ len\(", "There may be nothing at all, and then this fails."),
}


def reviewer(kind: str) -> LLMAgent:
    """Return a model that knows one kind of fault."""
    pattern, problem = PATTERNS[kind]

    def answer(request: Any) -> Reply | str:
        """Do the next step: list the files, read all of them, report."""
        results = [message for message in request.messages if isinstance(message, ToolResultMessage)]
        if not results:
            return Reply(calls=(Call("list_files"),))
        files = str(results[0]).splitlines()
        if len(results) == 1:
            return Reply(calls=tuple(Call("read_file", {"path": file}) for file in files))
        findings = [
            Finding(file, int(line.partition(":")[0]), problem)
            for file, result in zip(files, results[1:], strict=True)
            for line in str(result).splitlines()
            if re.search(pattern, line)
        ]
        return msgspec.json.encode(Findings(findings)).decode()

    return ScriptedModel.fork(script=Script(answer))


def judge() -> LLMAgent:
    """Return a model that lets code pass in which nothing was found."""

    def answer(request: Any) -> str:
        nothing = "Nothing was found." in str(request.messages[-1])
        return "This can be merged." if nothing else "This cannot be merged before these places are mended."

    return ScriptedModel.fork(script=Script(answer))

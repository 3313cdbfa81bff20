"""Every Python block of the documentation runs as it stands."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from typing import Any

import msgspec
import pytest

from miniagents.ext.telemetry.logs import _SAID
from miniagents.testing import Call, Exchange, FakeProvider, Reply
from tests.blocks import PAGES, ROOT, blocks_of

BLOCKS = [pytest.param(block.code, id=f"{page.name}-{block.number}") for page in PAGES for block in blocks_of(page)]

LOGS = re.compile(r"(_?log|logger)\.(debug|info|warning|error)|log_fail(ure|ed)")


def any_answer(exchange: Exchange) -> Reply:
    """What fits the request: a call of the first tool, an instance of the schema, or some words."""
    body = exchange.body
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema") or body.get("output_config", {}).get(
        "format", {}
    ).get("schema")
    if schema is not None:
        return Reply(msgspec.json.encode(an_instance(schema, schema)).decode())
    tools = [tool for tool in body.get("tools", ()) if "function" in tool]  # others are run by the provider
    if tools and not any(message["role"] == "tool" for message in body["messages"]):
        function = tools[0]["function"]
        parameters = function["parameters"]
        return Reply(calls=(Call(function["name"], an_instance(parameters, parameters)),))
    return Reply("I am a model for tests.")


def an_instance(schema: Any, root: Any) -> Any:
    if "$ref" in schema:
        return an_instance(root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    match schema["type"]:
        case "object":
            return {name: an_instance(one, root) for name, one in schema["properties"].items()}
        case "array":
            return [an_instance(schema["items"], root)]
        case "integer":
            return 1
    return "Paris"


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_prints_what_its_comments_say(block: str, fake_provider: FakeProvider) -> None:
    fake_provider.reset(any_answer)
    provider = {
        "OPENAI_API_KEY": "fake-key",
        "OPENAI_BASE_URL": fake_provider.openai_url,
        "ANTHROPIC_API_KEY": "fake-key",
        "ANTHROPIC_BASE_URL": fake_provider.url,
    }
    done = subprocess.run(
        [sys.executable, "-c", block],
        cwd=ROOT,
        env={**os.environ, **provider},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for said in re.findall(r'# (?:[\w :]*: )?prints "(.*)"$', block, re.M):
        for part in said.split('", then "'):
            assert part in done.stdout
    for said in re.findall(r"print\(.*\)  # (?!prints )\"?([^\":\n]+(?:: \w+!?)?)", block):
        assert said in done.stdout


def test_links_of_the_documentation_lead_somewhere() -> None:
    for path in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_every_path_that_the_documentation_names_exists() -> None:
    for page in PAGES:
        named = re.findall(r"`((?:miniagents|tests|benchmarks|docs|examples)/[\w./-]*)`", page.read_text())
        assert [path for path in named if not (ROOT / path).exists()] == [], page.name


def test_every_test_that_the_documentation_names_exists() -> None:
    defined = {
        name for path in (ROOT / "tests").rglob("*.py") for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    for path in (*PAGES, ROOT / "tests" / "supervision" / "SUPERVISOR_SUITE.md"):
        assert set(re.findall(r"`(test_\w+)`", path.read_text())) - defined == set()


def logged_events() -> set[str]:
    """The events that the package logs: the first argument of each call of a logger, or of a partial one."""
    found = {event for _, event in _SAID.values()}
    for path in (ROOT / "miniagents").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                function, *arguments = (node.func, *node.args)
                if ast.unparse(function) == "partial":
                    function, *arguments = arguments
                event = arguments[0] if arguments else None
                if isinstance(event, ast.Constant) and LOGS.fullmatch(ast.unparse(function)):
                    found.add(str(event.value))
    return found


def test_the_docs_list_the_events_that_are_logged_by_their_names() -> None:
    _, _, tables = (ROOT / "docs" / "reference" / "events.md").read_text().partition("## The log")
    rows = "\n".join(re.findall(r"^\| `.*?`(?= \| )", tables, re.M))
    assert set(re.findall(r"`([a-z_]+\.[a-z_]+)`", rows)) == logged_events()


def test_the_page_of_the_extras_names_each_of_them() -> None:
    page = (ROOT / "docs" / "reference" / "extras.md").read_text()
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())

    assert set(settings["project"]["optional-dependencies"]) - set(re.findall(r"`([\w-]+)`", page)) == set()


def test_the_page_of_the_examples_names_each_of_them() -> None:
    page = (ROOT / "docs" / "guides" / "examples.md").read_text()
    parts = {"__init__", "mcp_notes", "models", "word_counter"}  # what examples import or start
    names = {path.stem for path in (ROOT / "examples").glob("*.py")} - parts
    names |= {path.parent.name for path in (ROOT / "examples").glob("*/__init__.py")}

    assert names - set(re.findall(r"\[(\w+)\]\(\.\./\.\./examples/", page)) == set()

"""Every public class and function of `miniagents.ext.llms` and `miniagents.ext.agents` has an example that runs."""

import ast
import inspect
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

from miniagents import MiniAgent
from miniagents.ext import agents, llms
from miniagents.testing import Exchange, FakeProvider, Reply

pytestmark = pytest.mark.real_time

BLOCK = re.compile(r"```python\n(.*?)```", re.S)

ELSEWHERE = {
    # data: the docstrings of the agents show their use
    "AWAIT",
    "CLEAR",
    "GLOBAL_MESSAGE_HISTORY",
    "console_user_agent",
}
"""Public names without an example of their own, and why."""

SHORT = {
    name
    for module in (llms, agents)
    for name in module.__all__
    if (inspect.isclass(public := getattr(module, name)) or inspect.isfunction(public))
    and ">>> " in (public.__doc__ or "")
}
"""Names whose examples `tests/test_docstrings.py` runs: what needs no model."""

NOT_RUN = {
    "LocalAgent": "it needs the file of a model",
    "console_input_agent": "it needs a user",
    "dialog_loop": "it needs a user",
}

NAMES = [
    pytest.param(module, name, id=name)
    for module in (llms, agents)
    for name in module.__all__
    if name not in ELSEWHERE | SHORT
]


def examples_of(module: Any, name: str) -> list[str]:
    """The Python blocks in the docstring of what has a name."""
    public = getattr(module, name)
    if isinstance(public, MiniAgent):
        kind = type(public)
        public = public.wrapped if kind is MiniAgent or not kind.__doc__ or "Example" not in kind.__doc__ else kind
    return [textwrap.dedent(block) for block in BLOCK.findall(inspect.getdoc(public) or "")]


def answer(exchange: Exchange) -> Reply:
    """An answer in the form that the request asks for."""
    return Reply('{"name": "Paris", "country": "France"}' if "response_format" in exchange.body else "Hello!")


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_public_name_has_an_example_that_prints_what_its_comments_say(
    module: Any,
    name: str,
    fake_provider: FakeProvider,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (example,) = examples_of(module, name)
    compile(example, name, "exec")
    if name in NOT_RUN:
        return
    fake_provider.reset(answer)
    lines = [comment.strip() for comment in re.findall(r"^\s*print\(.*\)  # (.*)$", example, re.M)]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", "fake-key")
    monkeypatch.setenv("OPENAI_BASE_URL", str(fake_provider.openai["base_url"]))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "fake-key")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", str(fake_provider.anthropic["base_url"]))

    exec(compile(example, name, "exec"), {"__name__": "example"})

    printed = capsys.readouterr().out.splitlines()
    for line in lines:
        assert line in printed, printed


@pytest.mark.parametrize("name", sorted(ELSEWHERE | set(NOT_RUN)))
def test_no_exception_is_made_for_what_does_not_exist(name: str) -> None:
    assert name in {*llms.__all__, *agents.__all__}


@pytest.mark.parametrize("name", sorted(NOT_RUN))
def test_an_example_that_is_not_run_imports_what_there_is_and_calls_it_with_options_that_it_takes(name: str) -> None:
    module = llms if name in llms.__all__ else agents
    tree = ast.parse(examples_of(module, name)[0])
    imports = ast.Module([node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))], [])
    namespace: dict[str, Any] = {}
    exec(compile(imports, name, "exec"), namespace)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "fork" and isinstance(call.func.value, ast.Name):
            target = namespace[call.func.value.id]
            given = {word.arg: eval(ast.unparse(word.value), namespace) for word in call.keywords if word.arg}
            assert isinstance(target.fork(**given), MiniAgent)

"""`miniagents bench`: what it counts, what it says, and what it refuses."""

import asyncio
import json
import math
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miniagents import MiniAgents
from miniagents.cli import main
from miniagents.cli.bench.load import Latencies, Load
from miniagents.cli.bench.workloads import WORKLOADS, Took, Workload
from tests.actors.actors import turns
from tests.cli import agents_to_measure

HERE = "tests.cli.agents_to_measure"


def bench(*arguments: str) -> int:
    return main(["bench", *arguments])


def written(path: Path) -> Any:
    return json.loads(path.read_text())


# Calls of an agent


def test_every_call_is_counted_and_the_results_are_shown_and_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = bench(f"{HERE}:echo", "--calls", "50", "--concurrency", "7", "--json", str(tmp_path / "out.json"))

    out = capsys.readouterr().out
    load = written(tmp_path / "out.json")["load"]
    assert status == 0
    assert "50 of 50, 7 at a time" in out
    assert (load["done"], load["succeeded"], load["failures"], load["interrupted"]) == (50, 50, [], False)
    assert 0 < load["p50"] <= load["p90"] <= load["p99"] <= load["longest"] <= load["seconds"]
    assert load["per_second"] == pytest.approx(50 / load["seconds"])
    assert 0 < load["rss_before"] <= load["rss_peak"]


def test_so_many_calls_run_at_a_time_and_no_more() -> None:
    agents_to_measure.most_at_once = 0

    bench(f"{HERE}:echo", "--calls", "100", "--concurrency", "7")

    assert agents_to_measure.most_at_once == 7


@pytest.mark.parametrize("name", ["EchoOfAClass", "Nested.agent"])
def test_classes_and_nested_names_are_measured_as_well(name: str) -> None:
    assert bench(f"{HERE}:{name}", "--calls", "5") == 0


def test_a_class_of_actors_is_asked(tmp_path: Path) -> None:
    assert bench(f"{HERE}:EchoActor", "--calls", "20", "--json", str(tmp_path / "out.json")) == 0

    load = written(tmp_path / "out.json")["load"]
    assert (load["succeeded"], load["failures"]) == (20, [])


def test_an_actor_that_fails_is_measured_and_one_that_needs_arguments_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        bench(f"{HERE}:FailingActor", "--calls", "3", "--message", "bread", "--json", str(tmp_path / "out.json")) == 1
    )
    (failure,) = written(tmp_path / "out.json")["load"]["failures"]
    assert (failure["kind"], failure["count"], failure["first"]) == ("ValueError", 3, "no bread")

    assert bench(f"{HERE}:NeedsTopic") == 2
    assert "NeedsTopic does not start: " in capsys.readouterr().err


def test_a_factory_is_called_for_its_agent() -> None:
    assert bench(f"{HERE}:made", "--factory", "--calls", "5") == 0


async def test_the_message_is_what_each_call_sends() -> None:
    seen: list[str] = []

    async def note(messages: Any) -> None:
        seen.extend(str(message) for message in messages)

    async with MiniAgents(on_persist_messages=note):
        load = Load(agents_to_measure.echo, calls=3, concurrency=2, message="one text", timeout=None, memory=lambda: 1)
        await load.run(lambda done: None)
    assert seen == ["one text"] * len(seen)
    assert len(seen) >= 3


def test_failures_are_counted_by_type_with_the_first_line_of_the_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench(f"{HERE}:every_fourth_fails", "--calls", "40", "--concurrency", "1", "--json", str(tmp_path / "out.json"))

    out = capsys.readouterr().out
    load = written(tmp_path / "out.json")["load"]
    assert (load["succeeded"], load["done"]) == (30, 40)
    assert [(one["kind"], one["count"]) for one in load["failures"]] == [("ValueError", 10)]
    assert "10 x ValueError, the first: number" in out
    assert "second line" not in out


def test_calls_that_take_too_long_are_failures_and_without_a_success_the_status_is_1(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert bench(f"{HERE}:hangs", "--calls", "3", "--timeout", "0.01") == 1

    assert "3 x AskTimeoutError" in capsys.readouterr().out


def test_progress_goes_to_stderr_where_stdout_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    bench(f"{HERE}:echo", "--calls", "20")

    captured = capsys.readouterr()
    assert captured.err == f"{HERE}:echo: 20 of 20\n"
    assert "20 of 20\n" not in captured.out


def test_on_a_terminal_there_is_a_bar_and_nothing_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")

    bench(f"{HERE}:echo", "--calls", "20")

    captured = capsys.readouterr()
    assert captured.err == ""
    assert "━" in captured.out
    assert "20/20" in captured.out


@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_shows_what_was_measured_so_far(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "import asyncio, os, signal\n"
        "from miniagents import miniagent\n"
        "calls = 0\n"
        "@miniagent\n"
        "async def agent(ctx):\n"
        "    global calls\n"
        "    calls += 1\n"
        "    if calls == 12:  # the first one is not counted\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        await asyncio.Event().wait()\n"
        "    ctx.reply('hi')\n"
    )
    command = [sys.executable, "-c", "import sys; from miniagents.cli import main; sys.exit(main())", "bench"]

    done = subprocess.run(
        [*command, "mine:agent", "--calls", "1000", "--concurrency", "1", "--json", "out.json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert done.returncode == 128 + signal.SIGINT, done.stderr
    assert "10 of 1,000, 1 at a time" in done.stdout
    assert "Interrupted" in done.stdout
    assert "Traceback" not in done.stderr
    assert written(tmp_path / "out.json")["load"]["interrupted"] is True


async def test_what_was_measured_can_be_read_when_the_measuring_was_cancelled() -> None:
    async with MiniAgents() as system:
        load = Load(agents_to_measure.echo, calls=10**9, concurrency=5, message="", timeout=None, memory=lambda: 1)
        task = asyncio.ensure_future(load.run(lambda done: None))
        await turns(100)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        result = load.result("echo")
        assert result.interrupted
        assert result.done == result.succeeded > 0
        for interaction in system.interactions():
            await interaction.cancel("enough")


# What is refused

REFUSED = {
    "no colon": ([HERE], "name an agent as module:agent"),
    "no module": (["there.is.none:agent"], "no module named 'there'"),
    "no attribute": ([f"{HERE}:nobody"], "has no nobody; its agents: echo, EchoOfAClass"),
    "no attribute of an agent": ([f"{HERE}:echo.nothing"], "has no echo.nothing$"),
    "no decorator": ([f"{HERE}:undecorated"], "is no agent, but <function undecorated.*decorate it with @miniagent$"),
    "a factory without the option": ([f"{HERE}:made"], "or say --factory"),
    "a factory that fails": ([f"{HERE}:cannot_be_made", "--factory"], "its call failed:(.|\n)*no such model"),
    "an async factory": ([f"{HERE}:made_by_an_async_function", "--factory"], "takes a plain function"),
    "an agent as a factory": ([f"{HERE}:echo", "--factory"], "--factory is for a function"),
    "no agent at all": ([f"{HERE}:asyncio"], "is no agent, but <module 'asyncio'"),
    "arguments are missing": ([f"{HERE}:with_topic"], "needs an argument 'topic'; name an agent that was forked"),
    "no concurrency": ([f"{HERE}:echo", "--concurrency", "0"], "--concurrency must be 1 or more, not 0"),
    "no calls": ([f"{HERE}:echo", "--calls", "-1"], "--calls must be 1 or more, not -1"),
    "no time": ([f"{HERE}:echo", "--timeout", "nan"], "--timeout must be more than 0 seconds, not nan"),
    "no folder": ([f"{HERE}:echo", "--json", "no/such/folder"], "--json no/such/folder: there is no such folder"),
    "an option of the other kind": (["--calls", "5"], "--calls is for an agent"),
    "and the other way round": ([f"{HERE}:echo", "--quick"], "--quick is for built-in workloads"),
    "no workload": (["--only", "nothing"], "no such workload; there are tell, ask,"),
    "no repeats": (["--repeats", "0"], "--repeats must be 1 or more, not 0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_wrong_command_line_is_told_what_is_wrong_with_it(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, said = REFUSED[case]

    status = bench(*arguments)

    captured = capsys.readouterr()
    assert status == 2
    assert captured.out == ""
    assert captured.err.startswith("miniagents: error: ")
    assert re.search(said, captured.err.rstrip())


def test_a_module_that_fails_as_it_is_imported_shows_its_own_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "breaks.py").write_text("import a_library_that_is_not_there\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])

    assert bench("breaks:agent") == 2

    err = capsys.readouterr().err
    assert 'breaks.py", line 1' in err
    assert "No module named 'a_library_that_is_not_there'" in err
    assert "importlib" not in err


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "rich", None)

    assert bench() == 2

    assert "pip install 'miniagents[cli]'" in capsys.readouterr().err


# The built-in workloads


@pytest.mark.parametrize("name", WORKLOADS)
async def test_a_workload_does_what_it_says(name: str) -> None:
    took = await WORKLOADS[name].run(100)

    assert took.operations >= 100
    assert took.seconds > 0
    assert (took.bytes > 0) == (name == "memory")


def test_the_workloads_are_shown_in_a_table_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = bench("--only", "tell", "memory", "--quick", "--repeats", "2", "--json", str(tmp_path / "out.json"))

    out = capsys.readouterr().out
    tell, memory = written(tmp_path / "out.json")["workloads"]
    assert status == 0
    assert f"{tell['median']:,.0f}" in out
    assert f"{memory['bytes_each']:,.0f} bytes of an idle actor" in out
    assert len(tell["per_second"]) == 2
    assert tell["bytes_each"] is None


def test_ctrl_c_shows_the_workloads_and_runs_that_were_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = 0

    async def interrupted_after_two(n: int) -> Took:
        nonlocal runs
        runs += 1
        if runs == 4:
            raise KeyboardInterrupt
        return Took(seconds=0.5, cpu=0.1, operations=n)

    monkeypatch.setitem(WORKLOADS, "tell", Workload(1_000, "an operation", interrupted_after_two))

    status = bench("--only", "tell", "ask", "--json", str(tmp_path / "out.json"))

    out = capsys.readouterr().out
    (tell,) = written(tmp_path / "out.json")["workloads"]
    assert status == 130
    assert tell["per_second"] == [2_000.0, 2_000.0]
    assert "Others used the processor meanwhile (tell got less than 90% of a core)" in out


def test_ctrl_c_before_anything_was_measured_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def interrupted(n: int) -> Took:
        raise KeyboardInterrupt

    monkeypatch.setitem(WORKLOADS, "tell", Workload(1_000, "an operation", interrupted))

    assert bench("--only", "tell") == 130

    assert capsys.readouterr().out == "Nothing was measured.\n"


def test_control_sequences_in_the_text_of_a_failure_are_not_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench(f"{HERE}:fails_in_colours", "--calls", "2")

    assert "2 x ValueError, the first: [31mred\n" in capsys.readouterr().out


# Latencies


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.001, 1))
def test_a_percentile_is_the_smallest_that_so_many_are_not_above(samples: list[float], share: float) -> None:
    latencies = Latencies(len(samples))
    for sample in samples:
        latencies.add(sample)

    (found,) = latencies.percentiles(share)

    assert found in samples
    assert sum(one <= found for one in samples) >= share * len(samples) * (1 - 1e-12)
    assert sum(one < found for one in samples) < share * len(samples)
    assert latencies.longest == max(samples)


def test_of_more_than_are_kept_an_even_sample_is_kept_and_the_longest_is_exact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("miniagents.cli.bench.load._MAX_SAMPLE", 1000)
    latencies = Latencies(10**12)
    for number in range(50_000):
        latencies.add(float(number))

    (median,) = latencies.percentiles(0.5)

    assert latencies.count == 50_000
    assert latencies.longest == 49_999.0
    assert 22_000 < median < 28_000  # the sample is chosen with a seed: always the same


def test_there_is_no_percentile_of_nothing() -> None:
    assert all(math.isnan(one) for one in Latencies(10).percentiles(0.5, 1.0))

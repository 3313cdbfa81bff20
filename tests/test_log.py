"""The logger of the package: when structlog is loaded, and that its lines are those of structlog."""

import copy
import inspect
import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from miniagents.log import LazyLogger


def _output(code: str) -> str:
    """Return what a program prints and logs, in order."""
    done = subprocess.run(
        [sys.executable, "-u", "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=50,
    )
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    """Have structlog unconfigured, which `capture_logs` of another test may have changed."""
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def test_importing_the_package_loads_neither_structlog_nor_its_console() -> None:
    code = "import sys, miniagents; print([name for name in ('structlog', 'rich') if name in sys.modules])"

    assert _output(code) == "[]"


def test_the_first_line_loads_structlog_and_is_logged() -> None:
    code = (
        "import sys; from miniagents.log import log; before = 'structlog' in sys.modules; "
        "log.error('shop.closed', reason='night'); print(before, 'structlog' in sys.modules)"
    )
    line, loaded = _output(code).splitlines()

    assert "shop.closed" in line
    assert "night" in line
    assert loaded == "False True"


def test_asking_whether_structlog_is_configured_does_not_load_it_and_sees_a_later_configuration() -> None:
    code = (
        "import sys; from miniagents.log import is_configured; print(is_configured(), 'structlog' in sys.modules); "
        "import structlog; print(is_configured()); structlog.configure(); print(is_configured())"
    )

    assert _output(code).splitlines() == ["False False", "False", "True"]


def test_a_crash_is_logged_as_structlog_is_configured_after_the_import() -> None:
    code = (
        "import logging, sys; from miniagents.promising.failures import log_failure, logger_for; import structlog\n"
        "log_failure('first', ValueError('a'))\n"
        "structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))\n"
        "log_failure('second', ValueError('b')); print(logger_for(logging.ERROR))\n"
        "structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR), "
        "processors=[structlog.processors.KeyValueRenderer(key_order=['event', 'error'])])\n"
        "log_failure('third', ValueError('c'))"
    )
    output = _output(code)

    assert "first" in output
    assert "second" not in output
    assert "None" in output.splitlines()
    assert output.splitlines()[-1].startswith("event='third' error=\"ValueError('c')\"")


def test_a_failure_that_is_collected_while_the_first_line_loads_structlog_is_logged_too() -> None:
    code = """
import gc, sys
from miniagents.promising.failures import Unseen, log_failure

class Cycle:
    pass

class Finder:
    def find_spec(name, path, target=None):  # called when structlog imports its own modules
        if name.startswith("structlog.") and Finder in sys.meta_path:
            sys.meta_path.remove(Finder)
            cycle = Cycle()
            cycle.itself, cycle.failure = cycle, Unseen(OSError("lost"))
            gc.set_threshold(1)

sys.meta_path.insert(0, Finder)
log_failure("first", ValueError("a"))
gc.collect()
print(Finder in sys.meta_path, gc.isenabled())
"""
    output = _output(code)

    assert "promise.failed_unawaited" in output
    assert "first" in output
    assert output.splitlines()[-1] == "False True"


def test_the_logger_and_what_is_bound_to_it_follow_a_level_and_are_captured() -> None:
    logger = LazyLogger("shop")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with capture_logs() as lines:
        logger.info("too low")
        logger.bind(order=7).info("too low")
        logger.bind(order=7).warning("late")

    assert lines == [{"order": 7, "event": "late", "log_level": "warning"}]


def test_the_name_reaches_the_factory_of_loggers_that_is_configured() -> None:
    names: list[Any] = []

    def factory(*args: Any) -> Any:
        names.append(args)
        return structlog.PrintLogger()

    structlog.configure(logger_factory=factory)

    LazyLogger("shop").error("late")

    assert names == [("shop",)]


def test_lines_go_to_standard_error_until_the_application_configures_structlog(
    capsys: pytest.CaptureFixture[str],
) -> None:
    logger = LazyLogger("shop")

    logger.warning("early", order=7)
    structlog.configure()
    logger.warning("later")
    captured = capsys.readouterr()

    assert "early" in captured.err
    assert "order=7" in captured.err
    assert "later" not in captured.err
    assert "later" in captured.out
    assert "early" not in captured.out


@pytest.mark.parametrize(
    ("is_terminal", "no_color", "is_coloured"), [(True, "", True), (True, "1", False), (False, "", False)]
)
def test_a_line_has_colours_where_standard_error_is_a_terminal(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, no_color: str, is_coloured: bool
) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setenv("NO_COLOR", no_color)

    LazyLogger("shop").warning("late", order=7)

    assert ("\x1b[" in stderr.getvalue()) is is_coloured


def test_a_traceback_shows_no_values_of_variables(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        password = "hunter" + "2"
        raise RuntimeError(f"{len(password)} characters are too few")
    except RuntimeError:
        LazyLogger("shop").exception("refused")
    shown = capsys.readouterr().err

    assert "RuntimeError: 7 characters are too few" in shown
    assert "hunter2" not in shown


def test_each_line_goes_to_the_standard_error_of_its_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    logger, first, second = LazyLogger("shop"), io.StringIO(), io.StringIO()
    for stderr in (first, second):
        monkeypatch.setattr(sys, "stderr", stderr)
        logger.warning("late")

    assert first.getvalue().count("late") == second.getvalue().count("late") == 1


def test_a_name_or_text_with_control_characters_does_nothing_in_a_line() -> None:
    evil = r"evil\x1b[31m\x1b]0;title\x07\u202e<script>"
    code = (
        "from miniagents.log import log; evil = '" + evil + "'\n"
        "log.warning('late ' + evil, actor='/' + evil, stack='| one\\n| two')\n"
        "log.bind(actor='/bound' + evil).error('later')"
    )
    output = _output(code)

    assert output.count(evil) == 3
    assert [control for control in ("\x1b]", "\x07", "\u202e") if control in output] == []
    assert "| one\n| two" in output


def test_looking_at_the_logger_makes_none() -> None:
    logger = LazyLogger("shop")

    assert inspect.unwrap(logger) is logger  # type: ignore[arg-type]
    assert isinstance(copy.copy(logger), LazyLogger)
    assert "_structlog" not in vars(logger)

"""The pages of docs/reference say what the code is: generated parts are current, and lists by hand are whole."""

import ast
import re

import pytest

from miniagents import EventKind, MailboxFullError, MiniAgentsError, SpawnOptions, errors
from miniagents.cluster.versions import CODEC
from miniagents.control.protocol import VERSION
from miniagents.ext.command_line import ENVELOPE
from miniagents.ext.observer.recording_file import MAGIC
from miniagents.ext.telemetry.metrics import Instruments
from miniagents.journal.sqlite.schema import APPLICATION_ID, MIGRATIONS
from tests.reference import limits, options
from tests.reference.errors import cause_and_cure
from tests.reference.events import descriptions
from tests.reference.names import PACKAGE
from tests.reference.pages import PAGES, REFERENCE, written

LIKE_A_VARIABLE = r"_?[A-Z][A-Z0-9]*(_[A-Z0-9]+)+"

NO_VARIABLES = {
    "DEFAULT_SUPERVISION",
    "FUT_WAITER",
    "GLOBAL_MESSAGE_HISTORY",
    "ID_OR_NAME",
    "NEW_FILE",
    "NO_VALUE",
    "O_NOFOLLOW",
    "RESERVED_NAMES",
    "SO_PEERCRED",
}
"""Texts of the code that look like environment variables: names of Python, and what stands for a value in a help."""


@pytest.mark.parametrize("name", PAGES)
def test_the_generated_parts_of_a_page_are_those_of_the_code(name: str) -> None:
    page = (REFERENCE / name).read_text()

    assert written(page, PAGES[name]) == page, "the code has changed; run: python -m tests.reference.pages"


def test_a_page_without_the_marks_of_a_part_is_refused() -> None:
    with pytest.raises(ValueError, match="there must be one '<!-- options: from the code -->"):
        written("# Options\n", PAGES["options.md"])


def test_each_error_says_its_cause_and_its_cure() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MiniAgentsError)]

    assert len(kinds) > 60
    assert [kind.__name__ for kind in kinds if not all(cause_and_cure(kind))] == []
    assert cause_and_cure(MailboxFullError)[0] == "The mailbox is full and refused the message."


def test_an_error_without_a_cure_is_found() -> None:
    with pytest.raises(LookupError, match="ValueError: its docstring has no section `Cure:`"):
        cause_and_cure(ValueError)


def test_each_kind_of_event_says_what_happened() -> None:
    assert set(descriptions()) == set(EventKind.__members__)


def test_each_option_of_an_actor_is_in_the_table_with_its_default() -> None:
    table = options.tables()

    assert [name for name in SpawnOptions.__dataclass_fields__ if f"| `{name}` | " not in table] == []
    assert "| `within` | `5.0` | " in table
    assert "| `body` | `8 MiB` | " in table


def test_a_limit_that_is_gone_is_noticed() -> None:
    assert limits.constant("messages.frozen", "MAX_DEPTH")[0] == 200
    with pytest.raises(LookupError, match="has no constant MAX_WIDTH"):
        limits.constant("messages.frozen", "MAX_WIDTH")


def environment_variables() -> set[str]:
    """The texts of the package that look like names of environment variables."""
    found = set()
    for source in [path.read_text() for path in PACKAGE.rglob("*.py")]:
        for node in ast.walk(ast.parse(source)) if re.search(f'"{LIKE_A_VARIABLE}"', source) else ():
            if isinstance(node, ast.Constant) and re.fullmatch(LIKE_A_VARIABLE, str(node.value)):
                found.add(str(node.value))
    return found - NO_VARIABLES


def test_the_page_of_the_environment_has_the_variables_that_the_package_names() -> None:
    own, _, _ = (REFERENCE / "environment.md").read_text().partition("## Variables of the libraries")

    assert set(re.findall(r"^\| `(\w+)` \|", own, re.M)) == environment_variables()


class Meter:
    """A meter that notes the instruments that it is asked for."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[str, str]] = {}

    def create_histogram(self, name: str, unit: str, description: str, **_: object) -> None:
        self.made[name] = ("histogram", unit)

    def create_observable_counter(self, name: str, callbacks: object, unit: str, description: str) -> None:
        self.made[name] = ("counter", unit)

    def create_observable_up_down_counter(self, name: str, callbacks: object, unit: str, description: str) -> None:
        self.made[name] = ("up-down counter", unit)


def test_the_page_of_the_metrics_has_each_instrument_with_its_kind_and_unit() -> None:
    meter = Meter()
    Instruments(meter)  # type: ignore[arg-type]  # it makes instruments, and no more
    rows = re.findall(r"^\| `([\w.]+)` \| ([\w -]+) \| `([^`]+)` \|", (REFERENCE / "metrics.md").read_text(), re.M)

    assert {name: (kind, unit) for name, kind, unit in rows} == meter.made


def test_the_page_of_the_formats_has_the_versions_of_today() -> None:
    versions = dict(
        re.findall(r"^\| ([^|]+) \| [^|]+ \| `([^`]+)` \|", (REFERENCE / "wire-formats.md").read_text(), re.M)
    )

    assert versions == {
        "messages and frames of a cluster": str(CODEC),
        "the journal": str(len(MIGRATIONS)),
        "the control socket": str(VERSION),
        "`--json` of the commands": str(ENVELOPE),
        "recordings of the observer": MAGIC.decode().split()[-1],
    }
    assert APPLICATION_ID.to_bytes(4, "big") == b"MAjn"

"""The page on the life of an actor shows the table as it is."""

import re
import subprocess
import sys

import pytest

from miniagents.supervision.lifecycle import Phase
from tests.supervision.drawing import PAGE, REQUESTS, ROWS, diagram, drawn, requests


def test_the_page_on_the_life_of_an_actor_shows_the_table_as_it_is() -> None:
    page = PAGE.read_text()

    assert drawn(page) == page, "the table has changed; run: python -m tests.supervision.drawing"


def test_the_example_on_the_page_prints_what_the_page_says() -> None:
    page = PAGE.read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```", page, re.S | re.M)
    (printed,) = re.findall(r"^```text\n(.*?)^```", page, re.S | re.M)

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=True)

    # The log of the crash is no part of it.
    begins = tuple(sorted({line.split()[0] for line in printed.splitlines()}))
    assert [line for line in done.stdout.splitlines() if line.startswith(begins)] == printed.splitlines()


def test_the_diagram_has_every_phase_and_leads_each_to_the_end() -> None:
    arrows = [line.split(":")[0].split("-->") for line in diagram().splitlines() if "-->" in line]
    leads_to = {(begin.strip(), end.strip()) for begin, end in arrows}
    seen, stack = {"[*]"}, ["[*]"]
    while stack:
        target = stack.pop()
        for begin, end in leads_to:
            if end == target and begin not in seen:
                seen.add(begin)
                stack.append(begin)

    assert seen == {"[*]", *(phase.value for phase in Phase)}


def test_the_table_of_requests_says_something_of_each_request_in_each_phase() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in requests().splitlines()]

    assert all(len(row) == len(REQUESTS) + 1 and all(row) for row in rows)
    judged = {Phase.EXITED, Phase.UNSTARTED}
    assert {state.phase for state in ROWS.values()} == set(Phase) - judged - {Phase.NEW}
    assert len(rows) == len(ROWS) + 2


def test_every_phase_is_explained_on_the_page() -> None:
    page = PAGE.read_text()

    assert all(f"*{phase.value}*" in page for phase in Phase)


def test_a_page_without_its_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="there must be one '<!-- diagram"):
        drawn("no markers")

"""docs/reference/command-line.md says what the program says of itself."""

from tests.cli.page import PAGE, written


def test_the_tables_of_the_page_are_those_of_the_program() -> None:
    page = PAGE.read_text()

    assert written(page) == page, "the program has changed; run: python -m tests.cli.page"

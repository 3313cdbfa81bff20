"""The Python blocks of the documentation, as files for type checkers."""

from pathlib import Path

import pytest

from tests import blocks
from tests.blocks import Block, blocks_of, of_pages, write

PAGE = """# A page

```python
first = 1
```

```bash
ls
```

```python title="a cell"
await nothing
```

```python
second = first
```
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(blocks, "ROOT", tmp_path)
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "a-page.md"
    page.write_text(PAGE)
    return page


def test_the_blocks_of_a_page_know_their_lines(page: Path) -> None:
    assert blocks_of(page) == [Block(page, 1, 4, "first = 1\n"), Block(page, 2, 16, "second = first\n")]


def test_a_block_is_written_to_the_lines_that_it_has_in_its_page(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "build"
    folder.mkdir()
    (folder / "of_a_page_that_is_gone.py").write_text("wrong")

    pages = write(blocks_of(page), folder)

    assert pages == {"build/docs_a_page_1.py": "docs/a-page.md", "build/docs_a_page_2.py": "docs/a-page.md"}
    assert sorted(file.name for file in folder.iterdir()) == ["docs_a_page_1.py", "docs_a_page_2.py"]
    assert (folder / "docs_a_page_2.py").read_text().splitlines()[15] == PAGE.splitlines()[15] == "second = first"


def test_what_a_type_checker_says_names_the_page(page: Path, tmp_path: Path) -> None:
    pages = write(blocks_of(page), tmp_path / "build")

    said = f"build/docs_a_page_2.py:16: error\n{tmp_path}/build/docs_a_page_1.py\nexamples/chat.py:1: error"

    assert of_pages(said, pages) == "docs/a-page.md:16: error\ndocs/a-page.md\nexamples/chat.py:1: error"

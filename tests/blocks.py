"""The Python blocks of the documentation, and their types: `python -m tests.blocks` checks these, as `make lint` does.

Each block is written to a file of its own, at the lines that it has in its page. So what a type checker says of the
file is true of the page, with the name replaced.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]

_FOLDER = ROOT / "build" / "blocks"


@dataclass(frozen=True)
class Block:
    """A block of a page.

    Attributes:
        page: The path of the page.
        number: The number of the block in the page, from 1 on.
        line: The line of the page on which the code begins, from 1 on.
        code: The code.
    """

    page: Path
    number: int
    line: int
    code: str

    @property
    def file(self) -> str:
        """The name of the file that the block is written to."""
        return re.sub(r"\W", "_", str(self.page.relative_to(ROOT).with_suffix(""))) + f"_{self.number}.py"


def blocks_of(page: Path) -> list[Block]:
    """Return the Python blocks of a page, in their order."""
    text = page.read_text()
    fenced = re.finditer(r"^```python\n(.*?)^```", text, re.S | re.M)
    return [
        Block(page, number, text.count("\n", 0, match.start(1)) + 1, match[1]) for number, match in enumerate(fenced, 1)
    ]


def write(blocks: Sequence[Block], folder: Path) -> dict[str, str]:
    """Write blocks to files of a folder, which has nothing else afterwards.

    Returns:
        The page of each file, both relative to the root of the repository.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pages = {}
    for block in blocks:
        file = folder / block.file
        file.write_text("\n" * (block.line - 1) + block.code)
        pages[str(file.relative_to(ROOT))] = str(block.page.relative_to(ROOT))
    return pages


def of_pages(said: str, pages: dict[str, str]) -> str:
    """Return what a type checker said, with the pages in the place of the files."""
    names = "|".join(map(re.escape, pages))
    return re.sub(f"(?:{re.escape(str(ROOT))}/)?({names})", lambda match: pages[match[1]], said) if pages else said


def _mypy(pages: dict[str, str]) -> bool:
    """Check the blocks with mypy, and print its errors; return True if there are none."""
    done = _run("mypy", "--scripts-are-modules", *pages)
    print("mypy, blocks:", of_pages(done.stdout, pages).strip(), done.stderr.strip())
    return done.returncode == 0


def _pyright(pages: dict[str, str]) -> bool:
    """Check blocks, examples and `tests/typing` with pyright, and print its errors; return True if there are none.

    pyright is a program of Node, which its package loads with the first use. Where it cannot be had, it is left out.
    """
    if _run("pyright", "--version").returncode != 0:
        print("pyright: is not installed and cannot be loaded here; mypy alone has checked the types")
        return True
    done = _run("pyright", "--pythonpath", sys.executable, "examples", "tests/typing", *pages)
    print("pyright, blocks, examples and tests/typing:", of_pages(done.stdout, pages).strip(), done.stderr.strip())
    return done.returncode == 0


def _run(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def main(paths: Sequence[str]) -> int:
    """Check the types of the blocks of these pages; of all pages if there are none."""
    chosen = [Path(path).resolve() for path in paths] or PAGES
    pages = write([block for page in chosen for block in blocks_of(page)], _FOLDER)
    checks = [_mypy(pages), _pyright(pages)]
    return 0 if all(checks) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

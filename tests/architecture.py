"""The parts of `docs/contributing/architecture.md` that are made from the code: the pictures of the floors, the files
in which the functions that the page names are defined, and the counts of the trips.

`python -m tests.architecture` writes them into the page again.
"""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from benchmarks.trips import Trip, followed

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "miniagents"
CONTRIBUTING = ROOT / "docs" / "contributing"
PAGE = CONTRIBUTING / "architecture.md"

PICTURES = {"packages": "", "actors": "actors", "serving": "ext/serving"}
"""The pictures of the page: the folder whose rooms each of them shows, relative to the package."""

SPLIT = {"ext"}
"""Packages that the picture of the packages shows by their parts."""

BEFORE = {
    "tell": (10, 5, 2),
    "ask between actors": (35, 9, 17),
    "supervised crash to the fresh instance": (79, 16, 27),
    "inquire of a function agent": (75, 21, 39),
    "inquire, from agent to agent": (170, 22, 108),
    "/v1/chat/completions": (167, 40, 90),
    "/v1/chat/completions, streamed": (216, 41, 121),
}
"""Calls, files and re-entries of the trips on commit 9512b91, before the rooms were built, measured in the same way."""

SYMBOL = re.compile(r"`(?P<name>[A-Za-z_]\w*(?:\.\w+)*)`(?:@| \(\[[^\]]*\]\((?P<file>[^)]*miniagents/[^)]*\.py)\)\))")
"""A function or class that a page names, with the link to its file; a new one is written `Name`@, without the link."""


# The pictures


def arrows(folder: str) -> dict[str, set[str]]:
    """The rooms of a folder, and for each the rooms that it imports from at run time."""
    found: dict[str, set[str]] = {}
    for path in sorted((PACKAGE / folder).rglob("*.py")):
        room = _room(path.relative_to(PACKAGE).with_suffix("").parts, folder)
        if room is None:
            continue
        targets = found.setdefault(room, set())
        for name in _imports(ast.parse(path.read_text())):
            target = _room(tuple(name.split(".")[1:]), folder)
            if target is not None and target != room:
                targets.add(target)
    return {room: targets & set(found) for room, targets in found.items()}


def _room(parts: tuple[str, ...], folder: str) -> str | None:
    """The room of a module: its part of the path below `folder`; None if it is elsewhere, or the folder itself."""
    above = tuple(folder.split("/")) if folder else ()
    below = parts[len(above) :]
    if parts[: len(above)] != above or not below or below[0] == "__init__":
        return None
    if not above and below[0] == "miniagents":
        return None  # it hands on the names of `agents`
    deep = 2 if not above and below[0] in SPLIT and len(below) > 1 else 1
    if deep == 2 and not (PACKAGE / below[0] / below[1]).is_dir():
        return None
    return "/".join(below[:deep])


def _imports(tree: ast.AST) -> set[str]:
    """The modules of the package that a module imports at run time."""
    found: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("miniagents.")}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            if node.module.split(".")[0] == "miniagents":
                # A name that is imported may be a module itself.
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        else:
            found |= _imports(node)
    return found


def condensed(edges: dict[str, set[str]]) -> dict[tuple[str, ...], set[tuple[str, ...]]]:
    """The same graph without cycles: rooms that import each other are one node."""
    reach = {room: _reachable(edges, room) for room in edges}
    groups = {room: tuple(sorted({room, *(other for other in reach[room] if room in reach[other])})) for room in edges}
    joined: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
    for room, targets in edges.items():
        joined.setdefault(groups[room], set()).update({groups[t] for t in targets} - {groups[room]})
    return joined


def reduced(edges: dict[tuple[str, ...], set[tuple[str, ...]]]) -> dict[tuple[str, ...], set[tuple[str, ...]]]:
    """The arrows that the others do not imply: a -> c is left out where a -> b -> c is there."""
    return {
        room: {t for t in targets if not any(t in _reachable(edges, other) for other in targets if other != t)}
        for room, targets in edges.items()
    }


def _reachable(edges: dict[T, set[T]], start: T) -> set[T]:
    seen: set[T] = set()
    waiting = list(edges[start])
    while waiting:
        room = waiting.pop()
        if room not in seen:
            seen.add(room)
            waiting += edges[room]
    return seen


def picture(name: str) -> str:
    """One picture of the page, for Mermaid: an arrow leads from a room to one that it imports from."""
    folder = PICTURES[name]
    edges = reduced(condensed(arrows(folder)))
    floors: dict[tuple[str, ...], int] = {}

    def floor(room: tuple[str, ...]) -> int:
        if room not in floors:
            floors[room] = max((floor(target) + 1 for target in edges[room]), default=0)
        return floors[room]

    rooms = sorted(edges, key=lambda room: (-floor(room), room))
    lines = ["flowchart TD"]
    lines += [f'    {_id(room)}["{", ".join(_shown(part, folder) for part in room)}"]' for room in rooms]
    lines += [f"    {_id(room)} --> {_id(target)}" for room in rooms for target in sorted(edges[room])]
    return "\n".join(["```mermaid", *lines, "```"])


def _id(room: tuple[str, ...]) -> str:
    return "_".join(room).replace("/", "_")


def _shown(room: str, folder: str) -> str:
    return f"{room}/" if (PACKAGE / folder / room).is_dir() else room


# The files of functions and classes


class Definitions(NamedTuple):
    """The functions, classes and constants of the package.

    Attributes:
        files: For each qualified name the files, relative to the package, in which it is defined.
        bases: For each class the names of its base classes.
    """

    files: dict[str, list[str]]
    bases: dict[str, list[str]]


@cache
def definitions() -> Definitions:
    """All definitions of the package."""
    found = Definitions(defaultdict(list), defaultdict(list))
    for path in sorted(PACKAGE.rglob("*.py")):
        _define(ast.parse(path.read_text()), "", path.relative_to(PACKAGE).as_posix(), found)
    return found


def _define(tree: ast.AST, above: str, file: str, found: Definitions) -> None:
    for node in ast.iter_child_nodes(tree):
        names: list[str] = []
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names = [node.name]
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
        for name in names:
            if file not in found.files[f"{above}{name}"]:
                found.files[f"{above}{name}"].append(file)
        if isinstance(node, ast.ClassDef):
            found.bases[f"{above}{node.name}"] += [ast.unparse(base).partition("[")[0] for base in node.bases]
            _define(node, f"{above}{node.name}.", file, found)
        elif isinstance(node, (ast.If, ast.Try)):
            _define(node, above, file, found)


def defined_as(name: str) -> str:
    """The name by which something is defined now: as it is, private or public meanwhile, or in a base class."""
    found = definitions()
    owner, _, last = name.rpartition(".")
    bare = last if last.startswith("__") else last.lstrip("_")
    for candidate in dict.fromkeys([last, bare, f"_{bare}"]):
        qualified = f"{owner}.{candidate}" if owner else candidate
        if qualified in found.files:
            return qualified
    for base in found.bases.get(owner, ()):
        qualified = defined_as(f"{base}.{last}")
        if qualified in found.files:
            return qualified
    return name


def linked(page: str) -> str:
    """The page, in which each function and class that it names has the link to the file where it is defined now."""
    unknown: list[str] = []

    def link(match: re.Match[str]) -> str:
        name, before = defined_as(match["name"]), match["file"]
        files = definitions().files.get(name, [])
        if len(files) > 1:
            files = [file for file in files if before is not None and before.endswith(f"miniagents/{file}")]
        if len(files) != 1:
            unknown.append(f"`{name}`: defined in {definitions().files.get(name, [])}")
            return match[0]
        return f"`{name}` ([{files[0]}](../../miniagents/{files[0]}))"

    page = SYMBOL.sub(link, page)
    if unknown:
        raise ValueError(
            f"docs/contributing names {'; '.join(unknown)}. Name what does this now; where a name is defined in "
            f"several files, write the link to the right one by hand"
        )
    return page


# The trips


def trips_table(now: list[Trip]) -> str:
    """The counts of the trips before the rooms were built, and now."""
    lines = ["| trip | calls | files | re-entries |", "|---|---:|---:|---:|"]
    for trip in now:
        counts = zip(BEFORE[trip.name], (trip.calls, trip.files, trip.reentries), strict=True)
        lines.append(f"| {' | '.join([trip.name, *(f'{before} → {after}' for before, after in counts)])} |")
    return "\n".join(lines)


def steps(page: str, heading: str) -> list[str]:
    """The functions that the numbered steps below a heading name with their files, in order."""
    _, _, section = page.partition(f"\n### {heading}\n")
    section = re.split(r"\n##", section)[0]
    listed = re.findall(r"^\d+\. .*(?:\n   .*)*", section, re.M)
    return [match["name"] for step in listed for match in SYMBOL.finditer(step)]


# The page


def drawn(page: str, table: str | None = None) -> str:
    """The page with the pictures and the links made anew, and with another table of the trips, if one is given."""
    made = {name: picture(name) for name in PICTURES}
    if table is not None:
        made["trips"] = table
    for name, text in made.items():
        begin, end = f"<!-- {name}: from the code -->\n", f"<!-- end of {name} -->"
        before, found, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{PAGE.name}: there must be one {begin!r} that is ended by {end!r}")
        page = f"{before}{begin}{text}\n{end}{after}"
    return linked(page)


if __name__ == "__main__":
    PAGE.write_text(drawn(PAGE.read_text(), trips_table(followed())))
    for other in sorted(CONTRIBUTING.rglob("*.md")):
        if other != PAGE:
            other.write_text(linked(other.read_text()))

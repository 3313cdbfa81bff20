"""The checks of a release, each in a clean place: files, installation, extras, lower bounds, the version.

`python -m tests.release` makes all of them, which takes about ten minutes and needs the package index. With names of
extras it makes the checks of these extras alone.
"""

import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import miniagents
from tests.release.programs import CORE, PROGRAMS
from tests.release.rules import lower_bounds, unwanted_files, version_problem

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


class CheckFailedError(Exception):
    """A check of the release has failed; its text says how."""


def run(*command: object, cwd: Path) -> str:
    """Run a command and return what it printed.

    Raises:
        CheckFailedError: It has failed.
    """
    done = subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise CheckFailedError(f"{' '.join(map(str, command))[:200]}\n{last}")
    return done.stdout


def environment(folder: Path, *requirements: object) -> Path:
    """Make an environment with these requirements, and return its Python."""
    run(sys.executable, "-m", "venv", folder, cwd=folder.parent)
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", *requirements, cwd=folder)
    run(python, "-m", "pip", "check", cwd=folder)
    return python


def built(folder: Path) -> Path:
    """Build the sdist, and the wheel from the sdist, and look at both. Return the wheel."""
    python = environment(folder / "building", "build>=1.2", "twine>=6")
    run(python, "-m", "build", "-q", "--outdir", folder / "dist", ROOT, cwd=folder)
    files = sorted((folder / "dist").iterdir())
    run(python, "-m", "twine", "check", "--strict", *files, cwd=folder)
    (wheel,) = (file for file in files if file.suffix == ".whl")
    if not wheel.name.endswith("-py3-none-any.whl"):
        raise CheckFailedError(f"{wheel.name} is not for every platform")
    with zipfile.ZipFile(wheel) as archive:
        unwanted = unwanted_files(archive.namelist())
    if unwanted:
        raise CheckFailedError(f"{wheel.name} has files that do not belong there: {', '.join(unwanted)}")
    return wheel


def check_extra(wheel: Path, extra: str, folder: Path, *, lowest: bool) -> None:
    """Install the wheel with one extra alone, and run the programs of the core and of the extra. Warnings are errors in
    that of the core; other libraries may have some.

    Args:
        wheel: The wheel.
        extra: The name of the extra; "" for none.
        folder: Where to work.
        lowest: Whether the direct dependencies are the oldest that are allowed.
    """
    requirements = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"].get(extra, ())]
    bounds = lower_bounds(requirements) if lowest else []
    (folder / "constraints.txt").write_text("\n".join(bounds), encoding="utf-8")
    wanted = f"miniagents[{extra}] @ {wheel.as_uri()}" if extra else wheel
    python = environment(folder / "installed", wanted, "-c", folder / "constraints.txt")
    run(python, "-I", "-W", "error", "-c", CORE, cwd=folder)
    if extra:
        run(python, "-I", "-c", PROGRAMS[extra], cwd=folder)


def checks(extras: Iterable[str]) -> int:
    """Make the checks, print a line for each, and return how many have failed."""
    failed = 0
    problem = version_problem(miniagents.__version__, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    failed += problem is not None
    print(f"wrong  version: {problem}" if problem else f"ok     version {miniagents.__version__}", flush=True)
    with tempfile.TemporaryDirectory() as name:
        wheel = built(Path(name))
        print(f"ok     {wheel.name} and its sdist", flush=True)
        for extra in extras:
            for lowest in (False, True):
                what = f"{f'extra {extra}' if extra else 'no extra'}, {'oldest' if lowest else 'newest'} libraries"
                with tempfile.TemporaryDirectory() as folder:
                    try:
                        check_extra(wheel, extra, Path(folder), lowest=lowest)
                    except CheckFailedError as error:
                        failed += 1
                        print(f"wrong  {what}: {error}", flush=True)
                    else:
                        print(f"ok     {what}", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(1 if checks(sys.argv[1:] or ["", *PROGRAMS]) else 0)

"""`miniagents new` and `miniagents doctor`: the options of the commands."""

from pathlib import Path
from typing import Any

import click

from miniagents.cli.printing import plain
from miniagents.ext.command_line import FAILED, Command, carry_out, json_option

_NEW_EXAMPLES = """
  miniagents new shop                    a project in the folder shop
  cd shop && pip install -e '.[test]' && pytest && miniagents run shop.agents:greeter Ada
"""

_DOCTOR_EXAMPLES = """
  miniagents doctor
  miniagents doctor --port 80 --journal swarm.db
  miniagents doctor --json | jq '.result.checks[] | select(.state != "ok")'
"""


@click.command("new", cls=Command, epilog=_NEW_EXAMPLES)
@click.argument("name")
@json_option
def new(name: str) -> int:
    """Make a project to start from: an agent, its test, and a pyproject.

    NAME is the name of the project and of its new folder. The pyproject names the clone or the wheel that this command
    was installed from.
    """
    # Not imported at the top: help loads no more than it needs.
    from miniagents.cli.setup.project import make_project

    def show(result: Any) -> str:
        return "\n".join([f"made {plain(result['folder'])}", *(f"  {file}" for file in result["files"])])

    return carry_out(lambda: make_project(name, Path.cwd()), show)


@click.command("doctor", cls=Command, epilog=_DOCTOR_EXAMPLES)
@click.option("--port", type=int, default=8000, show_default=True, help="The port that is to be free.")
@click.option(
    "--journal",
    type=click.Path(),
    metavar="PATH",
    help="The file of a journal that is to be read (default: MINIAGENTS_JOURNAL).",
)
@json_option
def doctor(port: int, journal: str | None) -> int:
    """Look whether this machine has what agents need.

    The checks are Python, the extras, uvloop, the keys of providers (whether they are there, and not what they are), a
    free port, a folder for control sockets, the processes that can be asked, and a journal. The status is 1 if one
    fails.
    """
    from miniagents.cli.setup.checks import all_checks

    is_well = True

    def do() -> Any:
        nonlocal is_well
        checks = all_checks(port, journal)
        is_well = all(check["state"] != "wrong" for check in checks)
        return {"checks": checks}

    def show(result: Any) -> str:
        width = max(len(check["name"]) for check in result["checks"])
        return "\n".join(
            f"{check['state']:7}{check['name'].ljust(width)}  {plain(check['text'])}" for check in result["checks"]
        )

    return carry_out(do, show) or (0 if is_well else FAILED)

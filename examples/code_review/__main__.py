"""`python -m examples.code_review [FOLDER]`: review the Python files of a folder, by default those of a small shop.

The models are scripts, which find three faults of the shop and little else. For a real review set MODEL, for example
MODEL=openai:gpt-5-mini with a key.
"""

import os
import sys
from pathlib import Path

from examples.code_review import scripted
from examples.code_review.crew import FAULTS, crew
from examples.models import ModelMissingError, model_of
from miniagents import MiniAgent, MiniAgents
from miniagents.ext.mcp import McpServer

HERE = Path(__file__).parent


def make_crew(folder: Path) -> MiniAgent:
    """Return the crew for a folder, with the models that MODEL names."""
    # The server runs in its own process, in the folder from which `examples` can be imported.
    command = [sys.executable, "-m", "examples.code_review.server", str(folder.resolve())]
    repository = McpServer("repository", command=command, cwd=HERE.parents[1], required=True, trusted=True)
    if not os.environ.get("MODEL"):
        return crew({kind: scripted.reviewer(kind) for kind in FAULTS}, scripted.judge(), repository)
    model = model_of(max_tokens=2000)
    return crew(dict.fromkeys(FAULTS, model), model, repository)


async def review(folder: Path) -> None:
    """Print what the crew says, message by message."""
    async for message in make_crew(folder).inquire("Please review the repository.", timeout=600.0):
        print(await message)


def main() -> int:
    """Review one folder.

    Returns:
        The exit status: 0, or 2 if the folder does not exist or the model cannot be used.
    """
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "shop"
    if not folder.is_dir():
        print(f"error: {folder}: there is no such folder", file=sys.stderr)
        return 2
    try:
        MiniAgents().run(review(folder))
    except ModelMissingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

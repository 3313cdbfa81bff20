"""Record the swarm at work in the observer: `docs/images/observer-dark.webp` and `docs/images/observer-light.webp`.

`python -m website.picture` needs Chromium, what `make clients` installs, and Pillow.
"""

import itertools
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
IMAGES = HERE.parents[1] / "docs" / "images"
SCHEMES = ("dark", "light")
LAST_SECONDS = 2.0
"""How long the last picture stays before the first one comes again."""


def main() -> None:
    """Start the swarm, let the browsers look at it, and join what they saw."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium was found: install it, or put it into PATH")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "website.picture.swarm"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as swarm:
            assert swarm.stdout is not None
            links = swarm.stdout.readline().split()
            subprocess.run(["node", HERE / "record.mjs", chromium, folder, *links], check=True)
            swarm.communicate()  # its standard input ends, and the swarm with it
        for scheme in SCHEMES:
            print(join(Path(folder) / scheme, IMAGES / f"observer-{scheme}.webp"))


def join(frames: Path, target: Path) -> str:
    """Make a moving picture of the frames of a folder, and return its size in words."""
    paths = sorted(frames.glob("*.png"))
    times = [int(path.stem) for path in paths]
    shown = [later - earlier for earlier, later in itertools.pairwise(times)]
    first, *others = (Image.open(path).convert("RGB") for path in paths)
    durations = [*shown, int(LAST_SECONDS * 1000)]
    first.save(target, save_all=True, append_images=others, duration=durations, loop=0, quality=60, method=6)
    return f"{target.name}: {len(paths)} frames, {target.stat().st_size / 1024:,.0f} KiB"


if __name__ == "__main__":
    main()

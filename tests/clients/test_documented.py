"""The clients that the docs list are those that are tried."""

import json
import re
from pathlib import Path

TESTS = Path(__file__).parent
ROW = re.compile(r"^\| `([^`]+)`( \(Node\))? \| ([\d.]+) \|", re.MULTILINE)


DOCS = TESTS.parents[1] / "docs" / "guides"


def test_the_docs_have_the_versions_that_are_tried() -> None:
    text = (DOCS / "serving.md").read_text().split("### Tested clients\n")[1].split("\n## ")[0]
    others = "".join((DOCS / page).read_text() for page in ("front-ends.md", "mcp.md"))
    rows = ROW.findall(text + others)
    pins = re.findall(r"^([^=\s]+)==(\S+)$", (TESTS / "python" / "requirements.txt").read_text(), re.MULTILINE)
    python, node = dict(pins), json.loads((TESTS / "node" / "package.json").read_text())["dependencies"]

    assert len(rows) == 21
    for name, is_node, version in rows:
        assert (node if is_node else python)[name].rpartition("@")[2] == version, name

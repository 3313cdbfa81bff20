"""The rules that a release is checked by, as functions of texts."""

import re
from collections.abc import Iterable

_BOUND = re.compile(
    r"(?P<library>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?\s*>=\s*(?P<version>[0-9][^,;\s]*)(?P<rest>[^;]*)(?P<marker>;.*)?"
)


def lower_bounds(requirements: Iterable[str]) -> list[str]:
    """Return the constraints that make pip install the oldest versions which the requirements allow.

    Args:
        requirements: The requirements, as in pyproject.toml. One without a lower bound is left out.

    Example:
        >>> lower_bounds(["mcp>=2,<3", "a2a-sdk[http-server]>=1.3", "tzdata"])
        ['mcp==2', 'a2a-sdk==1.3']
    """
    bounds = []
    for requirement in requirements:
        match = _BOUND.match(requirement)
        if match is not None:
            bounds.append(f"{match['library']}=={match['version']}{match['marker'] or ''}")
    return bounds


def unwanted_files(names: Iterable[str]) -> list[str]:
    """Return the files of a wheel that belong neither to the package nor to its metadata."""
    return [
        name
        for name in names
        if not re.match(r"miniagents(/|-[^/]+\.dist-info/)", name) or "__pycache__" in name or name.endswith(".pyc")
    ]


def version_problem(version: str, changelog: str) -> str | None:
    """Return why a version cannot be released with this changelog; None if it can.

    Args:
        version: The version of the package.
        changelog: The text of CHANGELOG.md.

    Example:
        >>> version_problem("1.2.0", "## Unreleased\\n\\n- A new name.\\n")
        'CHANGELOG.md has no section "## 1.2.0"'
    """
    sections = re.split(r"^## ", changelog, flags=re.M)[1:]
    texts = {title.split()[0]: text.strip() for title, _, text in (section.partition("\n") for section in sections)}
    if version not in texts:
        return f'CHANGELOG.md has no section "## {version}"'
    if texts.get("Unreleased"):
        return f'CHANGELOG.md still has entries under "Unreleased": move them to "## {version}"'
    if next((title for title in texts if title != "Unreleased"), None) != version:
        return f'CHANGELOG.md has a section above "## {version}": raise __version__'
    return None

"""The files of the page, as they are shipped."""

import json
import re
import zlib

from miniagents.ext.observer.page_app import STATIC, content_policy, files

PAGE = (STATIC / "index.html").read_text()
OWN = {name: content.decode() for name, (content, _) in files().items() if not name.startswith("vendor/")}


def test_every_folder_of_others_has_its_license() -> None:
    folders = [path for path in (STATIC / "vendor").iterdir() if path.is_dir()]

    assert len(folders) == 6
    assert [path.name for path in folders if not (path / "LICENSE").read_text().strip()] == []


def test_no_file_of_the_page_names_an_address_outside() -> None:
    names = re.compile(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[a-z0-9-]+\.[a-z]+", re.I)

    assert {name: names.findall(text) for name, text in {**OWN, "index.html": PAGE}.items() if names.search(text)} == {}


def test_every_module_that_is_imported_is_there() -> None:
    (modules,) = re.findall(r'<script type="importmap">([^<]+)</script>', PAGE)
    mapped = {name: path.removeprefix("./static/") for name, path in json.loads(modules)["imports"].items()}
    for name, (content, kind) in files().items():
        if kind != "text/javascript" or name.endswith(".min.js"):
            continue
        for module in re.findall(r'(?:^|[;}\n])\s*import\s*[^"\';()]*?["\']([^"\']+)["\']', content.decode()):
            target = mapped.get(module, module.removeprefix("./"))
            assert target in files(), f"{name} imports {module}"


def test_every_file_that_the_page_loads_is_there() -> None:
    loaded = re.findall(r'(?:src|href)="static/([^"]+)"', PAGE)

    assert len(loaded) >= 5
    assert [name for name in loaded if name not in files()] == []


def test_the_policy_allows_the_one_script_in_the_page_by_its_hash_and_no_other_one() -> None:
    policy = content_policy(PAGE)

    assert policy.count("'sha256-") == 1
    assert content_policy(PAGE.replace("preact", "other")) != policy
    assert len(re.findall(r"<script[^>]*>[^<]", PAGE)) == 1
    assert "style=" not in PAGE


def test_the_page_is_small() -> None:
    assert sum(len(zlib.compress(content)) for content, _ in files().values()) < 120_000

"""The names on the wire of the package's own classes: stored bytes and keys must outlive a move of a module."""

import enum
import importlib
import pkgutil
from collections import defaultdict
from typing import Any

import miniagents
from miniagents.messages import Message, TextMessage, encode, registry


def own_modules() -> list[str]:
    """The modules of the package that can be imported here."""
    found = []
    for module in pkgutil.walk_packages(miniagents.__path__, "miniagents."):
        if module.name.endswith("__main__"):
            continue
        try:
            importlib.import_module(module.name)
        except ImportError:  # an optional library is missing
            continue
        found.append(module.name)
    return found


def subclasses(cls: type[Any]) -> set[type[Any]]:
    """All of them, at any depth, of this package."""
    children: list[type[Any]] = type.__subclasses__(cls)
    descendants = {below for child in children for below in (child, *subclasses(child))}
    return {below for below in descendants if below.__module__.partition(".")[0] == "miniagents"}


def test_the_tag_of_a_message_class_of_the_package_names_no_module() -> None:
    own_modules()
    tags = {cls.__wire_tag__ for cls in subclasses(Message)}
    assert "miniagents:TextMessage" in tags
    assert {tag for tag in tags if not tag.startswith("miniagents:")} == set()


def test_no_two_classes_of_the_package_have_the_same_name_on_the_wire() -> None:
    own_modules()
    classes = defaultdict(set)
    for cls in subclasses(Message) | subclasses(enum.Enum) | subclasses(Exception):
        classes[registry.default_tag(cls)].add(cls)
    assert {tag: kinds for tag, kinds in classes.items() if len(kinds) > 1} == {}


def test_the_tag_of_a_class_of_somebody_else_names_its_module() -> None:
    class Theirs(Message):
        pass

    assert Theirs.__wire_tag__ == f"{__name__}:{Theirs.__qualname__}"


def test_the_bytes_of_a_message_of_the_package_name_no_module_of_it() -> None:
    assert b"miniagents." not in encode(TextMessage("hello"))

"""What two nodes must have in common."""

import msgspec
import pytest

from miniagents import Message, MiniAgents
from miniagents.cluster import Cluster
from miniagents.cluster.versions import check_fit, versions_here
from miniagents.errors import VersionMismatchError
from miniagents.testing.memory_platform import MemoryPlatform


class Known(Message):
    number: int


def test_the_version_is_that_of_the_code_and_not_of_an_installed_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("miniagents.__version__", "7.7.7")
    assert versions_here().package == "7.7.7"


def test_a_process_fits_to_itself_and_to_one_that_knows_other_types() -> None:
    here = versions_here()
    types = dict(here.types)
    del types["tests.cluster.test_versions:Known"]
    check_fit("driver", here, "a", msgspec.structs.replace(here, types={**types, "elsewhere:Only": 7}))


@pytest.mark.parametrize(("field", "value"), [("package", "0.0.1"), ("codec", 99), ("python", "3.99")])
def test_another_version_is_refused_in_a_sentence_that_names_both(field: str, value: object) -> None:
    here = versions_here()
    with pytest.raises(VersionMismatchError) as caught:
        check_fit("driver", here, "a", msgspec.structs.replace(here, **{field: value}))
    text = str(caught.value)
    assert "'driver'" in text
    assert "'a'" in text
    assert str(value) in text
    assert str(getattr(here, field)) in text


def test_a_message_type_with_other_fields_is_named() -> None:
    here = versions_here()
    types = {**here.types, "tests.cluster.test_versions:Known": 7}
    with pytest.raises(VersionMismatchError, match=r"the fields of .*test_versions:Known differ"):
        check_fit("driver", here, "a", msgspec.structs.replace(here, types=types))


def test_the_hash_of_a_type_depends_on_the_names_and_the_types_of_its_fields() -> None:
    before = versions_here().types["tests.cluster.test_versions:Known"]

    class Renamed(Message, tag="tests.cluster.test_versions:Known"):
        count: int

    renamed = versions_here().types["tests.cluster.test_versions:Known"]

    class Retyped(Message, tag="tests.cluster.test_versions:Known"):
        number: str

    retyped = versions_here().types["tests.cluster.test_versions:Known"]
    assert len({before, renamed, retyped}) == 3


async def test_a_node_that_does_not_fit_does_not_join(monkeypatch: pytest.MonkeyPatch) -> None:
    here = versions_here()
    monkeypatch.setattr(
        "miniagents.cluster.cluster.versions_here", lambda: msgspec.structs.replace(here, package="9.9.9")
    )
    platform = MemoryPlatform(["a"])
    with pytest.raises(VersionMismatchError, match=r"node 'driver' \(miniagents 9\.9\.9.* and node 'a'"):
        async with MiniAgents(cluster=Cluster(platform)):
            raise AssertionError("it does not get here")
    assert not platform.runtimes

"""`Rows`: which actors are shown, in which order, and how fast they work."""

from typing import Any

from miniagents.cli.top.rows import OPEN, Rows


def node(path: str, uid: int, handled: int = 0, below: int = 0) -> dict[str, Any]:
    return {"path": path, "uid": uid, "handled": handled, "below": {"actors": below}}


def level(*nodes: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
    return {"nodes": nodes, "has_more": has_more}


def shown(rows: Rows) -> list[tuple[str, int]]:
    return [(row.path, row.depth) for row in rows.shown()]


def test_only_what_is_open_is_shown_in_the_order_of_the_starts() -> None:
    rows = Rows()
    root = level(node("/", 1), node("/b", 2, below=1), node("/a", 3))
    rows.update({"/": root}, 0.0)
    assert shown(rows) == [("/", 0), ("/b", 1), ("/a", 1)]

    rows.toggle("/b")
    rows.update({"/": root, "/b": level(node("/b", 2), node("/b/x", 4))}, 1.0)
    assert shown(rows) == [("/", 0), ("/b", 1), ("/b/x", 2), ("/a", 1)]

    rows.toggle("/b")
    assert shown(rows) == [("/", 0), ("/b", 1), ("/a", 1)]


def test_too_many_children_end_with_a_row_that_says_so() -> None:
    rows = Rows()
    rows.update({"/": level(node("/", 1), node("/a", 2), has_more=True)}, 0.0)

    assert [(row.path, row.info is None) for row in rows.shown()] == [("/", False), ("/a", False), ("/...", True)]


def test_an_actor_that_has_ended_is_closed_and_one_that_was_opened_during_the_look_is_not() -> None:
    rows = Rows()
    rows.toggle("/ended")
    rows.toggle("/new")
    rows.update({"/": level(node("/", 1))}, 0.0, asked=["/", "/ended"])

    assert list(rows.opened) == ["/", "/new"]


def test_the_rate_is_what_was_handled_between_two_looks() -> None:
    rows = Rows()
    rows.update({"/": level(node("/", 1), node("/a", 2, handled=10))}, 0.0)
    assert [row.rate for row in rows.shown()] == [None, None]

    rows.update({"/": level(node("/", 1), node("/a", 2, handled=30), node("/b", 3, handled=9))}, 4.0)
    assert [row.rate for row in rows.shown()] == [0.0, 5.0, None]


def test_of_too_many_open_actors_the_first_is_closed() -> None:
    rows = Rows()
    for number in range(OPEN):
        rows.toggle(f"/{number}")

    assert len(rows.opened) == OPEN
    assert "/" not in rows.opened


def test_nothing_is_shown_before_the_first_look() -> None:
    assert Rows().shown() == []

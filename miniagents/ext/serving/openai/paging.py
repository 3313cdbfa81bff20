"""Pages of items: what a client asks of a list, and what it gets."""

from collections.abc import Callable
from typing import Literal, NamedTuple

from starlette.requests import Request

from miniagents.ext.serving.conversations.item_ids import Place
from miniagents.ext.serving.http.problems import Problem
from miniagents.ext.wire.openai_items import Item, ItemList

INCLUDABLE = (
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
)
"""What clients may ask to be included. All that is there is always included."""

MOST = 100
"""Items of a page."""


class Page(NamedTuple):
    """What a client asks of a list.

    Attributes:
        limit: How many items it wants, 1 to `MOST`.
        after: The id of the item after which they come; None for the beginning.
        order: Whether the oldest comes first.
    """

    limit: int
    after: str | None
    order: Literal["asc", "desc"]

    @classmethod
    def of(cls, request: Request) -> "Page":
        """What the query of a request says.

        Raises:
            Problem: 400: something in it is wrong.
        """
        given = request.query_params
        check_include(request)
        limit = given.get("limit", "20")
        if not (limit.isascii() and limit.isdecimal() and len(limit) < 4 and 1 <= int(limit) <= MOST):
            raise Problem(400, f"limit is 1 to {MOST} (limit)", param="limit", code="invalid")
        order = given.get("order", "desc")
        if order not in ("asc", "desc"):
            raise Problem(400, "order is asc or desc (order)", param="order", code="invalid")
        return cls(int(limit), given.get("after"), order)  # type: ignore[arg-type]  # one of the two

    def list(self, places: dict[str, Place], item: Callable[[str, Place], Item | None]) -> ItemList:
        """The page.

        Args:
            places: All items, from the oldest one.
            item: Makes an item; None for one that cannot be shown, which is left out.

        Raises:
            Problem: 404: there is no item with the id `after`.
        """
        ids = list(places) if self.order == "asc" else list(reversed(places))
        begin = 0
        if self.after is not None:
            if self.after not in places:
                raise item_not_found(self.after, "after")
            begin = ids.index(self.after) + 1
        page = ids[begin : begin + self.limit]
        data = tuple(one for id in page if (one := item(id, places[id])) is not None)
        return ItemList(data, page[0] if page else "", page[-1] if page else "", begin + len(page) < len(ids))


def check_include(request: Request) -> None:
    """Check what a client asks to be included.

    Raises:
        Problem: 400: there is no such thing.
    """
    for name in ("include", "include[]"):
        for one in request.query_params.getlist(name):
            if one not in INCLUDABLE:
                supported = ", ".join(map(repr, INCLUDABLE))
                text = f"Invalid value: {one!r}. Supported values are: {supported} (include)"
                raise Problem(400, text, param="include", code="invalid")


def item_not_found(id: str, param: str) -> Problem:
    """There is no such item, or it is somebody else's."""
    return Problem(404, f"There is no item {id!r} (any more).", param=param, code="not_found")

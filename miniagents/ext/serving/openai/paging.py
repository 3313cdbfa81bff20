"""Pages of items: the parameters of a list, and the page that a client gets."""

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
"""The values of `include`. Everything that exists is included anyway."""

MOST = 100
"""The most items of a page."""


class Page(NamedTuple):
    """The parameters of a list.

    Attributes:
        limit: The most items of the page, 1 to `MOST`.
        after: The id of the item before the first one; None for the beginning.
        order: "asc" if the oldest item comes first.
    """

    limit: int
    after: str | None
    order: Literal["asc", "desc"]

    @classmethod
    def of(cls, request: Request) -> "Page":
        """Return the parameters in the query of a request.

        Raises:
            Problem: 400: a parameter is wrong.
        """
        query = request.query_params
        check_include(request)
        limit = query.get("limit", "20")
        if not (limit.isascii() and limit.isdecimal() and len(limit) < 4 and 1 <= int(limit) <= MOST):
            raise Problem(400, f"limit is 1 to {MOST} (limit)", param="limit", code="invalid")
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            raise Problem(400, "order is asc or desc (order)", param="order", code="invalid")
        return cls(int(limit), query.get("after"), order)  # type: ignore[arg-type]  # one of the two

    def list(self, places: dict[str, Place], item: Callable[[str, Place], Item | None]) -> ItemList:
        """Return the page.

        Args:
            places: The places of all items, oldest first.
            item: Returns an item, or None for an item that cannot be shown. Such items are left out.

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
        data = tuple(shown for id in page if (shown := item(id, places[id])) is not None)
        return ItemList(data, page[0] if page else "", page[-1] if page else "", begin + len(page) < len(ids))


def check_include(request: Request) -> None:
    """Check the values of `include` in a request.

    Raises:
        Problem: 400: a value is unknown.
    """
    for name in ("include", "include[]"):
        for value in request.query_params.getlist(name):
            if value not in INCLUDABLE:
                supported = ", ".join(map(repr, INCLUDABLE))
                text = f"Invalid value: {value!r}. Supported values are: {supported} (include)"
                raise Problem(400, text, param="include", code="invalid")


def item_not_found(id: str, param: str) -> Problem:
    """Return the problem of an item that does not exist, or belongs to another key."""
    return Problem(404, f"There is no item {id!r} (any more).", param=param, code="not_found")

"""The part of an agent's cell that counts what models have used for the agent, for the tree to show."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from miniagents.actors.cells.cell import Cell


class SpendingCell:
    """A cell that counts tokens and their cost. The kinds of cells have the slots.

    Attributes:
        spent_tokens: The tokens of the requests to models.
        spent_cost: Their cost; None if it is not known.
    """

    __slots__ = tuple[str]()

    spent_tokens: int
    spent_cost: float | None
    if TYPE_CHECKING:  # what it needs of the cell
        parent: Cell | None
        system: Any

    def spend(self, call: Any, tokens: int, cost: float | None) -> None:
        """Count what a model has used for a call: of the call, of the agent, and of those above in both trees.

        Args:
            call: The `Interaction`.
            tokens: The tokens.
            cost: Their cost; None if it is not known.
        """
        # The additions are written out, since a call for each would be a part of every request (tests/test_costs.py).
        call.tokens += tokens
        call.cost = None if cost is None or call.cost is None else call.cost + cost
        if call.account is not None:
            call.account.spend(tokens, cost)
        self.spent_tokens += tokens
        self.spent_cost = None if cost is None or self.spent_cost is None else self.spent_cost + cost
        above = self.parent
        while above is not None:
            sums = above.children
            if sums is not None:
                sums.tokens += tokens
                sums.cost = None if cost is None or sums.cost is None else sums.cost + cost
            above = above.parent
        changes = self.system.changes
        if changes.wanted and self.parent is not None:  # None: it stands in for one that is elsewhere
            changes.note(self)

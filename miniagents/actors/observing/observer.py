"""The port of an observer of a system. A system without one pays one read of an attribute."""

from contextvars import Context
from typing import Any, Protocol


class Call(Protocol):
    """One call of a model or a tool, as an observer sees it."""

    def piece(self, piece: object) -> None:
        """A piece of its answer came."""

    def ended(self, answer: Any, error: BaseException | None) -> None:
        """Called when the call is over.

        Args:
            answer: What a model answered, as far as it came; None of a tool.
            error: What it failed with, a cancellation included, or None.
        """


class Observer(Protocol):
    """An object that is told what a system does (`system.observer`). No method may raise."""

    def outer_trace(self) -> object:
        """The trace context of code outside of all actors, which sends a message now; it goes with the envelope."""

    def actor_ended(self, cell: object) -> None:
        """An actor has ended for good."""

    def interaction_started(self, interaction: Any, context: Context) -> None:
        """A call of an agent goes into its mailbox; its code will run in copies of `context`. What `interaction.trace`
        is afterwards goes with it, and with all that it sends."""

    def interaction_ended(self, interaction: Any) -> None:
        """The code of an agent has ended; its replies may still come from calls below it."""

    def model_called(self, interaction: Any, provider: Any, request: Any) -> Call | None:
        """A request goes to a model."""

    def tool_called(self, interaction: Any, tool: Any, call: Any) -> Call | None:
        """A tool is called for a model."""

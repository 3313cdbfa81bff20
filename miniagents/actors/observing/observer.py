"""`Observer`: the base class of what is told about calls, model requests and tools while they happen."""

from typing import Any, Protocol


class ObservedCall(Protocol):
    """One request to a model, one call of a tool, or one wait for an answer from outside, as an observer sees it.

    Example:
        >>> class Printed:
        ...     def piece(self, piece):
        ...         pass
        ...     def ended(self, answer, error):
        ...         print("failed" if error is not None else answer.message())
        >>> class Printing(Observer):
        ...     def model_called(self, interaction, provider, request):
        ...         return Printed()
        >>> from miniagents.testing import Script, ScriptedModel
        >>> async with MiniAgents() as system:
        ...     system.observers.attach(Printing())
        ...     replies = await ScriptedModel.fork(script=Script("Hello!")).inquire("Hi")
        Hello!
    """

    def piece(self, piece: object) -> None:
        """Called with each piece of the answer when it arrives."""

    def ended(self, answer: Any, error: BaseException | None) -> None:
        """Called once, at the end.

        Args:
            answer: The answer of the model, as far as it arrived; None for a tool and for a wait.
            error: The exception that ended the call, a cancellation included, or None.
        """


class Observer:
    """A base class for observers. `MiniAgents(observers=[...])` takes any number; `system.observers.attach(observer)`
    attaches one later.

    An observer subscribes to a hook by overriding the method. A hook that nobody overrides costs nothing. Hooks are
    called in the thread of the system's event loop. They must not block, and must not send, start or stop anything. If
    a hook raises, that is logged as `observer.failed` and is an event OBSERVER_FAILED, and the system and the other
    observers go on.

    Example:
        >>> from miniagents import MiniAgents, Observer, miniagent
        >>> class Counting(Observer):
        ...     calls = 0
        ...     def interaction_started(self, interaction):
        ...         self.calls += 1
        >>> @miniagent
        ... async def hello(ctx):
        ...     ctx.reply("Hello!")
        >>> counting = Counting()
        >>> async def main():
        ...     await hello.inquire()
        >>> MiniAgents(observers=[counting]).run(main())
        >>> counting.calls
        1
    """

    def system_started(self, system: Any) -> None:
        """The system has started, and has this observer in its `observers=`. An observer that is attached later is not
        told.

        Args:
            system: The system. What the observer opens now is closed at the end by `system.shared(key, make, close)`.
        """

    def outer_trace(self) -> object:
        """Return the trace context of the code outside of all actors that sends a message now, or None.

        The message carries it. Of several observers, the first one that returns something decides.
        """
        return None

    def actor_ended(self, cell: Any) -> None:
        """An actor has ended and is not restarted.

        Args:
            cell: Its cell.
        """

    def interaction_started(self, interaction: Any) -> None:
        """A call of an agent goes into the agent's mailbox.

        Args:
            interaction: The `Interaction`. The agent's code runs in copies of `interaction.turn_context()`. The hook
                may set `interaction.trace`; everything that the agent sends carries it.
        """

    def interaction_ended(self, interaction: Any) -> None:
        """The code of an agent has ended. Its replies may still arrive from calls that it has made.

        Args:
            interaction: The `Interaction`, with its `tokens`, `cost` and `error`.
        """

    def interaction_over(self, account: Any) -> None:
        """A call of an agent is over: its code has ended, and nothing below it is open any more.

        Args:
            account: The `InteractionAccount`, closed: the tokens, the cost and the time of the call itself, and with
                all below it.
        """

    def model_called(self, interaction: Any, provider: Any, request: Any) -> ObservedCall | None:
        """A request goes to a model.

        Args:
            interaction: The `Interaction` that it belongs to.
            provider: The `Provider`.
            request: The `ModelRequest`.

        Returns:
            The object that is told how the request goes on, or None.
        """
        return None

    def tool_called(self, interaction: Any, tool: Any, call: Any) -> ObservedCall | None:
        """A tool is called for a model.

        Args:
            interaction: The `Interaction` that the model works for.
            tool: The `Tool`.
            call: The `ToolCall`.

        Returns:
            The object that is told how the call goes on, or None.
        """
        return None

    def answer_awaited(self, interaction: Any, wait: Any) -> ObservedCall | None:
        """A call waits for an answer from outside (`ctx.wait_for`) that is not there yet.

        Args:
            interaction: The `Interaction` that waits.
            wait: The `PendingWait`.

        Returns:
            The object that is told when the wait ends, or None.
        """
        return None

"""The promise of a model's reply: it can be taken back as long as nobody has seen a token of it."""

from collections.abc import AsyncIterator, Generator, Iterable
from typing import Any

from miniagents.agents import Interaction
from miniagents.ext.llms.messages import ReplyMessage
from miniagents.messages import MessagePromise, MessageTokenAppender, TextToken, Token
from miniagents.promising import Flow
from miniagents.promising.streamed import Replay
from miniagents.promising.work import Cancellable, Endings


class ModelReplyPromise(MessagePromise):
    """The promise of a model's reply.

    A token is delivered once an iterator has taken it. Until then the stream may start again: what was pushed is
    retracted, and a retry, a repair or another model begins anew.

    Args:
        interaction: Whose reply it is: cancelling the promise cancels it.
        **known_beforehand: Metadata that is known before the first token: model and alias.
    """

    __slots__ = ("_followers", "_interaction", "_taken")

    is_retractable = True

    def __init__(self, interaction: Interaction, **known_beforehand: Any) -> None:
        self._taken = False
        self._followers: list[ModelReplyPromise] = []
        self._interaction: Interaction | None = interaction
        super().__init__(
            message_token_streamer=MessageTokenAppender().open(), message_class=ReplyMessage, **known_beforehand
        )

    @property
    def was_delivered(self) -> bool:
        """Whether anybody has taken a token."""
        return self._taken or any(follower.was_delivered for follower in self._followers)

    def push(self, text: str) -> None:
        """One more token."""
        self.push_piece(TextToken(text))
        for follower in self._followers:
            follower.push(text)

    async def room(self, flow: Flow) -> None:
        """Pause while a flow is full; not where others stream the same."""
        if not self._followers:
            await flow.room(self)

    def retract(self) -> None:
        """Start again: nobody has seen a token.

        Raises:
            RuntimeError: Somebody has.
        """
        if self.was_delivered:
            raise RuntimeError("a token of this reply was delivered: it cannot start again")
        self.pieces.clear()
        for follower in self._followers:
            follower.retract()

    def end(self, message: ReplyMessage) -> None:
        """It is whole."""
        self.resolve(message)
        self.end_stream()

    def break_off(self, error: BaseException) -> None:
        """It failed."""
        self.end_stream(error)

    def follow(self, other: "ModelReplyPromise") -> None:
        """Stream what another one streams: what it has, and what comes; its end is not taken over."""
        for piece in other.pieces:
            if isinstance(piece, Token):
                self.push(str(piece))
        other._followers.append(self)
        other.want_whole()  # it waits for its own reader no more

    def __aiter__(self) -> AsyncIterator[Token]:
        if self._taken or self.finished:
            return super().__aiter__()
        return _NotingReplay(self)

    def cancel_alone(self, reason: object, endings: Endings) -> Iterable[Cancellable]:
        interaction = self._interaction
        started = self._all_started()
        below = interaction.cancel_alone(reason, endings) if interaction is not None else ()
        super().cancel_alone(reason, endings)
        return (*below, *started)

    def _settled(self) -> None:
        super()._settled()
        self._interaction = None


class _NotingReplay(Replay[Token]):
    """Notes that a token was delivered."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, Token]:
        piece = yield from super().__await__()
        self._promise._taken = True  # type: ignore[attr-defined]  # it is a ModelReplyPromise that made it
        return piece

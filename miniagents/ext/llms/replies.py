"""`ModelReplyPromise`: the reply of a model, which can start again until a reader has taken a token."""

from collections.abc import AsyncIterator, Generator, Iterable, Mapping
from typing import Any

from miniagents.agents import Interaction
from miniagents.ext.llms.messages import ReplyMessage
from miniagents.ext.llms.parts import PartToken, ReasoningToken
from miniagents.messages import MessagePromise, TextToken, Token
from miniagents.promising import Flow, StreamedPromise
from miniagents.promising.scope import get_scope, started
from miniagents.promising.streamed import Replay
from miniagents.promising.work import Cancellable, Endings


class ModelReplyPromise(MessagePromise):
    """The promise of a model's reply.

    A token is delivered once an iterator has taken it. Until then the stream may start again: its tokens are retracted,
    and a retry, a repair or another model pushes new ones. Tokens without text, such as reasoning, do not count: those
    that were taken stay in the stream, and those of the next attempt follow.

    Args:
        interaction: The call of the agent that replies: cancelling the promise cancels it.
        known_beforehand: The role, and the metadata that are known before the first token: model and alias. All replies
            of a call share it.

    Attributes:
        was_taken: Whether an iterator of this promise has taken a token with text.
        read: The number of tokens that iterators have taken before the first one with text.
    """

    __slots__ = ("_followers", "_interaction", "read", "was_taken")

    is_retractable = True

    def __init__(self, interaction: Interaction, known_beforehand: Mapping[str, Any]) -> None:
        self.was_taken = False
        self.read = 0
        self._followers: tuple[ModelReplyPromise, ...] = ()
        self._interaction: Interaction | None = interaction
        # Its tokens are pushed and its message is given to `end`: it needs neither streamer nor late fields.
        StreamedPromise.__init__(self)
        self.known_beforehand = known_beforehand
        self.message_class = ReplyMessage
        self._scope = get_scope()
        started(self, self._scope)

    @property
    def was_delivered(self) -> bool:
        """True if a reader has taken a token, of this promise or of a follower."""
        return self.was_taken or any(follower.was_delivered for follower in self._followers)

    def push(self, text: str) -> None:
        """Add a piece of the text."""
        self.push_piece(TextToken(text))
        if self._followers:
            for follower in self._followers:
                follower.push(text)

    def push_token(self, token: Token) -> None:
        """Add a token without text: a piece of reasoning, or another part."""
        self.push_piece(token)
        for follower in self._followers:
            follower.push_token(token)

    async def room(self, flow: Flow) -> None:
        """Wait while a flow is full. With followers, do not wait: each of them has readers of its own."""
        if not self._followers:
            await flow.room(self)

    def retract(self) -> None:
        """Start again without tokens, but for those without text that were taken.

        Raises:
            RuntimeError: A token with text was delivered.
        """
        if self.was_delivered:
            raise RuntimeError("a token of this reply was delivered: it cannot start again")
        del self.pieces[self.read :]
        for follower in self._followers:
            follower.retract()

    def end(self, message: ReplyMessage) -> None:
        """Resolve with the whole reply."""
        self.resolve(message)
        self.end_stream()

    def break_off(self, error: BaseException) -> None:
        """Fail with an error, after the tokens."""
        self.end_stream(error)

    def add_follower(self, follower: "ModelReplyPromise") -> None:
        """Stream all tokens, earlier and later ones, to another reply as well. The follower is ended apart."""
        for piece in self.pieces:
            if isinstance(piece, Token):
                follower.push_token(piece)
        self._followers += (follower,)
        self.want_whole()  # its own reader sets its pace no longer

    def __aiter__(self) -> AsyncIterator[Token]:
        if self.was_taken or self.finished:
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
    """An iterator that notes on its promise which tokens were taken, and is a plain one from the first text on."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, Token]:
        piece = yield from super().__await__()
        promise: Any = self._promise  # a `ModelReplyPromise`, whose `__aiter__` made this
        if isinstance(piece, (ReasoningToken, PartToken)):
            promise.read = max(promise.read, self.place[1])
            return piece
        promise.was_taken = True
        self.__class__ = Replay  # type: ignore[assignment]  # nothing is left to note, at the cost of a frame a token
        return piece

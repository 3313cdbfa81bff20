"""The items of frames: their kinds, how one is taken, and the values in them as plain data and back.

An item is an array: its kind, and the fields that stand beside the kind below. `number` is that of a question, a call,
or another wait of the node that sent the item which began it. `path` and `uid` name an actor of the node that gets it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from miniagents.errors import DecodeError
from miniagents.messages.codec import from_wire, to_wire
from miniagents.supervision import StopReason

# Messages
TELL = 1  # path, uid, message, sender, seconds left, trace
ASK = 2  # number, path, uid, message, sender, seconds left, trace, message id
ANSWER = 3  # number, answer
FAILED = 4  # number, error
CANCEL = 5  # number
DONE = 6  # number: what was waited for has happened: the cancel, the room in a mailbox, the write
SEND_ONCE = 7  # number, path, uid, message, sender, seconds left, trace, message id
ROOM = 8  # number, path, uid
UNBOUNDED = 9  # number, uid: the mailbox of that actor has no capacity, and need not be asked again
OVERFLOW = 10  # uid, policy: that of the mailbox of an actor that lets no sender wait, after the first message to it
DURABLE = 11  # uid: a `send` to that actor waits until the message is on disk

# Lives
STOP = 20  # number, path, uid, reason, drain
STOPPED = 21  # number, reason
WATCH = 22  # path, uid
STARTED = 23  # path, uid, error
ENDED = 24  # path, uid, reason

# Calls of agents
CALL = 40  # number, path, uid, arguments, sender, seconds left, trace, label, row in the journal or None
INPUT = 41  # number, message
INPUT_FAILED = 42  # number, error
INPUT_END = 43  # number
REPLY = 44  # number, message
REPLY_BEGINS = 45  # number, number of the reply, tag of its class, what is known beforehand
TOKEN = 46  # number, number of the reply, text, or data of another kind of token
REPLY_ENDS = 47  # number, number of the reply, message
REPLY_FAILED = 48  # number, number of the reply or 0, error
CALL_ENDED = 49  # number, error, tokens, cost
CREDIT = 50  # number, pieces that may be sent more

# Placed actors
SPAWN = 60  # uid, path, parent, factory, options, restart type, seconds to shut down, first number for the journal
CHILD_ASK = 61  # uid, what is asked of it, reason
CHILD_REPORT = 62  # uid, what has happened to it, reason or error

RESENT = 63  # uid, envelope: a dead letter of a durable actor was sent again

# The journal of the driver
JOURNAL_WRITE = 70  # number, operations
JOURNAL_READ = 71  # number, query, or None for numbers alone
JOURNAL_ANSWER = 72  # number, result, the first of the new numbers or None
JOURNAL_FAILED = 73  # number, error

# Waits
PROBE = 80  # number of the question along which it comes, name, epoch and number of its origin, age of that, paths


Takers: TypeAlias = Mapping[int, tuple[Callable[..., None], int]]
"""The method that takes an item, and the number of its fields, by the kind of the item."""


def take(takers: Takers, receiver: object, parts: list[Any]) -> bool:
    """Let an item be taken by the method of its kind.

    Args:
        takers: The methods, of the class of the receiver.
        receiver: The object that takes the item.
        parts: The kind of the item, and its fields.

    Returns:
        False if there is no method for items of this kind.

    Raises:
        DecodeError: The item has more or less fields than its kind has, or the method cannot read them.
    """
    method, fields = takers.get(parts[0], (None, 0))
    if method is None:
        return False
    if len(parts) != fields + 1:
        raise DecodeError(f"an item of kind {parts[0]} has {fields} fields, not {len(parts) - 1}")
    method(receiver, *parts[1:])
    return True


def value_to_wire(value: object, where: str) -> Any:
    """Return the plain data of a value.

    Raises:
        NotSendableError: It cannot travel.
        UnencodableError: The wire cannot carry it.
    """
    return to_wire(value, where, 0)


def value_from_wire(data: object) -> Any:
    """Return the value of plain data.

    Raises:
        DecodeError: The data are not those of a value.
    """
    try:
        return from_wire(data, 0)
    except DecodeError:
        raise
    except Exception as error:  # the failures of hostile data need not be told apart
        raise DecodeError(f"these data are not a value: {type(error).__name__}: {error}") from error


def error_to_wire(error: BaseException) -> Any:
    """Return an exception as plain data: the name of its type, its text, its trace, its notes and its agent trace."""
    agents = [str(name) for name in getattr(error, "agent_trace", ())]
    notes = [str(note) for note in getattr(error, "__notes__", ())]
    sent = [note.encode(errors="replace").decode() for note in notes if not agents or note != _agent_trace(agents)]
    return [to_wire(error, "error", 0), sent, agents]


def error_from_wire(data: Any, callers: Iterable[str] = ()) -> BaseException:
    """Return the exception of plain data: of its own class if that is a builtin, of this package or registered, a
    `RemoteError` otherwise.

    Args:
        data: The data.
        callers: The agents here that come next in the agent trace.

    Raises:
        DecodeError: The data are not those of an exception.
    """
    try:
        wire, notes, agents = data
    except (TypeError, ValueError):
        raise DecodeError("these data are not those of an exception") from None
    error = value_from_wire(wire)
    if not isinstance(error, BaseException):
        raise DecodeError(f"a {type(error).__name__} where an exception should be")
    if agents:
        names = (*map(str, agents), *callers)
        error.agent_trace = names  # type: ignore[attr-defined]  # as a call marks it
        error.add_note(_agent_trace(names))
    for note in notes:
        error.add_note(str(note))
    return error


def _agent_trace(names: Iterable[str]) -> str:
    return f"agent trace: {' <- '.join(names)}"


def reason_to_wire(reason: "StopReason | BaseException") -> Any:
    """Return the reason of an end as plain data."""
    return reason.value if isinstance(reason, StopReason) else error_to_wire(reason)


def reason_from_wire(data: Any) -> "StopReason | BaseException":
    """Return the reason of an end.

    Raises:
        DecodeError: The data are not those of a reason.
    """
    if not isinstance(data, str):
        return error_from_wire(data)
    try:
        return StopReason(data)
    except ValueError:
        raise DecodeError(f"{data!r} is no reason of an end") from None

"""Every exception that the package raises, one tree.

::

    MiniAgentsError
    ├── InvalidOptionError (ValueError)         an option is outside its range, or options contradict each other
    ├── MutableFieldError (TypeError)           a message class has a field whose type is not known to be immutable
    ├── NotSendableError (TypeError)            this cannot be sent, or cannot be part of a message
    ├── UnencodableError (ValueError)           a value that the wire cannot carry
    ├── DecodeError (ValueError)                bytes that are not a message
    ├── RemoteError                             an exception of another process that cannot be rebuilt here
    ├── NoActiveSystemError (RuntimeError)      nothing says which system is meant
    ├── SystemNotRunningError (RuntimeError)    the system is not running (yet, or any more)
    ├── WrongThreadError (RuntimeError)         a call from a thread that is not the loop's
    ├── AppenderNotOpenError (RuntimeError)     append() before open()
    ├── AppenderClosedError (RuntimeError)      append() after close()
    ├── PromiseNotReadyError (RuntimeError)     the text of a promise was asked for before it resolved
    ├── PromiseCancelledError                   the work behind a promise was cancelled
    ├── DeadlineExceededError (TimeoutError)    a deadline passed
    │   └── AskTimeoutError                     the ask's own timeout, or one that it inherited
    ├── HandlerTimeoutError (TimeoutError)      a handler ran for longer than its handler_timeout
    ├── ActorStoppedError                       the actor ended before it could answer
    ├── DeadlockError                           the await that would have closed a ring of waiting actors
    ├── MailboxFullError                        the mailbox refused the message
    │   └── DroppedError                        the mailbox took the message and dropped it later
    ├── AgentArgumentError (TypeError)          an agent was called with arguments that it does not take
    ├── StartError                              a supervisor's child did not start
    ├── RestartLimitError                       more restarts than the supervision of an actor allows
    └── SupervisorError                         a supervisor's answer that is not `ok`; `reason` is OTP's word
        ├── AlreadyStartedError                 already_started
        ├── AlreadyPresentError                 already_present
        ├── ChildNotFoundError                  not_found
        ├── ChildRunningError                   running
        ├── ChildRestartingError                restarting
        └── SimpleOneForOneError                simple_one_for_one

A usage error is also the builtin that it resembles. Every error pickles: its text is its only positional argument,
and its facts are attributes.
"""

from typing import Any


class MiniAgentsError(Exception):
    """The root of the tree.

    Args:
        text: Who, what happened, and what to do about it.
        **facts: The same as attributes, for programs.
    """

    def __init__(self, text: str = "", **facts: Any) -> None:
        super().__init__(text)
        self.__dict__.update(facts)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class InvalidOptionError(MiniAgentsError, ValueError):
    """An option is outside its range, or options contradict each other."""


class MutableFieldError(MiniAgentsError, TypeError):
    """A message class has a field whose type is not known to be immutable."""


class NotSendableError(MiniAgentsError, TypeError):
    """Something that is no message was sent, or cannot be part of a message."""


class UnencodableError(MiniAgentsError, ValueError):
    """A value that the wire cannot carry; the text names the field."""


class DecodeError(MiniAgentsError, ValueError):
    """Bytes that are not a message: truncated, hostile, or of an unknown type."""


class RemoteError(MiniAgentsError):
    """An exception of another process whose class is not rebuilt here.

    Attributes:
        type_name: The name of its class, with the module.
        remote_traceback: Its traceback as text, or "".
    """

    type_name: str = ""
    remote_traceback: str = ""


class NoActiveSystemError(MiniAgentsError, RuntimeError):
    """Nothing says which system is meant: none is active here, or several are."""


class SystemNotRunningError(MiniAgentsError, RuntimeError):
    """The system is not running: not activated yet, stopping, or stopped."""


class WrongThreadError(MiniAgentsError, RuntimeError):
    """A call from another thread than the event loop's; `system.from_thread` is there for that."""


class AppenderNotOpenError(MiniAgentsError, RuntimeError):
    """Something was appended before the appender was opened."""


class AppenderClosedError(MiniAgentsError, RuntimeError):
    """Something was appended after the appender was closed, or the appender was opened again."""


class PromiseNotReadyError(MiniAgentsError, RuntimeError):
    """The text of a promise was asked for before it resolved: await it first."""


class PromiseCancelledError(MiniAgentsError):
    """The work behind a promise was cancelled. It is no `asyncio.CancelledError`: the awaiter itself was not cancelled.

    Attributes:
        reason: What was given to `cancel`, or None.
    """

    reason: object = None


class DeadlineExceededError(MiniAgentsError, TimeoutError):
    """A deadline passed before the work was done."""


class AskTimeoutError(DeadlineExceededError):
    """An ask was not answered in time.

    Attributes:
        path: The path of the actor that was asked.
        ring: The paths of the ring of waiting actors that held it up, or ().
    """

    path: str = ""
    ring: tuple[str, ...] = ()


class HandlerTimeoutError(MiniAgentsError, TimeoutError):
    """A handler or hook ran for longer than the actor's `handler_timeout`. It is a crash of that actor.

    Attributes:
        path: The path of the actor.
    """

    path: str = ""


class ActorStoppedError(MiniAgentsError):
    """The actor ended, or was restarted with its siblings, before it could answer.

    `__cause__` is the start's error where the actor never started.

    Attributes:
        path: The path of the actor.
        reason: Its stop reason.
    """

    path: str = ""
    reason: object = None


class DeadlockError(MiniAgentsError):
    """This await would have closed a ring of actors that wait for each other.

    Attributes:
        ring: The paths in the order of waiting; the first is repeated at the end.
    """

    ring: tuple[str, ...] = ()


class MailboxFullError(MiniAgentsError):
    """The mailbox is full and refused the message.

    Attributes:
        path: The path of the actor.
        message: The message that was refused.
    """

    path: str = ""
    message: object = None


class DroppedError(MailboxFullError):
    """The message was dropped from a full mailbox, as its overflow policy says."""


class AgentArgumentError(MiniAgentsError, TypeError):
    """An agent was called, forked or spawned with arguments that it does not take, or without one that it needs."""


class StartError(MiniAgentsError):
    """A child did not start; `__cause__` is its own error.

    Attributes:
        child_id: The id of the child's specification.
        path: The path of the supervisor.
    """

    child_id: str = ""
    path: str = ""


class RestartLimitError(MiniAgentsError):
    """An actor or its children needed more restarts than their supervision allows; `__cause__` is the last crash.

    Attributes:
        path: The path of the actor that gives up.
    """

    path: str = ""


class SupervisorError(MiniAgentsError):
    """A supervisor answered a call with an error, as OTP's `supervisor` does.

    Attributes:
        reason: OTP's word for it.
        child_id: The id that the call named.
    """

    reason: str = "error"
    child_id: object = None


class AlreadyStartedError(SupervisorError):
    """`start_child`: a child with this id runs.

    Attributes:
        ref: The child that runs.
    """

    reason = "already_started"
    ref: object = None


class AlreadyPresentError(SupervisorError):
    """`start_child`: a specification with this id is there, and its child does not run."""

    reason = "already_present"


class ChildNotFoundError(SupervisorError):
    """No specification has this id."""

    reason = "not_found"


class ChildRunningError(SupervisorError):
    """`restart_child`, `delete_child`: the child runs; terminate it first."""

    reason = "running"


class ChildRestartingError(SupervisorError):
    """`restart_child`, `delete_child`: the supervisor is about to restart the child."""

    reason = "restarting"


class SimpleOneForOneError(SupervisorError):
    """The call makes no sense for a `SimpleOneForOne` supervisor."""

    reason = "simple_one_for_one"

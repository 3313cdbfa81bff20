"""All exceptions that the package raises, in one tree.

The module is longer than most: somebody who handles an error looks for its class and its neighbours in one place.

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
    │   └── ServiceStoppingError                the service stops, and the call was cut off or came too late
    ├── NodeLostError (ConnectionError)         a node of the cluster is gone
    ├── VersionMismatchError                    two nodes of a cluster would not understand each other
    ├── UnhandledMessageError                   the asked actor has no case for the message
    ├── DeadlockError                           an await that would have closed a cycle of waiting actors
    ├── MailboxFullError                        the mailbox refused the message
    │   └── DroppedError                        the mailbox took the message and dropped it later
    ├── AgentArgumentError (TypeError)          an agent or an actor does not take these arguments
    ├── MissingDependencyError (ImportError)    an optional package is not installed
    ├── JournalError (RuntimeError)             the journal cannot be opened, read or written
    │   └── JournalLockedError                  another process has the journal
    ├── MessageIdConflictError (ValueError)     a message id was used before, for another message
    ├── MessageDeadError                        the message of this id lies in the dead letters
    ├── JobConflictError (ValueError)           the name of the job belongs to another agent, input or code
    ├── JobStuckError                           the job has killed its process too often
    ├── MessageTooLargeError (ValueError)       the message is larger than the journal or a link takes
    ├── AnswerRefusedError (ValueError)         nothing waits for this answer, or it has one already
    ├── LLMError                                a language model did not answer as it should
    │   ├── MissingKeyError                     there is no key for the provider
    │   ├── ProviderError                       the provider refused a request, or failed at it
    │   │   ├── InvalidRequestError             400, 404, 413, 422: the request itself is wrong
    │   │   │   ├── ContextOverflowError        the conversation is longer than the model's context
    │   │   │   ├── EmptyConversationError (ValueError)   no message of the conversation has a text
    │   │   │   └── UnsupportedContentError (ValueError)  the model's API has no form for a part of the conversation
    │   │   ├── AuthenticationError             401, 403
    │   │   ├── QuotaExceededError              402, or a quota that is used up
    │   │   ├── RateLimitedError                429
    │   │   └── ProviderUnavailableError        408, 409, 5xx, a connection that failed
    │   │       ├── StalledError (TimeoutError) nothing came for `idle_timeout`
    │   │       ├── MalformedResponseError      what came is not what the API speaks
    │   │       └── IncompleteResponseError     the answer broke off
    │   ├── OutputError                         no structured output of the wanted type
    │   ├── MaxTurnsError                       more rounds of tool calls than `max_turns`
    │   ├── BudgetExceededError                 the budget does not allow another call
    │   └── AllModelsFailedError                every model of a `Fallback` failed
    ├── A2aError                                a remote agent has failed, or cannot be reached
    ├── McpError                                an MCP server refused a request, or its answer is malformed
    │   ├── McpUnavailableError                 the server is not connected, and nothing was sent
    │   └── McpOutcomeUnknownError              a request was sent and its answer was lost
    ├── StartError                              a supervisor's child did not start
    ├── RestartLimitError                       more restarts than the supervision of an actor allows
    ├── SimulationError (AssertionError)        a simulated program failed, and this seed shows it
    ├── SimulatedCrashError                     a crash that a simulation has caused
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

from typing import Any, TypeVar

ErrorT = TypeVar("ErrorT", bound=Exception)


class MiniAgentsError(Exception):
    """The base of all exceptions of the package.

    Args:
        text: Where (a path), what happened, and what to do about it.
        **facts: The facts in the text, which become attributes.
    """

    def __init__(self, text: str = "", /, **facts: Any) -> None:
        super().__init__(text)
        self.__dict__.update(facts)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class InvalidOptionError(MiniAgentsError, ValueError):
    """An option is outside its range, or options contradict each other."""


class MutableFieldError(MiniAgentsError, TypeError):
    """A message class has a field whose type is not known to be immutable."""


class NotSendableError(MiniAgentsError, TypeError):
    """A value that cannot be sent, or cannot be part of a message."""


class UnencodableError(MiniAgentsError, ValueError):
    """A value that the wire cannot carry; the text names the field."""


class DecodeError(MiniAgentsError, ValueError):
    """Bytes that are not a message: truncated, hostile, or of an unknown type."""


class RemoteError(MiniAgentsError):
    """An exception of another process whose class cannot be rebuilt here.

    Attributes:
        type_name: The name of the class, with its module.
        remote_traceback: The traceback as text, or "".
    """

    type_name: str = ""
    remote_traceback: str = ""


class NoActiveSystemError(MiniAgentsError, RuntimeError):
    """No system is active here, or several are, so that it is not clear which one is meant."""


class SystemNotRunningError(MiniAgentsError, RuntimeError):
    """The system is not running: not activated yet, stopping, or stopped."""


class WrongThreadError(MiniAgentsError, RuntimeError):
    """A call from another thread than that of the event loop. Use `system.from_thread` for such calls."""


class AppenderNotOpenError(MiniAgentsError, RuntimeError):
    """A piece was appended before the appender was opened."""


class AppenderClosedError(MiniAgentsError, RuntimeError):
    """A piece was appended after the appender was closed, or the appender was opened again."""


class PromiseNotReadyError(MiniAgentsError, RuntimeError):
    """The value or text of a promise was asked for before the promise settled. Await it first."""


class PromiseCancelledError(MiniAgentsError):
    """The work behind a promise was cancelled. This is no `asyncio.CancelledError`, since the awaiter was not
    cancelled.

    Attributes:
        reason: The argument of `cancel`, or None.
    """

    reason: object = None


class DeadlineExceededError(MiniAgentsError, TimeoutError):
    """A deadline passed before the work was done."""


class AskTimeoutError(DeadlineExceededError):
    """An ask was not answered in time.

    Attributes:
        path: The path of the actor that was asked.
        ring: The paths of the cycle of waiting actors that held the ask up, or ().
    """

    path: str = ""
    ring: tuple[str, ...] = ()


class HandlerTimeoutError(MiniAgentsError, TimeoutError):
    """A handler or hook ran for longer than the `handler_timeout` of its actor. The actor crashes with it.

    Attributes:
        path: The path of the actor.
    """

    path: str = ""


class ActorStoppedError(MiniAgentsError):
    """The actor ended, or was restarted with its siblings, before it could answer.

    `__cause__` is the error of the start if the actor never started.

    Attributes:
        path: The path of the actor.
        reason: The `StopReason` of the actor, or the exception that it crashed with.
    """

    path: str = ""
    reason: object = None


class ServiceStoppingError(ActorStoppedError):
    """The service of the agents is stopping: the call came too late, or was cut off when the grace was over.

    Another instance of the service may answer the call.
    """


class NodeLostError(MiniAgentsError, ConnectionError):
    """A node of the cluster is gone, with all actors that lived there. It is the cause of the `ActorStoppedError` of an
    ask to one of them, and the reason of its end for those who watch it.

    Attributes:
        node: The name of the node.
        cause: The cause of the loss: "out of memory", "killed", "drained", "silent" or "unknown".
    """

    node: str = ""
    cause: str = "unknown"


class VersionMismatchError(MiniAgentsError):
    """Two nodes of a cluster would not understand each other: the package, the codec, Python or a message type differ.
    The text names both nodes."""


class UnhandledMessageError(MiniAgentsError):
    """The asked actor does not handle the message: it called `ctx.unhandled(message)`.

    Attributes:
        path: The path of the actor.
        message: The message.
    """

    path: str = ""
    message: object = None


class DeadlockError(MiniAgentsError):
    """This await would have closed a cycle of actors that wait for each other.

    An actor waits for another one if it awaits an answer or the next piece of a stream that the other one has to give.

    Attributes:
        ring: The paths of the actors in the order of waiting. The first path is repeated at the end.
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
    """The message was dropped from a full mailbox because of the overflow policy."""


class AgentArgumentError(MiniAgentsError, TypeError):
    """An agent was called, forked or spawned, or an actor was spawned, with wrong arguments or without a required
    one."""


class MissingDependencyError(MiniAgentsError, ImportError):
    """A package that an optional feature needs is not installed. The text names the extra to install."""


class JournalError(MiniAgentsError, RuntimeError):
    """The journal cannot be opened, read or written. Nothing of the write is in the journal.

    The text says what is wrong and what to do. A journal goes on once the cause is gone: after a full disk has room
    again, the next write succeeds.

    Attributes:
        path: The file of the journal, or "".
        reason: What is wrong, in a word: "full", "io", "read-only", "corrupt", "locked", "absent", "memory", "os",
            "other", or "" where the text says it.
    """

    path: str = ""
    reason: str = ""


class JournalLockedError(JournalError):
    """Another process has the journal. Ask that process, or end it first.

    Attributes:
        pid: The process, or 0 if it is not known.
    """

    pid: int = 0


class MessageIdConflictError(MiniAgentsError, ValueError):
    """The receiver has accepted another message under the same message id. The new message was refused.

    Attributes:
        path: The path of the receiver.
        message_id: The message id.
    """

    path: str = ""
    message_id: str = ""


class MessageDeadError(MiniAgentsError):
    """The message of this message id lies in the dead letters of the journal, or was dropped from there.

    Attributes:
        path: The path of the receiver.
        message_id: The message id.
        number: The number of the dead letter.
    """

    path: str = ""
    message_id: str = ""
    number: int = 0


class JobConflictError(MiniAgentsError, ValueError):
    """The name of the job belongs to a job with another agent or other input, or its code has changed and
    `on_change=Change.FAIL` refuses that. The text names the difference.

    Attributes:
        job: The name of the job.
        agents: The names of the agents whose code has changed, or ().
        waits: The ids of the open waits that would vanish with their code, or ().
    """

    job: str = ""
    agents: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()


class JobStuckError(MiniAgentsError):
    """The job has killed its process too often in a row, and is not run again until `run_job(..., retry=)` frees it.

    Attributes:
        job: The name of the job.
        deaths: How often the process died.
    """

    job: str = ""
    deaths: int = 0


class AnswerRefusedError(MiniAgentsError, ValueError):
    """An answer from outside was refused: nothing of what waits takes it.

    Attributes:
        reason: Why, in a word: "taken" (it has an answer), "ambiguous" (several have the name), "wrong_kind", "ended",
            "unknown".
        job: The name of the job, or "".
        waits: The ids of the waits that the answer may have been meant for.
        by: With "taken", the name of the user who was first, or "".
    """

    reason: str = ""
    job: str = ""
    waits: tuple[str, ...] = ()
    by: str = ""


class MessageTooLargeError(MiniAgentsError, ValueError):
    """The message is larger than `max_message_bytes` of the journal, or than a link between nodes takes.
    Another attempt would fail again.

    Attributes:
        field: The largest field of the message.
        size: The size of the encoded message in bytes.
        limit: The largest size in bytes.
    """

    field: str = ""
    size: int = 0
    limit: int = 0


class LLMError(MiniAgentsError):
    """A language model did not answer as it should.

    Attributes:
        path: The path of the agent that called it, or "".
    """

    path: str = ""


class MissingKeyError(LLMError):
    """There is no API key for the provider. The text names the environment variable."""


class ProviderError(LLMError):
    """The provider refused a request, or failed at it.

    Attributes:
        status: The HTTP status, or None where there was none.
        error_type: The provider's name of the error, or None.
        request_id: The provider's id of the request, or None.
        retry_after: Seconds that the provider asks to wait before the next attempt, or None.
        should_retry: Whether the provider advises another attempt (`x-should-retry`), or None.
        limits: The rate-limit headers, or an empty mapping.
    """

    status: int | None = None
    error_type: str | None = None
    request_id: str | None = None
    retry_after: float | None = None
    should_retry: bool | None = None
    limits: Any = None


class InvalidRequestError(ProviderError):
    """The request itself is wrong (400, 404, 413, 422). The same request would fail again."""


class ContextOverflowError(InvalidRequestError):
    """The conversation is longer than the context of the model. Shorten it, or use another model."""


class EmptyConversationError(InvalidRequestError, ValueError):
    """No message of the conversation has a text, and the agent has no system prompt. Nothing was sent.

    Call the agent with messages, or give it `system=`.
    """


class UnsupportedContentError(InvalidRequestError, ValueError):
    """The API of the model has no form for a part of the conversation. Nothing was sent.

    Leave the part out, or use another model.
    """


class AuthenticationError(ProviderError):
    """The key is not valid, or not for this model (401, 403)."""


class QuotaExceededError(ProviderError):
    """The quota of the account is used up, or a payment is due (402, `insufficient_quota`). Waiting does not help."""


class RateLimitedError(ProviderError):
    """Too many requests or tokens (429)."""


class ProviderUnavailableError(ProviderError):
    """The provider is down, overloaded, or cannot be reached (408, 409, 5xx, a connection that failed).

    Attributes:
        was_reached: Whether there was a connection: False if it was refused, or if the host is not known.
    """

    was_reached: bool = True


class StalledError(ProviderUnavailableError, TimeoutError):
    """The provider has sent nothing for `idle_timeout` seconds."""


class MalformedResponseError(ProviderUnavailableError):
    """The response is not one of the API: broken JSON, an HTML page, no choices."""


class IncompleteResponseError(ProviderUnavailableError):
    """The answer broke off: the connection was cut, or the stream ended without a reason to stop."""


class OutputError(LLMError):
    """The model gave no structured output of the wanted type: it refused, was cut off, or failed after all repairs.

    Attributes:
        text: The text of the model.
        stop_reason: The provider's reason for the end of the text.
    """

    text: str = ""
    stop_reason: str | None = None


class MaxTurnsError(LLMError):
    """The model still calls tools after `max_turns` requests."""


class BudgetExceededError(LLMError):
    """The rest of a budget does not allow this call. Running calls may finish."""


class AllModelsFailedError(LLMError):
    """Every model of a `Fallback` failed or is resting. The text names each cause.

    Attributes:
        errors: The errors, in the order of the models.
    """

    errors: tuple[BaseException, ...] = ()


class StartError(MiniAgentsError):
    """A child of a supervisor did not start. `__cause__` is the error of the child.

    Attributes:
        child_id: The id of the child's specification.
        path: The path of the supervisor.
    """

    child_id: str = ""
    path: str = ""


class RestartLimitError(MiniAgentsError):
    """An actor or its children needed more restarts than their supervision allows. `__cause__` is the last crash.

    Attributes:
        path: The path of the actor that gives up.
    """

    path: str = ""


class SimulationError(MiniAgentsError, AssertionError):
    """A program failed in a simulation. `__cause__` is the error of the program.

    Attributes:
        seed: The seed of the failure: `simulate(program, seeds=[seed])` repeats it, step for step.
        trace: The steps of the smallest run that fails, in order.
        disturbances: The disturbances of that run, as `miniagents.testing.Disturbance`s, in order.
    """

    seed: int = 0
    trace: tuple[str, ...] = ()
    disturbances: tuple[Any, ...] = ()


class SimulatedCrashError(MiniAgentsError):
    """A crash that a simulation has caused (`sim.disturb(crash=...)`).

    Attributes:
        path: The path of the actor or agent that crashes.
    """

    path: str = ""


class SupervisorError(MiniAgentsError):
    """A supervisor answered a call with an error, as OTP's `supervisor` does.

    Attributes:
        reason: OTP's name of the error.
        child_id: The id in the call.
    """

    reason: str = "error"
    child_id: object = None


class AlreadyStartedError(SupervisorError):
    """`start_child`: a child with this id runs.

    Attributes:
        ref: The reference to that child.
    """

    reason = "already_started"
    ref: object = None


class AlreadyPresentError(SupervisorError):
    """`start_child`: there is a specification with this id, and its child does not run."""

    reason = "already_present"


class ChildNotFoundError(SupervisorError):
    """No specification has this id."""

    reason = "not_found"


class ChildRunningError(SupervisorError):
    """`restart_child`, `delete_child`: the child runs. Terminate it first."""

    reason = "running"


class ChildRestartingError(SupervisorError):
    """`restart_child`, `delete_child`: the supervisor is about to restart the child."""

    reason = "restarting"


class SimpleOneForOneError(SupervisorError):
    """The call makes no sense for a `SimpleOneForOne` supervisor."""

    reason = "simple_one_for_one"


class McpError(MiniAgentsError):
    """An MCP server refused a request, or its answer is malformed.

    Attributes:
        server: The name of the server.
        code: The code of the error in JSON-RPC, or None.
    """

    server: str = ""
    code: int | None = None


class McpUnavailableError(McpError):
    """The MCP server is not connected, and nothing was sent to it: the request can be made again later."""


class McpOutcomeUnknownError(McpError):
    """A request was sent to an MCP server and its answer was lost: the server may have carried it out, or not.

    Look for the effects of the request before you make it again.
    """


class A2aError(MiniAgentsError):
    """A remote agent, called by the Agent2Agent protocol, has failed, or cannot be reached.

    Attributes:
        url: The address of the agent.
        state: The state of its task in the protocol ("failed", "rejected", "canceled", "auth-required"), or None.
    """

    url: str = ""
    state: str | None = None


_registered: dict[str, type[Exception]] = {}


def register(cls: type[ErrorT]) -> type[ErrorT]:
    """Let exceptions of a class be rebuilt when they come back from bytes: from a journal, or from another process.

    An exception whose class is not registered comes back as a `RemoteError`, so that `except MyError` does not catch
    it. The class is called with the text of the exception. It can be used as a decorator.

    Args:
        cls: The class. Its constructor takes one text.

    Raises:
        TypeError: `cls` is no class of exceptions.

    Example:
        >>> from miniagents import errors
        >>> @errors.register
        ... class OutOfStock(Exception):
        ...     pass
        >>> errors.registered(f"{OutOfStock.__module__}:OutOfStock") is OutOfStock
        True
    """
    if not (isinstance(cls, type) and issubclass(cls, Exception)):
        raise TypeError(f"register() takes a class of exceptions, not {cls!r}")
    _registered[f"{cls.__module__}:{cls.__qualname__}"] = cls
    return cls


def registered(name: str) -> type[Exception] | None:
    """Return the class of exceptions that is registered under `module:qualname`, or None."""
    return _registered.get(name)

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

    Cure:
        Catch a class below this one: the base says only that the error is one of the package.

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
    """An option is outside its range, or options contradict each other.

    Cure:
        Give the option a value in the range that the text names, or leave one of two options out.
    """


class MutableFieldError(MiniAgentsError, TypeError):
    """A message class has a field whose type is not known to be immutable.

    Cure:
        Declare the field with an immutable type: a tuple, a `FrozenDict`, a frozen dataclass or another message.
        `register_value_type` of `miniagents.messages` makes a type of yours known.
    """


class NotSendableError(MiniAgentsError, TypeError):
    """A value that cannot be sent, or cannot be part of a message.

    Cure:
        Send a message. A value of another type goes into a `DataMessage`, a text into a `TextMessage`, and a coroutine
        is awaited first.
    """


class UnencodableError(MiniAgentsError, ValueError):
    """A value that the wire cannot carry; the text names the field.

    Cure:
        Change the field that the text names: integers have 64 bits, and texts no lone surrogates. Send a reference to
        the data where the data has another form.
    """


class DecodeError(MiniAgentsError, ValueError):
    """Bytes that are not a message: truncated, hostile, or of an unknown type.

    Cure:
        Import the module that defines the type of the message before you decode it. Bytes from elsewhere are to be
        refused.
    """


class RemoteError(MiniAgentsError):
    """An exception of another process whose class cannot be rebuilt here.

    Cure:
        Read `type_name` and `remote_traceback`. Let `miniagents.errors.register` make the class known where the error
        is to be caught by its class.

    Attributes:
        type_name: The name of the class, with its module.
        remote_traceback: The traceback as text, or "".
    """

    type_name: str = ""
    remote_traceback: str = ""


class NoActiveSystemError(MiniAgentsError, RuntimeError):
    """No system is active here, or several are, so that it is not clear which one is meant.

    Cure:
        Call it inside of `async with MiniAgents()` or `MiniAgents().run(main())`. Where several systems are active, say
        which one is meant: `agent.bind(system)`.
    """


class SystemNotRunningError(MiniAgentsError, RuntimeError):
    """The system is not running: not activated yet, stopping, or stopped.

    Cure:
        Start what you need before the system ends, or enter the system with `async with` first.
    """


class WrongThreadError(MiniAgentsError, RuntimeError):
    """A call from another thread than that of the event loop.

    Cure:
        Use `system.from_thread` in other threads.
    """


class AppenderNotOpenError(MiniAgentsError, RuntimeError):
    """A piece was appended before the appender was opened.

    Cure:
        Use the appender with `with`, or call `open()` first.
    """


class AppenderClosedError(MiniAgentsError, RuntimeError):
    """A piece was appended after the appender was closed, or the appender was opened again.

    Cure:
        Append inside of the `with` block. A closed appender stays closed: make another one.
    """


class PromiseNotReadyError(MiniAgentsError, RuntimeError):
    """The value or text of a promise was asked for before the promise settled.

    Cure:
        Await the promise first.
    """


class PromiseCancelledError(MiniAgentsError):
    """The work behind a promise was cancelled. This is no `asyncio.CancelledError`, since the awaiter was not
    cancelled.

    Cure:
        Nothing, if your own code has cancelled the work. Otherwise `reason` tells who did, and why.

    Attributes:
        reason: The argument of `cancel`, or None.
    """

    reason: object = None


class DeadlineExceededError(MiniAgentsError, TimeoutError):
    """A deadline passed before the work was done.

    Cure:
        Give the call more time, or less to do. `system.interactions()` shows what it waits for.
    """


class AskTimeoutError(DeadlineExceededError):
    """An ask was not answered in time.

    Cure:
        Raise `timeout=`, or look in `system.tree()` how long the mailbox of the actor is. If `ring` is not empty, the
        actors wait for each other.

    Attributes:
        path: The path of the actor that was asked.
        ring: The paths of the cycle of waiting actors that held the ask up, or ().
    """

    path: str = ""
    ring: tuple[str, ...] = ()


class HandlerTimeoutError(MiniAgentsError, TimeoutError):
    """A handler or hook ran for longer than the `handler_timeout` of its actor. The actor crashes with it.

    Cure:
        Raise `handler_timeout` of the actor, or move the long work into an agent, a task or a thread.

    Attributes:
        path: The path of the actor.
    """

    path: str = ""


class ActorStoppedError(MiniAgentsError):
    """The actor ended, or was restarted with its siblings, before it could answer.

    `__cause__` is the error of the start if the actor never started.

    Cure:
        Look at `reason` and at the log (`actor.crashed`) why the actor ended. Ask again if it is restarted.

    Attributes:
        path: The path of the actor.
        reason: The `StopReason` of the actor, or the exception that it crashed with.
    """

    path: str = ""
    reason: object = None


class ServiceStoppingError(ActorStoppedError):
    """The service of the agents is stopping: the call came too late, or was cut off when the grace was over.

    Cure:
        Send the request again: another instance of the service may answer it.
    """


class NodeLostError(MiniAgentsError, ConnectionError):
    """A node of the cluster is gone, with all actors that lived there. It is the cause of the `ActorStoppedError` of an
    ask to one of them, and the reason of its end for those who watch it.

    Cure:
        Ask again: a placed actor starts on another node. `cause` tells whether the node needs more memory.

    Attributes:
        node: The name of the node.
        cause: The cause of the loss: "out of memory", "killed", "drained", "silent" or "unknown".
    """

    node: str = ""
    cause: str = "unknown"


class VersionMismatchError(MiniAgentsError):
    """Two nodes of a cluster would not understand each other: the package, the codec, Python or a message type differ.
    The text names both nodes.

    Cure:
        Install the same versions on all nodes, and run the same code there.
    """


class UnhandledMessageError(MiniAgentsError):
    """The asked actor does not handle the message: it called `ctx.unhandled(message)`.

    Cure:
        Add a case for the type of `message` to the actor, or send the message to the right one.

    Attributes:
        path: The path of the actor.
        message: The message.
    """

    path: str = ""
    message: object = None


class DeadlockError(MiniAgentsError):
    """This await would have closed a cycle of actors that wait for each other.

    An actor waits for another one if it awaits an answer or the next piece of a stream that the other one has to give.

    Cure:
        Use `tell` instead of one of the asks in `ring`, or give one of them a `timeout=`.

    Attributes:
        ring: The paths of the actors in the order of waiting. The first path is repeated at the end.
    """

    ring: tuple[str, ...] = ()


class MailboxFullError(MiniAgentsError):
    """The mailbox is full and refused the message.

    Cure:
        Send more slowly: `await ref.send(message)` waits for room. Or raise the `capacity` of the mailbox.

    Attributes:
        path: The path of the actor.
        message: The message that was refused.
    """

    path: str = ""
    message: object = None


class DroppedError(MailboxFullError):
    """The message was dropped from a full mailbox because of the overflow policy.

    Cure:
        Choose another `Overflow` policy where each message counts, or raise the `capacity` of the mailbox.
    """


class AgentArgumentError(MiniAgentsError, TypeError):
    """An agent was called, forked or spawned, or an actor was spawned, with wrong arguments or without a required
    one.

    Cure:
        Give the arguments that the text names: those of the function of the agent, or of `__init__` of the class.
    """


class MissingDependencyError(MiniAgentsError, ImportError):
    """A package that an optional feature needs is not installed. The text names the extra to install.

    Cure:
        Install the extra that the text names: `pip install 'miniagents[extra]'`.
    """


class JournalError(MiniAgentsError, RuntimeError):
    """The journal cannot be opened, read or written. Nothing of the write is in the journal.

    The text says what is wrong and what to do. A journal goes on once the cause is gone: after a full disk has room
    again, the next write succeeds.

    Cure:
        Do what the text says about `reason`: make room on the disk, change the permissions, or restore the file.

    Attributes:
        path: The file of the journal, or "".
        reason: What is wrong, in a word: "full", "io", "read-only", "corrupt", "locked", "absent", "memory", "os",
            "other", or "" where the text says it.
    """

    path: str = ""
    reason: str = ""


class JournalLockedError(JournalError):
    """Another process has the journal.

    Cure:
        Give each process a journal of its own, or end the process `pid` first.

    Attributes:
        pid: The process, or 0 if it is not known.
    """

    pid: int = 0


class MessageIdConflictError(MiniAgentsError, ValueError):
    """The receiver has accepted another message under the same message id. The new message was refused.

    Cure:
        Use one id for one message only: derive it from the content or from the sender's own number.

    Attributes:
        path: The path of the receiver.
        message_id: The message id.
    """

    path: str = ""
    message_id: str = ""


class MessageDeadError(MiniAgentsError):
    """The message of this message id lies in the dead letters of the journal, or was dropped from there.

    Cure:
        `await system.dead_letters.durable.resend(number)` has it handled again. A dropped one is sent under a new id.

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

    Cure:
        Give the job another name. Where the code has changed, `on_change=` says what becomes of the recorded answers.

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

    Cure:
        Find what kills the process (often memory), and free the job with `run_job(..., retry=Retry.FAILED)`.

    Attributes:
        job: The name of the job.
        deaths: How often the process died.
    """

    job: str = ""
    deaths: int = 0


class AnswerRefusedError(MiniAgentsError, ValueError):
    """An answer from outside was refused: nothing of what waits takes it.

    Cure:
        Look at `reason`: somebody was first, the wait has another type or has ended, or the name is wrong. `waits` has
        the ids to choose from.

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

    Cure:
        Send a reference to the data (a path, a URL), or raise `max_message_bytes`.

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

    Cure:
        Catch a class below this one for what can be done about it.

    Attributes:
        path: The path of the agent that called it, or "".
    """

    path: str = ""


class MissingKeyError(LLMError):
    """There is no API key for the provider. The text names the environment variable.

    Cure:
        Set the environment variable that the text names, or give the agent `api_key=`.
    """


class ProviderError(LLMError):
    """The provider refused a request, or failed at it.

    Cure:
        Look at `status`, `error_type` and the text. The provider's support asks for `request_id`.

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
    """The request itself is wrong (400, 404, 413, 422). The same request would fail again.

    Cure:
        Change what the text names: the model, an option, or a message. No retry helps.
    """


class ContextOverflowError(InvalidRequestError):
    """The conversation is longer than the context of the model.

    Cure:
        Shorten the conversation, let `Compact` do that, or use a model with a longer context.
    """


class EmptyConversationError(InvalidRequestError, ValueError):
    """No message of the conversation has a text, and the agent has no system prompt. Nothing was sent.

    Cure:
        Call the agent with messages, or give it `system=`.
    """


class UnsupportedContentError(InvalidRequestError, ValueError):
    """The API of the model has no form for a part of the conversation. Nothing was sent.

    Cure:
        Leave the part out, or use a model or an `api=` that takes it.
    """


class AuthenticationError(ProviderError):
    """The key is not valid, or not for this model (401, 403).

    Cure:
        Check the key, its project, and whether it may use the model.
    """


class QuotaExceededError(ProviderError):
    """The quota of the account is used up, or a payment is due (402, `insufficient_quota`). Waiting does not help.

    Cure:
        Raise the limit of the account or pay the bill. `Fallback` asks another provider meanwhile.
    """


class RateLimitedError(ProviderError):
    """Too many requests or tokens (429).

    Cure:
        Give all agents of the key one `RateLimit`, or lower the concurrency. The agent has waited and tried again
        before it raises this.
    """


class ProviderUnavailableError(ProviderError):
    """The provider is down, overloaded, or cannot be reached (408, 409, 5xx, a connection that failed).

    Cure:
        Try again later, raise the number of retries, or name another model with `Fallback`.

    Attributes:
        was_reached: Whether there was a connection: False if it was refused, or if the host is not known.
    """

    was_reached: bool = True


class StalledError(ProviderUnavailableError, TimeoutError):
    """The provider has sent nothing for `idle_timeout` seconds.

    Cure:
        Try again, or raise `idle_timeout` for a model that thinks for long.
    """


class MalformedResponseError(ProviderUnavailableError):
    """The response is not one of the API: broken JSON, an HTML page, no choices.

    Cure:
        Check `base_url`: what answers there is a proxy, or speaks another API.
    """


class IncompleteResponseError(ProviderUnavailableError):
    """The answer broke off: the connection was cut, or the stream ended without a reason to stop.

    Cure:
        Try again. If it happens often, look at proxies and timeouts between you and the provider.
    """


class OutputError(LLMError):
    """The model gave no structured output of the wanted type: it refused, was cut off, or failed after all repairs.

    Cure:
        Look at `text` and `stop_reason`: raise `max_tokens` where it was cut off, or make the type simpler.

    Attributes:
        text: The text of the model.
        stop_reason: The provider's reason for the end of the text.
    """

    text: str = ""
    stop_reason: str | None = None


class MaxTurnsError(LLMError):
    """The model still calls tools after `max_turns` requests.

    Cure:
        Raise `max_turns`, or look at what the tools answer.
    """


class BudgetExceededError(LLMError):
    """The rest of a budget does not allow this call. Running calls may finish.

    Cure:
        Raise the budget, lower `max_tokens`, or give the model a price where it has none.
    """


class AllModelsFailedError(LLMError):
    """Every model of a `Fallback` failed or is resting. The text names each cause.

    Cure:
        Look at `errors`, one for each model. Try again later.

    Attributes:
        errors: The errors, in the order of the models.
    """

    errors: tuple[BaseException, ...] = ()


class StartError(MiniAgentsError):
    """A child of a supervisor did not start. `__cause__` is the error of the child.

    Cure:
        Look at `__cause__`: the error of the child's `__init__` or `on_start`.

    Attributes:
        child_id: The id of the child's specification.
        path: The path of the supervisor.
    """

    child_id: str = ""
    path: str = ""


class RestartLimitError(MiniAgentsError):
    """An actor or its children needed more restarts than their supervision allows. `__cause__` is the last crash.

    Cure:
        Mend the last crash, which is `__cause__`. Where crashes are normal, raise `max_restarts`, or let a `Backoff`
        slow the restarts down.

    Attributes:
        path: The path of the actor that gives up.
    """

    path: str = ""


class SimulationError(MiniAgentsError, AssertionError):
    """A program failed in a simulation. `__cause__` is the error of the program.

    Cure:
        Run `simulate(program, seeds=[seed])` again, and follow `trace`.

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

    Cure:
        Nothing: the simulation wants to know what the program does about it.

    Attributes:
        path: The path of the actor or agent that crashes.
    """

    path: str = ""


class SupervisorError(MiniAgentsError):
    """A supervisor answered a call with an error, as OTP's `supervisor` does.

    Cure:
        Catch a class below this one.

    Attributes:
        reason: OTP's name of the error.
        child_id: The id in the call.
    """

    reason: str = "error"
    child_id: object = None


class AlreadyStartedError(SupervisorError):
    """`start_child`: a child with this id runs.

    Cure:
        Use `ref`, or give the child another id.

    Attributes:
        ref: The reference to that child.
    """

    reason = "already_started"
    ref: object = None


class AlreadyPresentError(SupervisorError):
    """`start_child`: there is a specification with this id, and its child does not run.

    Cure:
        `restart_child` starts it, `delete_child` removes the specification.
    """

    reason = "already_present"


class ChildNotFoundError(SupervisorError):
    """No specification has this id.

    Cure:
        Look at `which_children()` for the ids.
    """

    reason = "not_found"


class ChildRunningError(SupervisorError):
    """`restart_child`, `delete_child`: the child runs.

    Cure:
        Call `terminate_child` first.
    """

    reason = "running"


class ChildRestartingError(SupervisorError):
    """`restart_child`, `delete_child`: the supervisor is about to restart the child.

    Cure:
        Wait for the restart, or call `terminate_child` to end it.
    """

    reason = "restarting"


class SimpleOneForOneError(SupervisorError):
    """The call makes no sense for a `SimpleOneForOne` supervisor.

    Cure:
        Use the reference of the child: the children of such a supervisor have no ids.
    """

    reason = "simple_one_for_one"


class McpError(MiniAgentsError):
    """An MCP server refused a request, or its answer is malformed.

    Cure:
        Look at the text and `code`: the arguments are wrong, the tool does not exist, or the server failed.

    Attributes:
        server: The name of the server.
        code: The code of the error in JSON-RPC, or None.
    """

    server: str = ""
    code: int | None = None


class McpUnavailableError(McpError):
    """The MCP server is not connected, and nothing was sent to it.

    Cure:
        Make the request again later: the server is connected again by itself.
    """


class McpOutcomeUnknownError(McpError):
    """A request was sent to an MCP server and its answer was lost: the server may have carried it out, or not.

    Cure:
        Look for the effects of the request before you make it again.
    """


class A2aError(MiniAgentsError):
    """A remote agent, called by the Agent2Agent protocol, has failed, or cannot be reached.

    Cure:
        Check `url` and the key. Look at `state`: a task that was "rejected" or "failed" needs another request.

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

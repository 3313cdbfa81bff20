"""Promises that stream. They are generic and know nothing of actors or messages.

A promise has three sides, in `Promise` and in its subclasses here, in `messages`, `actors`, `agents` and `ext.llms`:

**The user's side** is `await`, `done`, `result`, `exception`, `cancel`, `aclose`, and iteration where a promise
streams.

**The producer's side** is for the code that works a promise out or watches over it. Users do not need it:

- `resolve`, `reject` and `cut_off` settle the promise. `start` begins its work. `owns` adds work that is cancelled
  with it.
- `push_piece`, `push_error` and `end_stream` feed a stream. `want_whole` and `end_pause` let a paused stream go on.
- `add_done_callback` tells of the end. `mark_seen` says that the failure need not be logged, `was_seen` whether that
  was said. `is_waited_for` tells whether a task waits. `held_by` and `look_again` are for the deadlock detection.
- `is_over` and `cancel_alone` make the promise a `Cancellable`.
- `settled_value` is `NO_VALUE` until the promise has resolved, and `settled_error` is None unless it has failed.
  `producer` is the node that is to settle the promise, `started_work` is the work that is cancelled with it, and
  `waiters`, `callbacks` and `piece_waiters` are those who wait. `pieces`, `finished`, `dropped`, `tap`, `pause`,
  `flattener` and `stream_task` are the state of a stream. They are plain slots, because hot paths read them without a
  call.

**The hooks** are the methods that subclasses override. Those without an underscore belong to the producer's side, too.

==================  ==========================================================  ========================================
hook                what it does                                                an override calls `super()`
==================  ==========================================================  ========================================
`_settled`          The promise has just settled: wake the awaiters, call the   always
                    callbacks, drop the references to work and scope.
`start`             Begin the work, if it has not begun.                        if the promise has work of its own
`cancel_alone`      Cancel the promise without what was started for it: call    always
                    `_cancel_work`, then `reject`. Replies cancel their call
                    first.
`_cancel_work`      Cancel the tasks that work the promise out (its own, that   if the promise has a task
                    of the stream, the handler of an asked actor) and put them
                    into `endings`.
`_watch`            The promise has failed: have the failure logged if no code  unless the failure is logged elsewhere
                    receives it.
`held_by`           Tell the deadlock detection what must go on before the      where the promise knows no better
                    promise can settle.
`_context`          Return the promising context.                               where the promise knows no better
`event_loop`        Return the loop of the awaiters.                            where the promise knows no better
`is_waited_for`     Return whether a task waits.                                never
`end_stream`        End the stream. The result of a tool call turns a cancel    always
                    into a piece here.
`_complete`         A stream has ended: make the whole.                         never
`_assembled`        Return the whole that is made of the pieces.                where no piece stands for a failure
`start_whole`       Begin what an `await` would begin, for a reader that        always
                    waits by a callback.
`run_ready`         A task is about to wait for the value or a piece: do now    never
                    what can be done for it.
==================  ==========================================================  ========================================
"""

from miniagents.promising.appender import StreamAppender
from miniagents.promising.completing import as_completed
from miniagents.promising.flattening import Flattener
from miniagents.promising.flow import Flow
from miniagents.promising.gathering import gather
from miniagents.promising.merging import merge
from miniagents.promising.promise import NO_VALUE, Promise
from miniagents.promising.scope import PromisingContext, Scope, current_scope
from miniagents.promising.streamed import StreamedPromise

__all__ = [
    "NO_VALUE",
    "Flattener",
    "Flow",
    "Promise",
    "PromisingContext",
    "Scope",
    "StreamAppender",
    "StreamedPromise",
    "as_completed",
    "current_scope",
    "gather",
    "merge",
]

"""Promises that stream. They are generic and know nothing of actors or messages.

A promise has three sides, in `Promise` and in its subclasses here, in `messages`, `actors`, `agents` and `ext.llms`:

**The user's side** is `await`, `done`, `result`, `exception`, `cancel`, `aclose`, and iteration where a promise
streams.

**The producer's side** is for the code that works a promise out. Users do not need it.

- `_resolve`, `_reject` and `_cut_off` settle the promise; `_start` begins its work; `_push`, `_push_error` and `_end`
  feed a stream; `_look` says that the failure need not be logged; `_owns` adds work that is cancelled with the
  promise.
- `_value` is `NO_VALUE` until the promise has resolved, `_error` is None unless it has failed, `_producer` is the node
  that is to settle it, `_started` is the work that is cancelled with it. `_pieces`, `_finished` and `_tap` are the
  state of a stream. They are plain slots, because hot paths read them without a call.

**The hooks** are the methods that subclasses override:

=====================  ============================================================  ==================================
hook                   when it is called, and what it does                           an override calls `super()`
=====================  ============================================================  ==================================
`_settled`             The promise has just settled: wake the awaiters, call the     always
                       callbacks, drop the references to work and scope.
`_start`               The work is to begin, if it has not begun.                    if the promise has work of its own
`_cancel_alone`        Cancel the promise without what was started for it: calls     always
                       `_cancel_work`, then `_reject`. Replies cancel their call.
`_cancel_work`         Cancel the tasks that work the promise out (its own, that of  where the promise has a task
                       the stream, the handler of an asked actor), and put them
                       into `endings`.
`_watch`               The promise has failed: have the failure logged if no code    unless another place logs it
                       receives it.
`_held_by`             Tell the deadlock detection what must go on before the        where the promise knows no better
                       promise can settle.
`_context`             Return the promising context.                                 where the promise knows no better
`_event_loop`          Return the loop of the awaiters.                              where the promise knows no better
`_is_waited_for`       Return whether a task waits.                                  never
`_complete`            A stream has ended: make the whole.                           never
`_assembled`           Return the whole that is made of the pieces.                  where the pieces are no error
`_help`                A task is about to wait for a piece: do now what can be done  never
                       for it.
=====================  ============================================================  ==================================
"""

from miniagents.promising.appender import StreamAppender
from miniagents.promising.flattening import Flattener
from miniagents.promising.flow import Flow
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
    "current_scope",
]

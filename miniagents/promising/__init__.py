"""Promises that stream: generic, they know nothing of actors or messages."""

from miniagents.promising.appender import StreamAppender
from miniagents.promising.context import PromisingContext, Scope, current_scope
from miniagents.promising.flow import Flow
from miniagents.promising.promise import NO_VALUE, Promise
from miniagents.promising.sequence import FlatSequence
from miniagents.promising.streamed import StreamedPromise

__all__ = [
    "NO_VALUE",
    "FlatSequence",
    "Flow",
    "Promise",
    "PromisingContext",
    "Scope",
    "StreamAppender",
    "StreamedPromise",
    "current_scope",
]

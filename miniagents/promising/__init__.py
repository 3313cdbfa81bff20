"""Promises that stream: generic, they know nothing of actors or messages."""

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

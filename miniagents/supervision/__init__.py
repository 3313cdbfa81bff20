"""Supervision as values and decisions: Erlang/OTP's `supervisor` without processes and clocks.

`miniagents.actors` carries the decisions out.
"""

from miniagents.supervision.backoff import Backoff
from miniagents.supervision.intensity import RestartWindow
from miniagents.supervision.pool import Pool
from miniagents.supervision.routing import Routing
from miniagents.supervision.spec import AutoShutdown, ChildSpec, Restart, Shutdown, StopReason, Supervisor
from miniagents.supervision.strategy import (
    DEFAULT_SUPERVISION,
    OneForAll,
    OneForOne,
    RestForOne,
    SimpleOneForOne,
    Strategy,
)
from miniagents.supervision.verdict import answers, is_abnormal, shuts_down

__all__ = [
    "DEFAULT_SUPERVISION",
    "AutoShutdown",
    "Backoff",
    "ChildSpec",
    "OneForAll",
    "OneForOne",
    "Pool",
    "RestForOne",
    "Restart",
    "RestartWindow",
    "Routing",
    "Shutdown",
    "SimpleOneForOne",
    "StopReason",
    "Strategy",
    "Supervisor",
    "answers",
    "is_abnormal",
    "shuts_down",
]

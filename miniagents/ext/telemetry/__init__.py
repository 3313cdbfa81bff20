"""OpenTelemetry (extra `telemetry`) and logs of a system's events. Importing this package loads no optional library."""

from typing import TYPE_CHECKING

from miniagents.ext.lazy import lazy_names
from miniagents.ext.telemetry.instrumenting import instrument, trace_context
from miniagents.ext.telemetry.logs import EventLog, log_events
from miniagents.ext.telemetry.prometheus import metrics_app, metrics_route

if TYPE_CHECKING:
    from miniagents.ext.telemetry.telemetry import Telemetry

__all__ = ["EventLog", "Telemetry", "instrument", "log_events", "metrics_app", "metrics_route", "trace_context"]

if not TYPE_CHECKING:  # the name is loaded with OpenTelemetry, at its first use
    __getattr__ = lazy_names(__name__, {"Telemetry": "miniagents.ext.telemetry.telemetry"}, "telemetry")

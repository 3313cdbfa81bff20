"""OpenTelemetry (extra `otel`) and logs of a system's events. Importing this package loads no optional library."""

from miniagents.ext.telemetry.instrumenting import instrument, trace_context
from miniagents.ext.telemetry.logs import EventLog, log_events
from miniagents.ext.telemetry.prometheus import metrics_app, metrics_route

__all__ = ["EventLog", "instrument", "log_events", "metrics_app", "metrics_route", "trace_context"]

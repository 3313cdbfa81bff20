"""Verdicts on the end of a child: pure decisions, as the clauses of OTP's `do_restart/3`."""

from collections.abc import Iterable

from miniagents.supervision.spec import AutoShutdown, Restart, StopReason


def is_abnormal(reason: StopReason | BaseException) -> bool:
    """Return whether a TRANSIENT child is restarted after this end: a crash or a kill."""
    return reason is not StopReason.NORMAL and reason is not StopReason.SHUTDOWN


def answers(restart: Restart, reason: StopReason | BaseException) -> bool:
    """Return whether a child of this restart type is started again after this end."""
    if restart is Restart.PERMANENT:
        return True
    return restart is Restart.TRANSIENT and is_abnormal(reason)


def shuts_down(auto_shutdown: AutoShutdown, significant: bool, others: Iterable[bool]) -> bool:
    """Return whether a supervisor ends, now that a child has ended by itself and is not started again.

    Args:
        auto_shutdown: The option of the supervisor.
        significant: The child was significant.
        others: For every other child that runs or is about to be restarted: whether it is significant.
    """
    if not significant or auto_shutdown is AutoShutdown.NEVER:
        return False
    return auto_shutdown is AutoShutdown.ANY_SIGNIFICANT or not any(others)

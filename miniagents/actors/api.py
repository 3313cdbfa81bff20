"""What `dir` shows of a system: the names for programs, and not those by which cells and calls use it."""

from collections.abc import Iterable

FOR_THE_RUNTIME = frozenset(
    [
        "activated",
        "active_loop",
        "actor_ended",
        "answers",
        "base_name",
        "begin_wait",
        "cells",
        "changes",
        "check_durable",
        "check_running",
        "check_unnamed",
        "closed",
        "context_class",
        "deadline",
        "dispatcher",
        "durability",
        "durable_mail",
        "fail",
        "forget_lazy",
        "gives_up",
        "graces",
        "has_timeout",
        "id_hash",
        "interaction_class",
        "interaction_ended",
        "interaction_ids",
        "interaction_started",
        "is_node",
        "keep_lazy",
        "known_budgets",
        "known_limits",
        "lazy_promises",
        "look_again",
        "loop",
        "message_resolved",
        "new_cell",
        "node",
        "node_epoch",
        "node_name",
        "opened",
        "own_budgets",
        "owns",
        "persists_messages",
        "place",
        "placing",
        "promising_context",
        "random",
        "reply_promise_class",
        "root",
        "scheduling",
        "spawn_under",
        "start_failed",
        "starting_again",
        "thread_id",
        "time",
        "uids",
        "unseen",
        "use_journal",
        "wall_clock",
        "watches",
    ]
)
"""The public names of a system that other parts of the runtime use. They are no private names, since these parts are
not the system."""


class ShownClass(type):
    """The class of the classes of systems, for `dir(ActorSystem)`."""

    def __dir__(cls) -> Iterable[str]:
        return [name for name in super().__dir__() if name not in FOR_THE_RUNTIME]


class Shown(metaclass=ShownClass):
    """A base class whose objects show in `dir`, and so to tab completion, what programs use."""

    def __dir__(self) -> Iterable[str]:
        return [name for name in super().__dir__() if name not in FOR_THE_RUNTIME]

"""The state of an actor in its life."""

import enum


class State(enum.Enum):
    """The state of an actor, as the tree shows it."""

    STARTING = "starting"
    IDLE = "idle"
    RUNNING = "running"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


class IgnoreStart(Exception):
    """Raised in `on_start`: this child is not needed now. Its supervisor keeps the specification and no child, as
    OTP's supervisor does when a start function returns `ignore`.

    Example:
        >>> class Beta(Actor):
        ...     async def on_start(self, ctx):
        ...         raise IgnoreStart
        >>> async with ActorSystem() as system:
        ...     team = await system.supervise(Supervisor("team", children=[ChildSpec("beta", Beta)]))
        ...     print((await team.count_children()).active)
        0
    """

"""The rules of timers."""

import msgspec

from miniagents.journal import Accept, Advance, Journal, Schedule, Timer, Timers, Unacknowledged, Unschedule


async def _makes_a_timer_once(journal: Journal) -> None:
    timer = Timer("/timers/a", "tick", "every 5 s", 100.0, b"body", "kind", b"meta")

    assert await journal.write(Schedule(timer)) == timer, "a timer is made"
    later = msgspec.structs.replace(timer, due_at=200.0)
    assert await journal.write(Schedule(later)) == timer, "a timer with the same rule and message keeps its due time"
    other = msgspec.structs.replace(timer, due_at=300.0, rule="every 6 s")
    assert await journal.write(Schedule(other)) == other, "another rule replaces the timer of the same name"
    message = msgspec.structs.replace(other, due_at=400.0, body=b"other")
    assert await journal.write(Schedule(message)) == message, "another message replaces the timer of the same name"
    assert await journal.read(Timers("/timers/a")) == (message,), "an actor has one timer of a name"


async def _sorts_and_removes_timers(journal: Journal) -> None:
    timers = [Timer("/timers/b", name, "rule", due, b"") for name, due in (("x", 9.0), ("y", 3.0), ("z", 6.0))]
    for timer in timers:
        await journal.write(Schedule(timer))
    await journal.write(Schedule(Timer("/timers/c", "x", "rule", 1.0, b"")))

    names = [timer.name for timer in await journal.read(Timers("/timers/b"))]
    assert names == ["y", "z", "x"], "timers are sorted by their due times"
    every = [timer for timer in await journal.read(Timers()) if timer.actor in ("/timers/b", "/timers/c")]
    assert [timer.due_at for timer in every] == [1.0, 3.0, 6.0, 9.0], "the timers of all actors can be read"
    await journal.write(Unschedule("/timers/b", "z"))
    assert len(await journal.read(Timers("/timers/b"))) == 2, "one timer can be removed"
    await journal.write(Unschedule("/timers/b"))
    assert await journal.read(Timers("/timers/b")) == (), "all timers of an actor can be removed"
    assert len(await journal.read(Timers("/timers/c"))) == 1, "another actor's timers stay"


async def _ticks_in_one_write(journal: Journal) -> None:
    await journal.write(Schedule(Timer("/timers/d", "tick", "rule", 1.0, b"tick")))

    await journal.write(Accept(journal.next_id(), "/timers/d", b"tick"), Advance("/timers/d", "tick", 2.0))
    await journal.write(Advance("/timers/d", "unknown", 5.0))

    assert len(await journal.read(Unacknowledged("/timers/d"))) == 1, "a tick is an envelope"
    (timer,) = await journal.read(Timers("/timers/d"))
    assert timer.due_at == 2.0, "a tick sets the next due time"


CHECKS = (_makes_a_timer_once, _sorts_and_removes_timers, _ticks_in_one_write)

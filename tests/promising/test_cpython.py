"""The private parts of CPython and anyio that the runtime reads, tried on the Python that runs the tests."""

import asyncio
import gc
import warnings
from contextvars import ContextVar
from typing import Any

import anyio
import pytest

from miniagents.promising import cpython
from miniagents.promising.stacks import suspended


async def _forever() -> None:
    await asyncio.get_running_loop().create_future()


async def _turn() -> None:
    """Let tasks that were made just now run until they wait."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


async def _end(*tasks: "asyncio.Task[Any]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_suspended_task_has_the_future_that_it_waits_for_and_one_that_runs_has_none() -> None:
    future = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        assert getattr(asyncio.current_task(), cpython.FUT_WAITER) is None
        await future

    task = asyncio.create_task(wait())
    await _turn()

    assert getattr(task, cpython.FUT_WAITER) is future
    future.set_result(None)
    await task


async def test_a_future_names_the_task_that_waits_for_it() -> None:
    future = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await future

    task = asyncio.create_task(wait())
    await _turn()

    assert [getattr(callback, "__self__", None) for callback in cpython.callbacks_of(future)] == [task]
    future.set_result(None)
    await task


async def test_a_gather_has_its_tasks_and_hears_of_an_end_in_the_next_turn() -> None:
    async def at_once() -> None:
        pass

    short, long = asyncio.create_task(at_once()), asyncio.create_task(_forever())
    gathered = asyncio.gather(short, long, short)
    heard = [number for callback in cpython.callbacks_of(long) if (number := cpython.heard_of(callback)) is not None]

    assert cpython.gathered_by(gathered) == [short, long]
    assert heard == [0]
    await _turn()
    heard = [number for callback in cpython.callbacks_of(long) if (number := cpython.heard_of(callback)) is not None]
    assert heard == [1]
    gathered.cancel()
    await asyncio.gather(gathered, return_exceptions=True)


async def test_what_is_no_gather_has_no_tasks_and_hears_of_nothing() -> None:
    future = asyncio.get_running_loop().create_future()

    assert cpython.gathered_by(future) is None
    assert cpython.heard_of(future.cancel) is None
    assert cpython.heard_of(lambda: None) is None


async def test_the_task_that_waits_at_the_end_of_a_group_leads_to_the_tasks_of_the_group() -> None:
    groups, inside = [], []

    async def with_group() -> None:
        async with asyncio.TaskGroup() as group:
            groups.append(group)
            inside.append(group.create_task(_forever()))

    task = asyncio.create_task(with_group())
    await _turn()
    *_, innermost = suspended(task.get_coro())
    waited = getattr(task, cpython.FUT_WAITER)

    assert cpython.parent_of(groups[0]) is task
    assert list(cpython.group_that_ends(innermost.cr_frame, waited)) == inside
    assert list(cpython.group_that_ends(innermost.cr_frame, asyncio.get_running_loop().create_future())) == []
    await _end(task)


async def test_a_task_that_waits_inside_of_a_group_waits_for_the_end_of_none() -> None:
    async def with_group() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(_forever())
            await _forever()

    task = asyncio.create_task(with_group())
    await _turn()
    *_, innermost = suspended(task.get_coro())

    assert list(cpython.group_that_ends(innermost.cr_frame, getattr(task, cpython.FUT_WAITER))) == []
    await _end(task)


async def test_a_task_has_the_context_that_it_was_started_in() -> None:
    variable = ContextVar("variable", default=0)
    variable.set(17)
    task = asyncio.create_task(_forever())
    variable.set(18)

    assert cpython.context_of(task).get(variable) == 17
    await _end(task)


async def test_the_current_task_can_be_another_one_for_a_while() -> None:
    loop, me, other = asyncio.get_running_loop(), asyncio.current_task(), asyncio.create_task(_forever())
    assert me is not None

    before = cpython.current_tasks.get(loop)
    cpython.current_tasks[loop] = other
    seen = asyncio.current_task()
    cpython.current_tasks[loop] = me

    assert before is me
    assert seen is other
    assert asyncio.current_task() is me
    await _end(other)


async def test_a_task_that_was_forgotten_is_none_of_the_loop_and_no_warning() -> None:
    reported: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: reported.append(context))
    never = loop.create_future()

    async def wait() -> None:
        await never

    task = asyncio.create_task(wait())
    await _turn()
    cpython.forget_task(task)

    assert task not in asyncio.all_tasks()
    for callback in tuple(cpython.callbacks_of(never)):
        never.remove_done_callback(callback)
    del task, callback
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()
    assert reported == []


async def test_anyio_knows_a_task_that_has_opened_a_scope_of_its() -> None:
    async def with_scope() -> None:
        with anyio.CancelScope():
            await _forever()

    task, plain = asyncio.create_task(with_scope()), asyncio.create_task(_forever())
    await _turn()

    assert cpython.is_known_to_anyio(task)
    assert not cpython.is_known_to_anyio(plain)
    await _end(task, plain)


def test_a_loop_tells_whether_it_has_threads_and_one_that_does_not_tell_is_left_alone() -> None:
    loop = asyncio.SelectorEventLoop()
    try:
        assert not cpython.has_default_executor(loop)
        loop.run_until_complete(loop.run_in_executor(None, int))
        assert cpython.has_default_executor(loop)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    uvloop = pytest.importorskip("uvloop")
    other = uvloop.new_event_loop()
    try:
        assert cpython.has_default_executor(other)
    finally:
        other.close()

"""Working slots: who works when, and what a limit counts."""

from __future__ import annotations

import asyncio

import pytest

from tests.pace import scaled, time_limit
from tools.core.slots import WorkSlots


async def test_no_more_work_than_there_are_slots_and_who_waits_for_a_model_has_none() -> None:
    slots = WorkSlots(2)
    working = most = 0
    asking = asyncio.Semaphore(0)

    async def run() -> None:
        nonlocal working, most
        async with slots.slot() as slot:
            for _ in range(3):
                working += 1
                most = max(most, working)
                await asyncio.sleep(0)
                working -= 1
                async with slot.given_up():
                    asking.release()
                    await asyncio.sleep(0.01)

    async with asyncio.timeout(time_limit()), asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(run())
        for _ in range(20):  # all ask at the same time, though two work
            await asking.acquire()
    assert most == 2


async def test_a_run_that_fails_or_is_cancelled_gives_its_slot_back() -> None:
    slots = WorkSlots(1)

    async def failing() -> None:
        async with slots.slot() as slot, slot.given_up():
            raise ValueError("no answer")

    async def waiting() -> None:
        async with slots.slot() as slot, slot.given_up():
            await asyncio.sleep(time_limit())

    async def working() -> None:
        async with slots.slot():
            await asyncio.sleep(time_limit())

    with pytest.raises(ValueError, match="no answer"):
        await failing()
    for start in (waiting, working, working):
        task = asyncio.create_task(start())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
    async with asyncio.timeout(time_limit()), slots.slot():
        pass


async def test_two_branches_of_a_run_have_one_slot() -> None:
    slots = WorkSlots(1)

    async with asyncio.timeout(time_limit()), slots.slot() as slot:

        async def branch(seconds: float) -> None:
            async with slot.given_up():
                await asyncio.sleep(seconds)

        await asyncio.gather(branch(0), branch(0.01), branch(0.02))
    async with asyncio.timeout(time_limit()), slots.slot():
        pass


async def test_a_limit_stands_still_while_its_run_waits_for_its_turn() -> None:
    slots, limit_seconds = WorkSlots(1), scaled(0.3)
    other = slots.slot()
    async with asyncio.timeout(limit_seconds) as limit, slots.slot() as slot:
        with slot.stopping(limit):
            async with slot.given_up():
                await other.__aenter__()
                asyncio.get_running_loop().call_later(2 * limit_seconds, _end, other)
            assert not limit.expired()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(limit_seconds) as limit, slots.slot() as slot:
            with slot.stopping(limit):
                async with slot.given_up():
                    await asyncio.sleep(2 * limit_seconds)


def _end(slot: object) -> None:
    slot._give_up()  # type: ignore[attr-defined]

"""Pacing: so many calls a second and no more."""

from __future__ import annotations

import asyncio

import pytest

from tools.llm.pacing import Pacer


async def test_turns_come_at_the_pace_first_come_first_served() -> None:
    pacer = Pacer(50)
    loop = asyncio.get_running_loop()
    came: list[tuple[int, float]] = []

    async def call(number: int) -> None:
        await pacer.turn()
        came.append((number, loop.time()))

    began = loop.time()
    await asyncio.gather(*(call(number) for number in range(6)))
    assert [number for number, _ in came] == list(range(6))
    for number, at in came:
        # The clock of a timer may be a thousandth of a second early.
        assert at - began >= number / 50 - 0.002


async def test_what_was_not_used_is_not_saved_up() -> None:
    pacer = Pacer(50)
    loop = asyncio.get_running_loop()
    await pacer.turn()
    later = loop.time() + 0.1
    while loop.time() < later:
        await asyncio.sleep(0.01)
    began = loop.time()
    await pacer.turn()
    await pacer.turn()
    assert loop.time() - began >= 1 / 50 - 0.002


async def test_a_caller_that_leaves_does_not_hold_up_the_others() -> None:
    pacer = Pacer(20)
    await pacer.turn()
    waiting = asyncio.create_task(pacer.turn())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(10):
        await pacer.turn()

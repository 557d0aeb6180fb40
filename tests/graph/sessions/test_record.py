"""The record of a session and its lock, on the real Redis."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from redis.asyncio.lock import Lock

from graph.sessions import record
from graph.sessions.record import LOCK_SECONDS, SessionRecords
from serve.context import AppContext
from tests.graph.sessions.test_sessions import BACKEND, error, finished, generated
from tests.offline import FOR_EVER, Offline
from tests.pace import scaled, time_limit
from tools.core.contracts import Wishes
from tools.core.errors import RunInProgressError, SessionNotFoundError, StoreUnavailableError
from tools.core.settings import Settings

REQUEST: dict[str, Any] = {"profile": {"desired_job": "백엔드 개발자"}, "language": "ko"}
HOUR = 60 * 60
HASTY_SECONDS = scaled(0.3)


@pytest.fixture
def records(app_context: AppContext, settings: Settings) -> SessionRecords:
    return SessionRecords(app_context.services.redis, settings)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Locks that live a moment, so that a lost one is noticed after a third of it."""
    monkeypatch.setattr(record, "LOCK_SECONDS", HASTY_SECONDS)


async def keys_of(app_context: AppContext, session_id: str) -> list[bytes]:
    return [key async for key in app_context.services.redis.scan_iter(f"*{session_id}*", count=1_000)]


async def test_a_record_comes_back_as_it_was_created(records: SessionRecords) -> None:
    created = await records.create("record-1", "ada", REQUEST)
    loaded = await records.load("record-1", "ada")
    assert (loaded.session_id, loaded.owner, loaded.request) == ("record-1", "ada", REQUEST)
    assert loaded.paid == created.paid == {}


@pytest.mark.parametrize("owner", ["", "bob", "Ada", "ada "])
async def test_a_record_is_its_owners_alone(records: SessionRecords, owner: str) -> None:
    await records.create("record-2", "ada", REQUEST)
    for asked in (records.load, records.forget):
        with pytest.raises(SessionNotFoundError) as refused:
            await asked("record-2", owner)
        assert refused.value.details == {"session_id": "record-2"}
    assert (await records.load("record-2", "ada")).request == REQUEST


async def test_somebody_elses_question_does_not_renew_a_session(
    records: SessionRecords, app_context: AppContext
) -> None:
    await records.create("record-3", "ada", REQUEST)
    await app_context.services.redis.expire("session:record-3", 100)
    with pytest.raises(SessionNotFoundError):
        await records.load("record-3", "bob")
    assert await app_context.services.redis.ttl("session:record-3") <= 100


async def test_an_unknown_record_is_not_found(records: SessionRecords) -> None:
    for asked in (records.load, records.forget):
        with pytest.raises(SessionNotFoundError):
            await asked("record-none", "")


async def test_a_forgotten_record_is_gone(records: SessionRecords, app_context: AppContext) -> None:
    await records.create("record-4", "ada", REQUEST)
    await records.forget("record-4", "ada")
    assert await keys_of(app_context, "record-4") == []
    with pytest.raises(SessionNotFoundError):
        await records.load("record-4", "ada")


async def test_a_session_at_work_is_not_forgotten(records: SessionRecords) -> None:
    await records.create("record-5", "ada", REQUEST)
    async with records.locked("record-5"):
        with pytest.raises(RunInProgressError):
            await records.forget("record-5", "ada")
        # Somebody else does not learn that it is at work.
        with pytest.raises(SessionNotFoundError):
            await records.forget("record-5", "bob")
    assert await records.load("record-5", "ada")


async def test_what_was_paid_for_is_kept_until_the_turn_is_settled(records: SessionRecords) -> None:
    record = await records.create("record-6", "ada", REQUEST)
    await record.record("q1", b"\x00\xff")
    await record.record("q2", "답".encode())
    again = await records.load("record-6", "ada")
    assert again.paid == {"q1": b"\x00\xff", "q2": "답".encode()}
    assert (await again.find("q1"), await again.find("q3")) == (b"\x00\xff", None)
    await records.clear_pending(again)
    settled = await records.load("record-6", "ada")
    assert (settled.paid, settled.request) == ({}, REQUEST)


async def test_settling_keeps_what_another_turn_has_paid_for(records: SessionRecords) -> None:
    record = await records.create("record-7", "ada", REQUEST)
    await record.record("old", b"1")
    other = await records.load("record-7", "ada")
    await other.record("new", b"2")
    await records.clear_pending(record)
    assert (await records.load("record-7", "ada")).paid == {"new": b"2"}


async def test_what_is_paid_for_after_the_end_of_a_session_does_not_bring_it_back(
    records: SessionRecords, app_context: AppContext
) -> None:
    """A key without a time to live would stay for ever, and one without an owner is nobody's."""
    record = await records.create("record-8", "ada", REQUEST)
    await app_context.services.redis.delete("session:record-8")
    with pytest.raises(StoreUnavailableError, match="gone from Redis"):
        await record.record("q", b"answer")
    try:
        with pytest.raises(SessionNotFoundError):
            await records.load("record-8", "ada")
        assert await keys_of(app_context, "record-8") == []
    finally:
        await app_context.services.redis.delete("session:record-8")


async def test_each_use_renews_every_key_a_session_owns(app_context: AppContext, offline: Offline) -> None:
    first = await generated(app_context)
    await offline.behave(faults=[{"kind": "server_error", "schema": "SubjectProposals"}])
    error(await finished(app_context.sessions.regenerate(first.session_id, Wishes())))
    keys = await keys_of(app_context, first.session_id)
    # A failed turn leaves nothing of the saver's behind.
    assert {key.split(b":")[0] for key in keys} == {b"session", b"checkpoint"}
    for key in keys:
        await app_context.services.redis.expire(key, 100)
    await app_context.sessions.view(first.session_id)
    for key in keys:
        assert HOUR - 10 < await app_context.services.redis.ttl(key) <= HOUR, key


async def test_every_key_of_a_forgotten_session_is_gone_even_after_a_failed_turn(
    app_context: AppContext, offline: Offline
) -> None:
    first = await generated(app_context)
    await offline.behave(faults=[{"kind": "server_error", "schema": "SubjectProposals"}])
    error(await finished(app_context.sessions.regenerate(first.session_id, Wishes())))
    await app_context.sessions.forget(first.session_id)
    assert await keys_of(app_context, first.session_id) == []


async def test_a_tiny_life_ends_without_a_key_left(app_context: AppContext, settings: Settings) -> None:
    brief = SessionRecords(
        app_context.services.redis, settings.model_copy(update={"session_ttl_minutes": 0.001})
    )
    await brief.create("record-9", "ada", REQUEST)
    await asyncio.sleep(1.1)
    assert await keys_of(app_context, "record-9") == []
    with pytest.raises(SessionNotFoundError):
        await brief.load("record-9", "ada")


async def test_a_second_run_is_refused_at_once(records: SessionRecords) -> None:
    async with records.locked("lock-1"):
        began = time.monotonic()
        with pytest.raises(RunInProgressError) as refused:
            async with records.locked("lock-1"):
                pytest.fail("two runs at once")
        assert time.monotonic() - began < scaled(0.5)
        assert refused.value.details == {"session_id": "lock-1"}
        async with records.locked("lock-2"):
            pass  # another session is another lock


async def test_a_refused_run_does_not_free_the_session(records: SessionRecords) -> None:
    async with records.locked("lock-3"):
        for _ in range(2):
            with pytest.raises(RunInProgressError):
                async with records.locked("lock-3"):
                    pytest.fail("two runs at once")


@pytest.mark.parametrize("failure", [ValueError, asyncio.CancelledError])
async def test_a_run_that_fails_frees_its_session_and_its_failure_gets_out(
    records: SessionRecords, failure: type[BaseException]
) -> None:
    with pytest.raises(failure):
        async with records.locked("lock-4"):
            raise failure
    async with records.locked("lock-4"):
        pass


@pytest.mark.usefixtures("hasty")
async def test_a_living_run_keeps_its_session_beyond_the_locks_life(records: SessionRecords) -> None:
    async with records.locked("lock-5"):
        for _ in range(8):
            await asyncio.sleep(HASTY_SECONDS / 3)
            with pytest.raises(RunInProgressError):
                async with records.locked("lock-5"):
                    pytest.fail("two runs at once")


async def test_a_renewal_that_gets_no_answer_is_tried_again_before_the_lock_ends(
    records: SessionRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    renew, asked = Lock.reacquire, []

    async def now_and_then(self: Lock) -> bool:
        asked.append(self.name)
        if len(asked) % 2:
            await asyncio.sleep(time_limit())
        return await renew(self)

    monkeypatch.setattr(record, "LOCK_SECONDS", scaled(1.5))
    monkeypatch.setattr(Lock, "reacquire", now_and_then)
    async with records.locked("lock-8"):
        while len(asked) < 4:
            await asyncio.sleep(HASTY_SECONDS / 10)
        with pytest.raises(RunInProgressError):
            async with records.locked("lock-8"):
                pytest.fail("two runs at once")


@pytest.mark.usefixtures("hasty")
async def test_a_run_ends_although_its_renewal_does_not_hear_that_it_is_cancelled(
    records: SessionRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As happens when the cancellation meets the end of a command."""
    asked = asyncio.Event()

    async def deaf(_: Lock) -> bool:
        asked.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(time_limit())
        return True

    monkeypatch.setattr(Lock, "reacquire", deaf)
    async with asyncio.timeout(scaled(10)):
        async with records.locked("lock-9"):
            await asked.wait()


async def test_the_lock_of_a_dead_run_frees_itself_within_seconds(
    records: SessionRecords, app_context: AppContext
) -> None:
    dead = app_context.services.redis.lock("session-lock:lock-6", timeout=LOCK_SECONDS, thread_local=False)
    assert await dead.acquire(blocking=False)
    began = time.monotonic()
    with pytest.raises(RunInProgressError):
        async with records.locked("lock-6"):
            pytest.fail("two runs at once")
    async with asyncio.timeout(LOCK_SECONDS + scaled(1)):
        while True:
            try:
                async with records.locked("lock-6"):
                    break
            except RunInProgressError:
                await asyncio.sleep(0.05)
    assert time.monotonic() - began > 1


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("taken", [False, True])
async def test_a_lost_lock_cancels_its_holder_with_a_typed_error(
    records: SessionRecords, app_context: AppContext, taken: bool
) -> None:
    began = time.monotonic()
    with pytest.raises(StoreUnavailableError) as lost:
        async with records.locked("lock-7"):
            await app_context.services.redis.delete("session-lock:lock-7")
            if taken:
                await app_context.services.redis.set(
                    "session-lock:lock-7", "another", px=round(scaled(60) * 1_000)
                )
            await asyncio.sleep(time_limit())
    assert time.monotonic() - began < scaled(2)
    assert lost.value.details == {"store": "redis", "session_id": "lock-7"}
    holder = asyncio.current_task()
    assert holder is not None
    assert not holder.cancelling()
    # What another run holds by then is not freed by the one that lost it.
    assert await app_context.services.redis.get("session-lock:lock-7") == (b"another" if taken else None)
    await app_context.services.redis.delete("session-lock:lock-7")


async def test_a_session_forgotten_just_before_a_turn_stays_forgotten(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await generated(app_context)
    locked = SessionRecords.locked

    def locked_late(self: SessionRecords, session_id: str) -> Any:
        monkeypatch.undo()  # the run has loaded the record; another worker is quicker with the lock
        return _Forgotten(app_context, session_id, locked(self, session_id))

    monkeypatch.setattr(SessionRecords, "locked", locked_late)
    events = await finished(app_context.sessions.regenerate(first.session_id, Wishes()))
    assert error(events)["code"] == "session_not_found"
    assert await keys_of(app_context, first.session_id) == []


@dataclass
class _Forgotten:
    """Forgets a session, then locks it."""

    app_context: AppContext
    session_id: str
    lock: Any

    async def __aenter__(self) -> None:
        await self.app_context.sessions.forget(self.session_id)
        await self.lock.__aenter__()

    async def __aexit__(self, *raised: Any) -> Any:
        return await self.lock.__aexit__(*raised)


async def test_a_run_that_lost_its_session_ends_in_an_error_event(
    app_context: AppContext, offline: Offline, hasty: None
) -> None:
    await offline.behave(latency={"mean_seconds": FOR_EVER, "deviation_seconds": 0})
    events = []
    async for event in app_context.sessions.generate(BACKEND, "ko"):
        events.append(event)
        if event["node"] == "filter_jobs":
            async for key in app_context.services.redis.scan_iter("session-lock:*"):
                await app_context.services.redis.delete(key)
    assert error(events)["code"] == "store_unavailable"

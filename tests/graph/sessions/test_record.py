"""The record of a session and its lock, on the real Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import OutOfMemoryError

from graph.sessions import lease as lease_module
from graph.sessions import record
from graph.sessions.checkpointer import PendingTurn, TurnSaver
from graph.sessions.lease import RELEASE, WorkerLease, open_lease
from graph.sessions.record import SessionRecord, SessionRecords
from serve.context import AppContext
from tests.graph.sessions.test_sessions import BACKEND, error, finished, generated, result
from tests.offline import Offline
from tests.pace import scaled, time_limit
from tools.core.contracts import Wishes
from tools.core.errors import RunInProgressError, SessionNotFoundError, StoreUnavailableError
from tools.core.settings import Settings

REQUEST: dict[str, Any] = {"profile": {"desired_job": "백엔드 개발자"}, "language": "ko"}
HOUR = 60 * 60
HASTY_SECONDS = scaled(0.5)


@pytest.fixture
async def lease(settings: Settings) -> AsyncIterator[WorkerLease]:
    async with open_lease(settings) as opened:
        yield opened


@pytest.fixture
def records(app_context: AppContext, settings: Settings, lease: WorkerLease) -> SessionRecords:
    return SessionRecords(app_context.services.redis, settings, lease)


@pytest.fixture
async def other_records(app_context: AppContext, settings: Settings) -> AsyncIterator[SessionRecords]:
    """Those of another worker."""
    async with open_lease(settings) as opened:
        yield SessionRecords(app_context.services.redis, settings, opened)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that live a moment."""
    monkeypatch.setattr(lease_module, "LEASE_SECONDS", HASTY_SECONDS)
    monkeypatch.setattr(lease_module, "RENEW_SECONDS", HASTY_SECONDS / 10)


@pytest.fixture(scope="session")
def redis_url(settings: Settings) -> str:
    assert settings.redis_url is not None
    return settings.redis_url


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
    async with records.locked("record-6") as record.lock:
        await record.record("q1", b"\x00\xff")
        await record.record("q2", "답".encode())
    again = await records.load("record-6", "ada")
    assert again.paid == {"q1": b"\x00\xff", "q2": "답".encode()}
    assert (await again.find("q1"), await again.find("q3")) == (b"\x00\xff", None)
    await records.clear_pending(again)
    settled = await records.load("record-6", "ada")
    assert (settled.paid, settled.request) == ({}, REQUEST)


async def test_a_turn_ends_in_one_step(records: SessionRecords, app_context: AppContext) -> None:
    redis = app_context.services.redis
    record = await records.create("record-12", "ada", REQUEST)
    async with records.locked("record-12") as record.lock:
        await record.record("q", b"answer")
        await record.end_turn("checkpoint:record-12:", "c-1", b'{"checkpoint_id": "c-1"}')
        # The lock is another's by now, and is not freed by the first when it leaves.
        async with records.locked("record-12"):
            # The client asks again where an answer was lost on its way: that changes nothing.
            await record.end_turn("checkpoint:record-12:", "c-1", b'{"checkpoint_id": "c-1"}')
            assert await redis.exists(record.lock.key)
            with pytest.raises(StoreUnavailableError, match="another run"):
                await record.end_turn("checkpoint:record-12:", "c-2", b'{"checkpoint_id": "c-2"}')
    assert (await records.load("record-12", "ada")).paid == {}
    assert await redis.json().get("checkpoint:record-12:") == {"checkpoint_id": "c-1"}
    assert 0 < await redis.ttl("checkpoint:record-12:") <= HOUR


async def test_a_turn_for_which_redis_is_too_full_has_not_ended(
    records: SessionRecords, app_context: AppContext
) -> None:
    redis = app_context.services.redis
    record = await records.create("record-13", "ada", REQUEST)
    async with records.locked("record-13") as record.lock:
        await record.record("q", b"answer")
        before = await redis.config_get("maxmemory")
        await redis.config_set("maxmemory", 1)
        try:
            with pytest.raises(OutOfMemoryError):
                await record.end_turn("checkpoint:record-13:", "c-1", b'{"checkpoint_id": "c-1"}')
        finally:
            await redis.config_set("maxmemory", before["maxmemory"])
        with pytest.raises(RunInProgressError):
            async with records.locked("record-13"):
                pass
    assert (await records.load("record-13", "ada")).paid == {"q": b"answer"}


async def test_settling_keeps_what_another_turn_has_paid_for(records: SessionRecords) -> None:
    record = await records.create("record-7", "ada", REQUEST)
    async with records.locked("record-7") as record.lock:
        await record.record("old", b"1")
    other = await records.load("record-7", "ada")
    async with records.locked("record-7") as other.lock:
        await other.record("new", b"2")
    await records.clear_pending(record)
    assert (await records.load("record-7", "ada")).paid == {"new": b"2"}


async def test_what_is_paid_for_after_the_end_of_a_session_does_not_bring_it_back(
    records: SessionRecords, app_context: AppContext
) -> None:
    """A key without a time to live would stay for ever, and one without an owner is nobody's."""
    record = await records.create("record-8", "ada", REQUEST)
    await app_context.services.redis.delete("session:record-8")
    async with records.locked("record-8") as record.lock:
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


async def test_a_tiny_life_ends_without_a_key_left(
    app_context: AppContext, settings: Settings, lease: WorkerLease
) -> None:
    tiny = settings.model_copy(update={"session_ttl_minutes": 0.001})
    brief = SessionRecords(app_context.services.redis, tiny, lease)
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


async def test_a_loop_that_is_blocked_for_longer_than_the_lease_keeps_its_session(
    hasty: None, records: SessionRecords, other_records: SessionRecords
) -> None:
    async with records.locked("lock-5"):
        time.sleep(3 * HASTY_SECONDS)  # nothing on the loop goes on meanwhile
        with pytest.raises(RunInProgressError):
            async with other_records.locked("lock-5"):
                pytest.fail("two runs at once")


async def test_the_lock_of_a_dead_worker_frees_itself_with_its_lease(
    hasty: None, settings: Settings, app_context: AppContext, other_records: SessionRecords
) -> None:
    redis = app_context.services.redis
    dead = WorkerLease(settings)
    await asyncio.to_thread(dead.start)
    locked = SessionRecords(redis, settings, dead).locked("lock-6")
    await locked.__aenter__()
    _stop_renewing(dead)
    with pytest.raises(RunInProgressError):
        async with other_records.locked("lock-6"):
            pytest.fail("two runs at once")
    async with asyncio.timeout(HASTY_SECONDS + time_limit() / 10):
        while await redis.exists(f"worker:{dead.worker_id}"):
            await asyncio.sleep(0.02)
    async with other_records.locked("lock-6"):
        await locked.__aexit__(None, None, None)  # what another holds by then is not freed
        with pytest.raises(RunInProgressError):
            async with other_records.locked("lock-6"):
                pytest.fail("two runs at once")


async def test_a_run_whose_session_was_taken_is_cancelled_with_a_typed_error(
    hasty: None, records: SessionRecords, lease: WorkerLease, app_context: AppContext
) -> None:
    redis = app_context.services.redis
    with pytest.raises(StoreUnavailableError) as lost:
        async with asyncio.timeout(time_limit()), records.locked("lock-7"):
            # As where the worker stood still for longer than its lease lives.
            await redis.set("session-lock:lock-7", "another:1")
            await redis.delete(f"worker:{lease.worker_id}")
            await asyncio.sleep(time_limit())
    assert lost.value.details == {"store": "redis", "session_id": "lock-7"}
    holder = asyncio.current_task()
    assert holder is not None
    assert not holder.cancelling()
    # What another run holds by then is not freed by the one that lost it.
    assert await redis.getdel("session-lock:lock-7") == b"another:1"


async def test_a_run_whose_lease_ended_goes_on_where_nobody_took_its_session(
    hasty: None, records: SessionRecords, lease: WorkerLease, app_context: AppContext
) -> None:
    record = await records.create("record-10", "ada", REQUEST)
    async with records.locked("record-10") as record.lock:
        await app_context.services.redis.delete(f"worker:{lease.worker_id}")
        async with asyncio.timeout(time_limit()):
            while not await app_context.services.redis.exists(f"worker:{lease.worker_id}"):
                await asyncio.sleep(0.02)
        await record.record("q", b"answer")
    assert (await records.load("record-10", "ada")).paid == {"q": b"answer"}


async def test_a_run_that_another_has_replaced_records_nothing(
    records: SessionRecords, app_context: AppContext
) -> None:
    record = await records.create("record-11", "ada", REQUEST)
    async with records.locked("record-11") as record.lock:
        await app_context.services.redis.set("session-lock:record-11", "another:1")
        with pytest.raises(StoreUnavailableError, match="another run"):
            await record.record("q", b"answer")
    assert await app_context.services.redis.getdel("session-lock:record-11") == b"another:1"
    assert (await records.load("record-11", "ada")).paid == {}


async def test_a_lock_whose_release_is_broken_off_is_freed_all_the_same(
    hasty: None, records: SessionRecords, other_records: SessionRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def cancelled(*_: Any) -> None:
        raise asyncio.CancelledError

    with monkeypatch.context() as patch, pytest.raises(asyncio.CancelledError):
        async with records.locked("lock-8"):
            patch.setattr(records._redis, "eval", cancelled)
    async with asyncio.timeout(time_limit()):
        while True:
            with suppress(RunInProgressError):
                async with other_records.locked("lock-8"):
                    break
            await asyncio.sleep(0.02)


class Act(StrEnum):
    """What happens to one of the workers."""

    LOCKS = "locks"
    FREES = "frees"
    WRITES = "writes"
    STOPS = "its lease ends"
    WAKES = "its lease begins anew"


@given(st.lists(st.tuples(st.sampled_from(Act), st.integers(0, 2)), max_size=30))
def test_whatever_happens_only_the_holder_writes(redis_url: str, acts: list[tuple[Act, int]]) -> None:
    """Three workers and one session, on the real scripts."""
    redis = Redis.from_url(redis_url)
    workers = [f"property-{number}" for number in range(3)]
    redis.delete("session-lock:property", *(f"worker:{worker}" for worker in workers))
    redis.hset("session:property", "owner", "")
    alive: set[int] = set()
    holder: tuple[int, str] | None = None
    tokens = [""] * 3
    for number, (act, worker) in enumerate(acts):
        name = f"worker:{workers[worker]}"
        match act:
            case Act.STOPS:
                redis.delete(name)
                alive.discard(worker)
            case Act.WAKES:
                redis.set(name, 0)
                alive.add(worker)
            case Act.LOCKS:
                token = f"{workers[worker]}:{number}"
                free = holder is None or holder[0] not in alive
                assert redis.eval(record._LOCK, 1, "session-lock:property", token, 60) == free
                if free:
                    holder = worker, token
                    tokens[worker] = token
            case Act.FREES:
                redis.eval(RELEASE, 1, "session-lock:property", tokens[worker])
                if holder == (worker, tokens[worker]):
                    holder = None
            case Act.WRITES:
                arguments = ("paid:q", b"", 60, tokens[worker])
                told = redis.eval(record._RECORD, 2, "session:property", "session-lock:property", *arguments)
                assert (told == b"done") == (holder == (worker, tokens[worker]))
    redis.delete("session:property", "session-lock:property", *(f"worker:{worker}" for worker in workers))
    redis.close()


def _stop_renewing(lease: WorkerLease) -> None:
    """As the death of its process would."""
    lease._ending.set()
    lease._thread.join()


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


async def test_a_run_that_lost_its_session_as_it_was_saving_ends_in_an_error_event_and_saves_nothing(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis, save = app_context.services.redis, TurnSaver.save

    async def save_late(self: TurnSaver, turn: PendingTurn, record: SessionRecord) -> None:
        assert record.lock is not None
        await redis.set(record.lock.key, "another:1")
        await save(self, turn, record)

    with monkeypatch.context() as patch:
        patch.setattr(TurnSaver, "save", save_late)
        failure = error(await finished(app_context.sessions.generate(BACKEND, "ko")))
    assert failure["code"] == "store_unavailable"
    session_id = failure["details"]["session_id"]
    assert not await redis.exists(f"checkpoint:{session_id}:")
    # The other's worker has no lease, so the session is free.
    assert result(await finished(app_context.sessions.regenerate(session_id, Wishes())))

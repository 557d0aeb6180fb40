"""Workers that follow what is in force, and what they do when Redis or the code is another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import orjson
import psycopg
import pytest
from psycopg_pool import PoolTimeout
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tests.langsmith import LangSmith
from tests.pace import scaled, time_limit
from tests.tools.prompts.conftest import FILES, NAMED, Opened, commit_all
from tests.tools.prompts.test_changes import FILTER, newest_change, versions
from tools.core.errors import SetupError, StoreUnavailableError
from tools.core.settings import ModelChoice
from tools.prompts import active_set
from tools.prompts.active_set import ActiveSetStore
from tools.prompts.prompt import PromptFile
from tools.prompts.registry import Watcher

FOLLOWED_SECONDS = 2.0


async def happens(what: Callable[[], object], *, within: float | None = None) -> None:
    async with asyncio.timeout(within or time_limit()):
        while not what():
            await asyncio.sleep(0.01)


async def test_workers_follow_a_reload_and_a_pin_within_two_seconds(
    opened: Opened, standin: LangSmith
) -> None:
    first = commit_all(standin, "첫째")
    async with opened() as one, opened() as other, opened() as third:
        second = commit_all(standin, "둘째")
        await one.reload("ada", {"summarize": ModelChoice(model="large")})
        for worker in (other, third):
            await happens(lambda w=worker: versions(w) == second, within=scaled(FOLLOWED_SECONDS))  # type: ignore[misc]
            assert worker.registry.current.version == one.registry.current.version
            assert worker.registry.get("summarize", "ko").model.model == "large"
        # A pin at what is in force anyway changes no prompt, and is shown all the same.
        await other.pin(FILTER, second[FILTER], "bob")
        await happens(lambda: one.registry.active == other.registry.active, within=scaled(FOLLOWED_SECONDS))
        assert one.registry.active
        assert one.registry.active.prompts[FILTER].by == "bob"
    assert first != second


async def test_a_missed_announcement_heals_itself(opened: Opened, standin: LangSmith, redis: Redis) -> None:
    commit_all(standin, "첫째")
    async with opened() as one, opened() as other:
        second = commit_all(standin, "둘째")
        candidate = await one.reload("ada")
        await happens(lambda: versions(other) == second)
        # As another machine would write it, but without a word to anybody.
        held = candidate.prompts[FILTER].model_copy(update={"pin": "quiet"})
        quiet = candidate.model_copy(update={"prompts": {**candidate.prompts, FILTER: held}})
        await redis.mset({"prompts:in-force": quiet.model_dump_json(), "prompts:version": quiet.version})
        for worker in (one, other):
            await happens(lambda w=worker: w.registry.active == quiet, within=scaled(FOLLOWED_SECONDS))  # type: ignore[misc]


async def test_a_redis_that_was_emptied_is_filled_again_by_its_workers(
    opened: Opened, standin: LangSmith, redis: Redis
) -> None:
    first = commit_all(standin, "첫째")
    async with opened() as worker:
        await worker.pin(FILTER, first[FILTER], "ada")
        commit_all(standin, "둘째")
        await redis.flushdb()
        store = ActiveSetStore(redis)
        async with asyncio.timeout(time_limit()):
            while await store.read() is None:
                await asyncio.sleep(0.01)
        assert await store.read() == worker.registry.active
        async with opened() as new:
            assert versions(new) == versions(worker) == first
            assert new.registry.active
            assert new.registry.active.prompts[FILTER].pin == first[FILTER]


def narrower(file: PromptFile) -> PromptFile:
    """The file of other code, whose node supplies one block less."""
    contract = file.contract.model_copy(update={"blocks": file.contract.blocks[:-1]})
    human = "\n".join(f"{{{name}}}" for name in contract.blocks)
    return PromptFile(contract, type(file.texts)(file.texts.system, human))


@pytest.fixture
def newer_code(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on, workers that start are of newer code, whose `filter_jobs` is given less."""

    def become() -> None:
        def bundled(*_: str) -> list[PromptFile]:
            return [narrower(file) if key == FILTER else file for key, file in FILES.items()]

        monkeypatch.setattr("tools.prompts.prompt.bundled", bundled)

    return become


async def test_a_rolling_deploy_leaves_each_worker_prompts_that_fit_its_code(
    opened: Opened, standin: LangSmith, newer_code: Callable[[], None]
) -> None:
    first = commit_all(standin, "첫째")
    async with opened() as old:
        newer_code()
        async with opened() as new:
            # What is in force does not fit, and the hub has nothing better yet.
            assert FILTER in str(new.registry.own_warning)
            assert "bundled" in str(new.registry.own_warning)
            assert versions(new) == {}
            assert versions(old) == first
            fitting = narrower(FILES[FILTER]).texts
            standin.commit("filter-ko", [("system", fitting.system), ("human", fitting.human)])
            await new.reload("ada")
            assert new.registry.own_warning is None
            assert set(versions(new)) == set(NAMED)
            await happens(lambda: old.registry.own_warning)
            assert "last good" in str(old.registry.own_warning)
            assert versions(old) == first


async def test_a_set_that_cannot_be_read_is_a_warning(
    opened: Opened, standin: LangSmith, redis: Redis
) -> None:
    first = commit_all(standin, "첫째")
    async with opened() as worker:
        await redis.mset({"prompts:in-force": orjson.dumps({"prompts": 5}), "prompts:version": "other"})
        await happens(lambda: worker.registry.own_warning)
        assert versions(worker) == first
        await worker.reload("ada")
        assert worker.registry.own_warning is None


async def test_a_model_for_a_purpose_that_there_is_not_is_told_at_start(opened: Opened) -> None:
    with pytest.raises(SetupError, match="CHECKERBOARD_MODELS: no such purpose: sumarise"):
        async with opened(models={"sumarise": ModelChoice(model="large")}):
            pass


async def test_without_redis_nothing_changes(
    opened: Opened, standin: LangSmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = commit_all(standin, "첫째")
    async with opened() as worker:
        before = await newest_change(worker)
        commit_all(standin, "둘째")
        nowhere = Redis(unix_socket_path="/nowhere/redis.sock", retry=Retry(NoBackoff(), 0))
        monkeypatch.setattr(worker._store, "_redis", nowhere)
        with pytest.raises(StoreUnavailableError):
            await worker.reload("ada")
        assert versions(worker) == first
        assert await newest_change(worker) == before
        await nowhere.aclose()


async def test_what_cannot_be_recorded_is_not_changed(
    opened: Opened, standin: LangSmith, redis: Redis
) -> None:
    first = commit_all(standin, "첫째")
    async with opened() as worker, opened() as other:
        pool = worker.audit_log._pool
        async with pool.connection() as connection:
            await connection.execute("alter table prompt_changes rename to elsewhere")
        stored = await redis.get("prompts:in-force")
        try:
            with pytest.raises((psycopg.Error, PoolTimeout)):
                await worker.reload("ada", {"summarize": ModelChoice(model="large")})
        finally:
            async with pool.connection() as connection:
                await connection.execute("alter table elsewhere rename to prompt_changes")
        assert await redis.get("prompts:in-force") == stored
        assert versions(worker) == versions(other) == first
        assert worker.registry.get("summarize", "ko").model.model is None
        await worker.reload("ada")


async def test_a_change_that_redis_does_not_take_leaves_no_record(
    opened: Opened, standin: LangSmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_all(standin, "첫째")
    async with opened() as worker:
        before = await newest_change(worker)

        async def refuse(*_: object, **__: object) -> None:
            raise RedisError("full")

        monkeypatch.setattr(worker._store, "write", refuse)
        with pytest.raises(RedisError):
            await worker.reload("ada", {"summarize": ModelChoice(model="large")})
        assert await newest_change(worker) == before


async def test_a_change_that_hangs_is_broken_off_before_another_may_begin(
    opened: Opened, standin: LangSmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = commit_all(standin, "첫째")
    assert active_set.CHANGE_SECONDS < active_set.LOCK_SECONDS < active_set.LOCK_WAIT_SECONDS
    async with opened() as worker:
        commit_all(standin, "둘째")
        async with worker.audit_log._pool.connection() as connection, connection.transaction():
            await connection.execute("lock table prompt_changes in access exclusive mode")
            monkeypatch.setattr(active_set, "CHANGE_SECONDS", 0.2)
            with pytest.raises(StoreUnavailableError, match="broken off"):
                await worker.reload("ada")
            assert versions(worker) == first
        monkeypatch.undo()
        await worker.reload("ada")


async def test_a_start_that_cannot_be_recorded_is_a_warning(opened: Opened, standin: LangSmith) -> None:
    first = commit_all(standin, "첫째")
    async with opened() as worker:
        commit_all(standin, "둘째")
        async with worker.audit_log._pool.connection() as connection:
            await connection.execute("alter table prompt_changes rename to elsewhere")
        try:
            async with opened(newest=True) as started:
                assert versions(started) == first
                assert started.registry.shared_warning
        finally:
            async with worker.audit_log._pool.connection() as connection:
                await connection.execute("alter table elsewhere rename to prompt_changes")


async def test_the_warning_of_a_start_that_had_to_give_up_stays(
    opened: Opened, standin: LangSmith, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_all(standin, "첫째")
    monkeypatch.setattr(active_set, "LOCK_WAIT_SECONDS", 0.05)
    async with ActiveSetStore(redis).locked(), opened(newest=True) as worker:
        await Watcher(worker.registry, worker._store, redis).poll()
        assert "Another change" in str(worker.registry.shared_warning)


async def test_a_lock_that_is_not_given_back_is_said(
    opened: Opened, standin: LangSmith, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_all(standin, "첫째")
    async with opened() as worker:
        monkeypatch.setattr(active_set, "LOCK_WAIT_SECONDS", 0.05)
        async with ActiveSetStore(redis).locked():
            with pytest.raises(StoreUnavailableError, match="Another change"):
                await worker.reload("ada")
        await worker.reload("ada")

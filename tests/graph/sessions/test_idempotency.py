"""Idempotency keys, on the real Redis."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from graph.sessions.record import IdempotencyKeys
from graph.sessions.sessions import ANYONE, Caller
from serve.context import AppContext
from tests.graph.sessions.test_sessions import BACKEND, error, finished, generated, result
from tests.offline import Offline
from tools.core.contracts import Wishes
from tools.core.errors import IdempotencyConflictError
from tools.core.settings import Settings

ANSWER: dict[str, Any] = {"project": {"title": "정산 서버"}, "session_id": "s-1"}
REQUEST = ["generate", {"profile": {"desired_job": "백엔드 개발자"}}]


@pytest.fixture
def keys(app_context: AppContext, settings: Settings) -> IdempotencyKeys:
    return IdempotencyKeys(app_context.services.redis, settings)


@pytest.fixture
def key() -> str:
    return uuid.uuid4().hex


async def test_the_first_request_claims_its_key(
    keys: IdempotencyKeys, key: str, app_context: AppContext
) -> None:
    attempt = await keys.begin("ada", key, REQUEST, "s-1")
    assert (attempt.first, attempt.session_id, attempt.answer) == (True, "s-1", None)
    assert 0 < await app_context.services.redis.ttl(attempt.key) <= 60 * 60


async def test_the_second_works_on_the_session_of_the_first(keys: IdempotencyKeys, key: str) -> None:
    await keys.begin("ada", key, REQUEST, "s-1")
    again = await keys.begin("ada", key, REQUEST, "s-2")
    assert (again.first, again.session_id, again.answer) == (False, "s-1", None)


async def test_a_finished_request_gives_its_answer_again(keys: IdempotencyKeys, key: str) -> None:
    first = await keys.begin("ada", key, REQUEST, "s-1")
    await keys.finish(first, ANSWER)
    for _ in range(2):
        again = await keys.begin("ada", key, REQUEST, "s-2")
        assert (again.first, again.session_id, again.answer) == (False, "s-1", ANSWER)


async def test_the_order_of_fields_makes_no_other_request(keys: IdempotencyKeys, key: str) -> None:
    await keys.begin("ada", key, {"a": 1, "b": {"c": 2, "d": 3}}, "s-1")
    assert not (await keys.begin("ada", key, {"b": {"d": 3, "c": 2}, "a": 1}, "s-2")).first


@pytest.mark.parametrize("finished_first", [False, True])
async def test_another_request_with_the_key_is_a_conflict(
    keys: IdempotencyKeys, key: str, finished_first: bool
) -> None:
    first = await keys.begin("ada", key, REQUEST, "s-1")
    if finished_first:
        await keys.finish(first, ANSWER)
    with pytest.raises(IdempotencyConflictError):
        await keys.begin("ada", key, ["regenerate"], "s-2")
    assert not (await keys.begin("ada", key, REQUEST, "s-3")).first


async def test_owners_do_not_share_keys(keys: IdempotencyKeys, key: str) -> None:
    await keys.finish(await keys.begin("ada", key, REQUEST, "s-1"), ANSWER)
    other = await keys.begin("bob", key, ["another"], "s-2")
    assert (other.first, other.session_id, other.answer) == (True, "s-2", None)


async def test_no_owner_can_write_a_key_that_is_anothers(keys: IdempotencyKeys, key: str) -> None:
    pairs = [("a", f"b{key}"), ("ab", key), ("a:b", key), ("a", f"b:{key}"), ("a,b", key), ("", f"ab{key}")]
    attempts = [await keys.begin(owner, named, REQUEST, "s") for owner, named in pairs]
    assert len({attempt.key for attempt in attempts}) == len(pairs)
    assert all(attempt.first for attempt in attempts)


async def test_of_many_at_once_one_is_the_first(keys: IdempotencyKeys, key: str) -> None:
    begun = await asyncio.gather(*(keys.begin("ada", key, REQUEST, f"s-{n}") for n in range(40)))
    assert [attempt.first for attempt in begun].count(True) == 1
    assert len({attempt.session_id for attempt in begun}) == 1


async def test_a_key_expires_with_its_session(app_context: AppContext, settings: Settings, key: str) -> None:
    brief = IdempotencyKeys(
        app_context.services.redis, settings.model_copy(update={"session_ttl_minutes": 0.001})
    )
    await brief.finish(await brief.begin("ada", key, REQUEST, "s-1"), ANSWER)
    await asyncio.sleep(1.1)
    assert (await brief.begin("ada", key, ["another"], "s-2")).first


async def test_a_request_whose_claim_expired_can_be_asked_again(
    keys: IdempotencyKeys, key: str, app_context: AppContext
) -> None:
    """A run may outlive a short session, or Redis may have been emptied meanwhile."""
    first = await keys.begin("ada", key, REQUEST, "s-1")
    await app_context.services.redis.delete(first.key)
    await keys.finish(first, ANSWER)
    again = await keys.begin("ada", key, REQUEST, "s-2")
    assert again.first or again.answer == ANSWER


async def test_a_late_answer_is_not_given_to_another_request(
    keys: IdempotencyKeys, key: str, app_context: AppContext
) -> None:
    late = await keys.begin("ada", key, REQUEST, "s-1")
    await app_context.services.redis.delete(late.key)  # expired
    await keys.begin("ada", key, ["another"], "s-2")
    await keys.finish(late, ANSWER)
    again = await keys.begin("ada", key, ["another"], "s-3")
    assert (again.session_id, again.answer) == ("s-2", None)


async def test_the_same_key_gives_the_same_answer_once_paid(
    app_context: AppContext, offline: Offline, key: str
) -> None:
    caller = Caller(idempotency_key=key)
    first = result(await finished(app_context.sessions.generate(BACKEND, "ko", caller)))
    paid = (await offline.calls())["total"]
    assert result(await finished(app_context.sessions.generate(BACKEND, "ko", caller))) == first
    assert (await offline.calls())["total"] == paid


async def test_a_key_from_before_there_were_weeks_to_wish_for_names_the_same_request(
    app_context: AppContext, keys: IdempotencyKeys, key: str
) -> None:
    session = (await generated(app_context)).session_id
    wishes = {"subject_id": None, "difficulty": "beginner", "skills": [], "feedback": None}
    await keys.begin(ANYONE.owner, key, ["regenerate", session, wishes], session)
    caller = Caller(idempotency_key=key)
    sessions = app_context.sessions
    longer = await finished(sessions.regenerate(session, Wishes(difficulty="beginner", weeks=2), caller))
    assert error(longer)["code"] == "idempotency_conflict"
    result(await finished(sessions.regenerate(session, Wishes(difficulty="beginner"), caller)))


async def test_nothing_of_a_forgotten_session_is_left_in_any_value(app_context: AppContext, key: str) -> None:
    answer = result(await finished(app_context.sessions.generate(BACKEND, "ko", Caller(idempotency_key=key))))
    await app_context.sessions.forget(answer.session_id)
    texts = [name async for name in app_context.services.redis.scan_iter("*", count=1_000, _type="string")]
    values = [await app_context.services.redis.get(name) or b"" for name in texts]
    assert not [value[:200] for value in values if answer.session_id.encode() in value]

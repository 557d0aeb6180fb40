"""What ends a run, as an error of the service: its words, and where it arose."""

from __future__ import annotations

import asyncio
import gc
import logging
import traceback

import psycopg
import pytest

from graph.errors import run_limit, to_service_error
from serve.context import AppContext
from tests.offline import Offline
from tests.pace import scaled
from tests.serve.conftest import client_of
from tools.core.contracts import Profile
from tools.core.errors import InternalError, ModelUnavailableError
from tools.core.settings import Settings
from tools.postings.repository import PostingStore

PROFILE = Profile(desired_job="백엔드 개발자")


async def test_a_run_that_takes_too_long_says_so_and_that_the_session_is_kept() -> None:
    with pytest.raises(ModelUnavailableError, match=r"The run took longer .* session.* is kept") as ended:
        async with run_limit(0.01):
            await asyncio.sleep(60)
    assert ended.value.cause == "run_timeout"


async def test_a_time_out_of_something_else_is_not_the_run_s() -> None:
    with pytest.raises(TimeoutError):
        async with run_limit(60):
            raise TimeoutError
    assert "session" not in to_service_error(TimeoutError()).message


async def broken(*_: object) -> None:
    raise LookupError("where it arose")


async def test_what_ends_a_run_is_raised_with_its_traceback_and_logged_with_it(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(PostingStore, "corpus", broken)
    with pytest.raises(InternalError) as failed:
        await app_context.sessions.generate(PROFILE, "ko").answer()
    arose = failed.value.__cause__
    assert isinstance(arose, LookupError)
    assert traceback.extract_tb(arose.__traceback__)[-1].name == "broken"
    assert failed.value.session_id
    [record] = [record for record in caplog.records if record.getMessage() == "run failed"]
    assert record.exc_info
    assert record.exc_info[1] is arose


async def test_a_failed_run_is_logged_once_though_it_is_answered_over_http(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(PostingStore, "corpus", broken)
    async with client_of(settings) as client:
        body = {"input": {"profile": PROFILE.model_dump()}}
        failed = await client.post("/generate/invoke", json=body)
    assert (failed.status_code, failed.json()["error"]["code"]) == (500, "internal")
    assert len([record for record in caplog.records if record.exc_info]) == 1


async def test_a_route_that_fails_is_logged_with_the_traceback_of_where_it_arose(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def misspelt(*_: object) -> None:
        raise psycopg.ProgrammingError("no such column")

    monkeypatch.setattr(PostingStore, "corpus", misspelt)
    async with client_of(settings) as client:
        failed = await client.get("/postings/search", params={"q": "Java"})
    assert (failed.status_code, failed.json()["error"]["code"]) == (500, "internal")
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR and record.exc_info]
    assert record.exc_info
    assert traceback.extract_tb(record.exc_info[2])[-1].name == "misspelt"


async def test_a_time_out_of_a_search_speaks_of_no_session(settings: Settings, offline: Offline) -> None:
    await offline.behave(faults=[{"kind": "timeout", "schema": "embeddings"}])
    hasty = settings.model_copy(update={"model_timeout_seconds": scaled(0.5), "model_retries": 0})
    async with client_of(hasty) as client:
        failed = (await client.get("/postings/search", params={"q": "Java"})).json()["error"]
    assert (failed["code"], failed["details"]["cause"]) == ("model_unavailable", "timeout")
    assert "session" not in failed["message"]


async def test_a_listener_who_hears_events_leaves_no_error_behind(
    app_context: AppContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An exception of a task that nobody asks for is reported by asyncio when the task is forgotten."""
    monkeypatch.setattr(PostingStore, "corpus", broken)
    # A record would hold the error, its traceback and so the task.
    caplog.set_level(logging.CRITICAL, "graph.sessions.sessions")
    reported: list[object] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, told: reported.append(told))
    try:
        events = [event async for event in app_context.sessions.generate(PROFILE, "ko")]
        gc.collect()
    finally:
        loop.set_exception_handler(before)
    assert events[-1]["type"] == "error"
    assert not reported
    assert not app_context.sessions._tasks

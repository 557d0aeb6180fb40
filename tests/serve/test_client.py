"""The client for Python, against the service: every event once, whatever becomes of the connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from serve.client import Client, NoAnswerError, RunEvent
from tests.cutting import Cutting, cutting
from tests.offline import Offline
from tests.pace import scaled, time_limit
from tests.serve.processes import hold
from tools.core.contracts import Profile, Wishes
from tools.core.errors import (
    InvalidProfileError,
    RunCancelledError,
    RunNotFoundError,
    ServiceError,
    SessionNotFoundError,
)

PROFILE = Profile(desired_job="백엔드 개발자", skills=["Java"])
NODES = ["build_query", "retrieve", "filter_jobs", "summarize", "propose_subjects", "generate_tasks"]


@pytest.fixture
async def client(address: str) -> AsyncIterator[Client]:
    """The client, and a direct way to the service."""
    async with Client(address) as opened:
        yield opened


@pytest.fixture
async def proxy(address: str) -> AsyncIterator[Cutting]:
    """A proxy that can cut streams off."""
    async with cutting(address) as running:
        yield running


@pytest.fixture(autouse=True)
def _quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve.client.FIRST_PAUSE_SECONDS", 0.01)


async def followed(client: Client, run_id: str, after: str | None = None) -> list[RunEvent]:
    async with asyncio.timeout(time_limit()):
        return [event async for event in client.events(run_id, after)]


async def test_it_generates_regenerates_and_shows_the_session(client: Client) -> None:
    run = await client.generate(PROFILE, "ko")
    events = await followed(client, run.run_id)
    assert [event.node for event in events if event.type == "node_started"] == NODES
    first = await client.answer(run.run_id)
    assert events[-1].type == "result"
    assert events[-1].data["project"]["title"] == first.project.title
    assert (await client.run(run.run_id)).result == first

    again = await client.regenerate(first.session_id, Wishes(difficulty="beginner", weeks=2))
    second = await client.answer(again.run_id)
    assert second.project.difficulty == "beginner"
    assert second.project.duration_weeks <= 2
    assert [each.run_id for each in await client.runs(first.session_id)] == [again.run_id, run.run_id]
    session = await client.session(first.session_id)
    assert [project.title for project in session.history] == [first.project.title, second.project.title]

    await client.forget(first.session_id)
    with pytest.raises(SessionNotFoundError):
        await client.session(first.session_id)


async def test_a_run_is_started_once_under_one_key(client: Client) -> None:
    one, other = [await client.generate(PROFILE, "ko", idempotency_key="client-once") for _ in range(2)]
    assert one.run_id == other.run_id
    await client.answer(one.run_id)


async def test_a_stream_that_is_cut_off_again_and_again_brings_every_event_once(
    client: Client, proxy: Cutting
) -> None:
    proxy.cut_after = [0, 1, 4, 0, 2]
    async with Client(proxy.address) as through:
        run = await through.generate(PROFILE, "ko")
        events = await followed(through, run.run_id)
    assert proxy.streams == 6
    assert events == await followed(client, run.run_id)
    assert events[-1].type == "result"


async def test_it_begins_where_it_is_told_to(client: Client) -> None:
    run = await client.generate(PROFILE, "ko")
    events = await followed(client, run.run_id)
    assert await followed(client, run.run_id, events[4].id) == events[5:]
    assert await followed(client, run.run_id, events[-1].id) == []


async def test_it_comes_again_when_the_service_ends_a_connection(
    client: Client, proxy: Cutting, offline: Offline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.runs.routes.STREAM_SECONDS", 0.05)
    await hold(offline, "MarketSummary")
    async with Client(proxy.address) as through:
        run = await through.generate(PROFILE, "ko")
        following = asyncio.create_task(followed(through, run.run_id))
        async with asyncio.timeout(time_limit()):
            await proxy.wait_for_streams(3)
        await offline.reset()
        await through.cancel(run.run_id)
        events = await following
    assert "reconnect" not in {event.type for event in events}
    assert events == await followed(client, run.run_id)
    assert (events[-1].type, events[-1].data["code"]) == ("error", "run_cancelled")


async def test_a_connection_without_a_sign_of_life_is_left_for_another(
    client: Client, proxy: Cutting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.client.STREAM_TIMEOUT", httpx.Timeout(time_limit(), read=scaled(2)))
    run = await client.generate(PROFILE, "ko")
    await client.answer(run.run_id)
    proxy.silent = 1
    async with Client(proxy.address) as through:
        assert await followed(through, run.run_id) == await followed(client, run.run_id)
    assert proxy.streams == 2


async def test_a_cancelled_run_is_resumed(client: Client, offline: Offline) -> None:
    await hold(offline, "SubjectProposals")
    run = await client.generate(PROFILE, "ko")
    await offline.working_on("SubjectProposals")
    assert (await client.cancel(run.run_id)).state == "cancelled"
    with pytest.raises(RunCancelledError):
        await client.answer(run.run_id)
    await offline.reset()
    await client.resume(run.run_id)
    # From its beginning: past the error of the first attempt.
    answer = await client.answer(run.run_id)
    assert answer.project.evidence
    assert "JobVerdicts" not in (await offline.calls())["by_schema"]


@pytest.mark.parametrize("ask", ["run", "cancel", "resume", "answer"])
async def test_what_is_not_there_raises_its_own_error(client: Client, ask: str) -> None:
    with pytest.raises(RunNotFoundError):
        await getattr(client, ask)("0" * 32)


async def test_what_is_refused_raises_the_error_that_the_service_names(client: Client) -> None:
    with pytest.raises(SessionNotFoundError):
        await client.regenerate("0" * 32)
    with pytest.raises(InvalidProfileError) as refused:
        await client.generate(PROFILE.model_copy(update={"desired_job": " "}))
    assert [problem["field"] for problem in refused.value.fields] == ["profile.desired_job"]
    assert isinstance(refused.value, ServiceError)


async def test_a_service_that_is_not_there_is_asked_a_few_times() -> None:
    asked = 0

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server, Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
        with pytest.raises(NoAnswerError):
            await client.generate(PROFILE)
        assert asked == 8
        with pytest.raises(NoAnswerError):
            await followed(client, "0" * 32)
        assert asked == 16


async def test_the_page_of_a_proxy_is_no_answer() -> None:
    page = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 9\r\nContent-Type: text/html\r\n\r\n<p>no</p>"

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(page)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server, Client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
        with pytest.raises(NoAnswerError) as refused:
            await client.session("0" * 32)
        assert refused.value.status == 403

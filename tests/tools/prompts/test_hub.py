"""LangSmith on a bad day: a reload says what is wrong, and a start goes on with what there is."""

from __future__ import annotations

import asyncio
import time

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from tests.langsmith import Fault, Gate, LangSmith
from tests.pace import time_limit
from tests.tools.prompts.conftest import FILES, NAMED, Opened, commit_all, messages
from tests.tools.prompts.test_changes import newest_change, versions
from tools.core.errors import HubUnavailableError, PromptInvalidError
from tools.prompts import hub

ALL_AWAY = set(NAMED)
KEY = "filter_jobs.ko"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "_RATE_LIMIT_PAUSES", (0.01, 0.02))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault("/commits", status=401), "refused the key"),
        (Fault("/commits", status=403), "refused the request"),
        (Fault("/commits", status=429), "rate limit"),
        (Fault("/commits", status=500), "is failing"),
        (Fault("/commits", reset=True), "does not answer"),
        (Fault("/commits", malformed=True), "no answer"),
    ],
    ids=["401", "403", "429", "500", "reset", "malformed"],
)
async def test_a_reload_says_why_the_hub_gives_nothing_and_the_old_ones_stay(
    opened: Opened, standin: LangSmith, fault: Fault, reason: str
) -> None:
    first = commit_all(standin, "첫째")
    async with opened() as changes:
        commit_all(standin, "둘째")
        standin.fail(fault)
        with pytest.raises(HubUnavailableError, match=reason) as refused:
            await changes.reload("ada")
        assert set(refused.value.prompts) == ALL_AWAY
        assert versions(changes) == first
        change = await newest_change(changes)
        assert (change.by, change.version_after) == ("ada", None)
        assert change.problems["code"] == "hub_unavailable"


async def test_a_prompt_that_is_not_there_is_told_apart_from_a_hub_that_is_away(
    opened: Opened, standin: LangSmith
) -> None:
    commit_all(standin, "첫째")
    async with opened() as changes:
        standin.fail(Fault("/commits/-/filter-ko", status=404), Fault("/commits/-/tag-en", status=500))
        with pytest.raises(PromptInvalidError) as refused:
            await changes.reload("ada")
        problems = refused.value.prompts
        assert "no such prompt" in problems["filter_jobs.ko"][0]
        assert "is failing" in problems["tag_posting.en"][0]


async def test_a_rate_limit_that_passes_is_waited_for(opened: Opened, standin: LangSmith) -> None:
    commit_all(standin, "첫째")
    async with opened() as changes:
        second = commit_all(standin, "둘째")
        standin.fail(Fault("/commits/-/filter-ko", status=429, times=2))
        await changes.reload("ada")
        assert versions(changes) == second


async def test_a_hub_that_hangs_is_given_up(
    opened: Opened, standin: LangSmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection stands: it is the answer that does not come."""
    first = commit_all(standin, "첫째")
    monkeypatch.setattr(hub, "REQUEST_SECONDS", 0.1)
    async with opened() as changes:
        gate = Gate()
        standin.fail(Fault("/commits", gate=gate))
        began = time.monotonic()
        with pytest.raises(HubUnavailableError, match="does not answer"):
            await changes.reload("ada")
        assert time.monotonic() - began < time_limit() / 3
        assert versions(changes) == first
        gate.open()


async def test_an_answer_that_no_parser_takes_is_a_warning(opened: Opened) -> None:
    body = b'{"manifest": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    name = f"{KEY}=filter-ko"
    async with (
        server,
        opened(newest=True, langsmith_endpoint=f"http://{host}:{port}", hub_prompts=(name,)) as changes,
    ):
        assert "no answer" in str(changes.registry.shared_warning)


async def test_all_prompts_together_have_a_limit(
    opened: Opened, standin: LangSmith, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_all(standin, "첫째")
    async with opened() as changes:
        gate = Gate()
        standin.fail(Fault("/commits", gate=gate))
        monkeypatch.setattr(hub, "PULL_SECONDS", 0.1)
        with pytest.raises(HubUnavailableError, match="takes too long"):
            await changes.reload("ada")
        gate.open()


async def test_a_hub_that_was_never_there_leaves_the_bundled_prompts_to_all_workers(
    opened: Opened, standin: LangSmith
) -> None:
    commit_all(standin, "첫째")
    standin.fail(Fault("/commits", status=500))
    async with opened(newest=True) as first:
        asked = standin.count("/commits")
        async with opened() as second:
            assert standin.count("/commits") == asked, "one worker has waited for all"
            for worker in (first, second):
                assert versions(worker) == {}
                assert "is failing" in str(worker.registry.shared_warning)
            assert first.registry.current.version == second.registry.current.version
            standin.mend()
            await second.reload("ada")
            assert set(versions(second)) == set(NAMED)
    async with opened() as third:
        assert third.registry.shared_warning is None


async def test_a_hub_that_is_down_at_start_leaves_the_last_good_prompts(
    opened: Opened, standin: LangSmith
) -> None:
    first = commit_all(standin, "첫째")
    async with opened(newest=True):
        pass
    standin.down()
    try:
        async with opened(newest=True) as changes:
            assert versions(changes) == first
            assert "LangSmith does not answer" in str(changes.registry.shared_warning)
            refused = await newest_change(changes)
            assert (refused.action, refused.by, refused.version_after) == ("start", "start", None)
    finally:
        standin.up()
    async with opened(newest=True) as changes:
        assert changes.registry.shared_warning is None, "the next start renews them"


async def test_a_bad_prompt_at_start_leaves_the_last_good_ones(opened: Opened, standin: LangSmith) -> None:
    first = commit_all(standin, "첫째")
    async with opened(newest=True):
        pass
    standin.commit("filter-ko", [("system", "짧게"), ("human", "{request}")])
    async with opened(newest=True) as changes:
        assert versions(changes) == first
        assert "filter_jobs.ko cannot be used" in str(changes.registry.shared_warning)


async def test_a_wrong_key_at_start_is_a_warning(opened: Opened, standin: LangSmith, redis: Redis) -> None:
    commit_all(standin, "첫째")
    async with opened(newest=True, langsmith_api_key=SecretStr("wrong")) as changes:
        assert versions(changes) == {}
        assert "LANGSMITH_API_KEY" in str(changes.registry.shared_warning)
        assert b"wrong" not in b"".join([await redis.dump(key) or b"" for key in await redis.keys()])


async def test_a_hub_prompt_named_with_its_owner_is_pulled(opened: Opened, standin: LangSmith) -> None:
    commit = standin.commit("filter-ko", messages("filter_jobs.ko", "첫째"))
    async with opened(hub_prompts=("filter_jobs.ko=standin/filter-ko",)) as changes:
        assert versions(changes) == {"filter_jobs.ko": commit}
        version = changes.registry.get("filter_jobs", "ko").version
        assert version == f"standin/filter-ko:{commit}"
    assert FILES["filter_jobs.ko"].version != version

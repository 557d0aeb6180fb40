"""The stand-in's bad days, as the real SDK meets them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from langsmith import AsyncClient, Client
from langsmith.utils import (
    LangSmithAPIError,
    LangSmithAuthError,
    LangSmithConnectionError,
    LangSmithNotFoundError,
    LangSmithRateLimitError,
)
from urllib3.util.retry import Retry

from tests.langsmith import Fault, Gate, LangSmith

NAME = "summarize_ko"


@pytest.fixture
def once(standin: LangSmith) -> Iterator[Client]:
    """A client that asks once: by itself the SDK's session asks up to four times."""
    standin.commit(NAME, [("human", "{postings}")])
    made = Client(
        api_url=standin.url,
        api_key=standin.key,
        auto_batch_tracing=False,
        retry_config=Retry(0),
        disable_prompt_cache=True,
    )
    yield made
    made.close()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, LangSmithAuthError),
        (404, LangSmithNotFoundError),
        (429, LangSmithRateLimitError),
        (500, LangSmithAPIError),
    ],
)
def test_a_status_lasts_until_it_is_mended(
    standin: LangSmith, once: Client, status: int, error: type[Exception]
) -> None:
    standin.fail(Fault("/commits", status=status))
    for _ in range(2):
        with pytest.raises(error):
            once.pull_prompt(NAME)
    assert once.get_prompt(NAME) is not None, "another path is as ever"
    standin.mend()
    assert once.pull_prompt(NAME) is not None
    assert standin.count(f"/commits/-/{NAME}/latest") == 3


def test_retry_after_is_told_and_obeyed(standin: LangSmith, client: Client) -> None:
    standin.commit(NAME, [("human", "{postings}")])
    standin.fail(Fault("/commits", status=429, headers={"Retry-After": "0"}, times=1))
    assert client.pull_prompt(NAME) is not None
    assert standin.requests == 2 * [("GET", f"/commits/-/{NAME}/latest")]


def test_answers_are_cut_and_connections_are_reset(standin: LangSmith, once: Client) -> None:
    standin.fail(Fault("/commits", malformed=True, times=1), Fault("/commits", reset=True, times=1))
    with pytest.raises(ValueError, match="Unterminated string"):
        once.pull_prompt(NAME)
    with pytest.raises(LangSmithConnectionError):
        once.pull_prompt(NAME)
    assert once.pull_prompt(NAME) is not None


async def test_a_request_is_held_until_its_gate_opens(standin: LangSmith, async_client: AsyncClient) -> None:
    standin.commit(NAME, [("human", "{postings}")])
    gate = Gate()
    standin.fail(Fault("/commits", gate=gate))
    pulls = [asyncio.create_task(async_client.pull_prompt(NAME, skip_cache=True)) for _ in range(3)]
    await gate.reached(3)
    assert not any(pull.done() for pull in pulls)
    # What a held request is answered is read when it is let go.
    newest = standin.commit(NAME, [("human", "{postings}!")])
    gate.open()
    assert {(await pull).metadata["lc_hub_commit_hash"] for pull in pulls} == {newest}


async def test_a_client_gives_up_on_a_slow_answer(standin: LangSmith) -> None:
    standin.commit(NAME, [("human", "{postings}")])
    standin.fail(Fault("/commits", gate=Gate(), times=1), Fault("/commits", seconds=0.1, times=1))
    # One number of milliseconds would be for connecting alone.
    async with AsyncClient(
        api_url=standin.url,
        api_key=standin.key,
        timeout_ms=(None, 20, None, None),
        retry_config={"max_retries": 1},
    ) as hasty:
        for _ in range(2):
            with pytest.raises(LangSmithConnectionError):
                await hasty.pull_prompt(NAME)
    async with AsyncClient(api_url=standin.url, api_key=standin.key) as patient:
        assert await patient.pull_prompt(NAME) is not None


def test_a_server_that_is_down_comes_back_on_its_port(standin: LangSmith, once: Client) -> None:
    assert once.pull_prompt(NAME) is not None
    standin.down()
    with pytest.raises(LangSmithConnectionError, match="refused"):
        once.pull_prompt(NAME)
    url = standin.url
    standin.up()
    assert standin.url == url
    assert once.pull_prompt(NAME) is not None

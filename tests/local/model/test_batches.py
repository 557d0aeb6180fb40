"""Files and batches of the offline model, with the client that people use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from openai import APIStatusError, AsyncOpenAI, NotFoundError
from openai.types import Batch

from local.model.server import create_app, running
from tests.local.model.steered import FirstPostingFits
from tests.offline import OPENS, SECRET
from tools.core.fencing import fence

PROMPT = fence("postings", [{"posting_id": "p-1"}])
FORMAT = {"type": "json_schema", "json_schema": {"name": "JobVerdicts", "schema": {}}}


@pytest.fixture(scope="module")
async def url() -> AsyncIterator[str]:
    async with running(create_app(FirstPostingFits(), secret=SECRET)) as base_url:
        yield base_url


@pytest.fixture
async def client(url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=url, api_key="offline", max_retries=0, timeout=20) as opened:
        yield opened


def line(custom_id: str, **changed: Any) -> dict[str, Any]:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": PROMPT}],
        "response_format": FORMAT,
        **changed.pop("body", {}),
    }
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body, **changed}


async def begin(client: AsyncOpenAI, *lines: dict[str, Any]) -> Batch:
    content = b"\n".join(orjson.dumps(row) for row in lines)
    file = await client.files.create(file=("in.jsonl", content), purpose="batch")
    return await client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h"
    )


async def ended(client: AsyncOpenAI, batch: Batch) -> Batch:
    async with asyncio.timeout(20):
        while batch.status not in ("completed", "failed", "expired", "cancelled"):
            batch = await client.batches.retrieve(batch.id)
    return batch


async def rows(client: AsyncOpenAI, file_id: str | None) -> list[Any]:
    assert file_id is not None
    return [orjson.loads(row) for row in (await client.files.content(file_id)).content.splitlines()]


async def test_a_file_comes_back_as_it_went(client: AsyncOpenAI) -> None:
    content = bytes(range(256)) * 40 + b"\r\n--not the boundary\r\n"
    file = await client.files.create(file=("a b.bin", content), purpose="batch")
    assert (file.bytes, file.filename, file.purpose) == (len(content), "a b.bin", "batch")
    assert (await client.files.content(file.id)).content == content
    assert (await client.files.retrieve(file.id)).id == file.id
    assert file.id in [listed.id async for listed in client.files.list()]
    assert (await client.files.delete(file.id)).deleted
    with pytest.raises(NotFoundError):
        await client.files.retrieve(file.id)


async def test_a_batch_answers_each_request_by_its_name(client: AsyncOpenAI) -> None:
    batch = await ended(client, await begin(client, line("one"), line("two")))
    assert batch.status == "completed"
    assert batch.request_counts is not None
    assert (batch.request_counts.total, batch.request_counts.completed) == (2, 2)
    answers = await rows(client, batch.output_file_id)
    assert [answer["custom_id"] for answer in answers] == ["one", "two"]
    body = answers[0]["response"]["body"]
    assert orjson.loads(body["choices"][0]["message"]["content"])["verdicts"][0]["posting_id"] == "p-1"
    assert body["usage"]["completion_tokens"] > 0
    assert batch.error_file_id is None


async def test_a_request_that_is_refused_stands_in_the_file_of_errors(client: AsyncOpenAI) -> None:
    batch = await ended(client, await begin(client, line("good"), line("bad", body={"messages": []})))
    assert batch.status == "completed"
    (error,) = await rows(client, batch.error_file_id)
    assert (error["custom_id"], error["response"]["status_code"]) == ("bad", 400)
    assert "messages" in error["response"]["body"]["error"]["message"]


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ([line("a"), line("a")], "duplicate_custom_id"),
        ([line("a"), line("b", body={"model": "other"})], "mismatched_model"),
        ([line("a", url="/v1/embeddings")], "mismatched_url"),
        ([{"custom_id": "a"}], "invalid_json_line"),
        ([], "empty_file"),
    ],
)
async def test_a_file_that_is_no_batch_fails_as_a_whole(
    client: AsyncOpenAI, lines: list[dict[str, Any]], code: str
) -> None:
    batch = await ended(client, await begin(client, *lines))
    assert batch.status == "failed"
    assert batch.errors is not None and batch.errors.data is not None
    assert batch.errors.data[0].code == code


async def test_a_batch_can_be_cancelled_and_tells_what_it_did_not_do(client: AsyncOpenAI, url: str) -> None:
    async with httpx.AsyncClient(base_url=url.removesuffix("/v1"), headers=OPENS, timeout=20) as http:
        await http.put("/offline/behaviour", json={"latency": {"mean_seconds": 1}})
        batch = await begin(client, line("never"))
        assert (await client.batches.cancel(batch.id)).status == "cancelling"
        batch = await ended(client, batch)
        await http.delete("/offline/behaviour")
    assert (batch.status, batch.output_file_id) == ("cancelled", None)
    (error,) = await rows(client, batch.error_file_id)
    assert error["error"]["code"] == "batch_cancelled"
    with pytest.raises(APIStatusError):
        await client.batches.cancel(batch.id)


async def test_batches_are_listed_newest_first_page_by_page(client: AsyncOpenAI) -> None:
    begun = [(await begin(client, line("x"))).id for _ in range(3)]
    listed = [batch.id async for batch in client.batches.list(limit=1)]
    assert listed[:3] == begun[::-1]


async def test_what_is_not_there_is_not_found(client: AsyncOpenAI) -> None:
    for asking in (
        client.batches.retrieve("batch_x"),
        client.batches.create(
            input_file_id="file-x", endpoint="/v1/chat/completions", completion_window="24h"
        ),
    ):
        with pytest.raises(NotFoundError):
            await asking


async def test_an_upload_without_a_purpose_or_of_another_kind_is_refused(url: str) -> None:
    async with httpx.AsyncClient(base_url=url, timeout=20) as http:
        for request in ({"files": {"file": b"x"}}, {"json": {"file": "x"}}):
            assert (await http.post("/files", **request)).status_code == 400

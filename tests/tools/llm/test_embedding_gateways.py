"""Gateways of embeddings: whoever chats with one may embed with another, and none swaps two vectors."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import orjson
import pytest
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.model.server import running
from tests.fakes import posting
from tools.core.errors import ModelUnavailableError
from tools.core.settings import Settings
from tools.llm.embeddings import FINGERPRINT_DIMENSIONS, Embedder, similarity
from tools.llm.openai_client import chat_endpoint, embedding_endpoint, open_http_client

Bend = Callable[[dict[str, Any], dict[str, Any]], Any]
WIDTH = 512


def vector(text: str, width: int = WIDTH) -> list[float]:
    """A direction of its own for each text, the same whole and shortened."""
    seed = np.random.default_rng(list(text.encode()))
    return [float(value) for value in seed.normal(size=width).astype(np.float32)]


class Gateway:
    """Answers as OpenAI does, then bends that; keeps what it was asked and by which key."""

    def __init__(self, bend: Bend) -> None:
        self._bend = bend
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []

    async def embed(self, request: Request) -> Response:
        """`POST /v1/embeddings`."""
        body = orjson.loads(await request.body())
        self.asked.append(body)
        self.keys.append(request.headers["authorization"])
        width = body.get("dimensions", WIDTH)
        rows: list[Any] = [vector(text, width) for text in body["input"]]
        if body.get("encoding_format") == "base64":
            rows = [base64.b64encode(np.array(row, "<f4").tobytes()).decode() for row in rows]
        data = [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(rows)]
        usage = {"prompt_tokens": 5, "total_tokens": 5}
        answer = self._bend(body, {"object": "list", "data": data, "model": "m", "usage": usage})
        if isinstance(answer, Response):
            return answer
        content = answer if isinstance(answer, bytes) else orjson.dumps(answer)
        return Response(content, media_type="application/json")


@asynccontextmanager
async def gateway(bend: Bend, **given: Any) -> AsyncIterator[tuple[Embedder, Gateway]]:
    standin = Gateway(bend)
    app = Starlette(routes=[Route("/v1/embeddings", standin.embed, methods=["POST"])])
    async with running(app) as url:
        settings = Settings.model_validate(
            {
                "openai_api_key": "chat-key",
                "openai_base_url": "http://127.0.0.1:9/v1",
                "embedding_api_key": "embedding-key",
                "embedding_base_url": url,
                "embedding_dimensions": WIDTH,
                "model_retries": 0,
                **given,
            }
        )
        async with open_http_client(settings) as http:
            yield Embedder(settings, http), standin


def numbers(body: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    """Numbers, whatever was asked for."""
    for row, text in zip(answer["data"], body["input"], strict=True):
        row["embedding"] = vector(text, body.get("dimensions", WIDTH))
    return answer


def without(key: str) -> Bend:
    def bend(_: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        for row in [answer, *answer["data"]]:
            row.pop(key, None)
        return answer

    return bend


RIGHT: dict[str, Bend] = {
    "as OpenAI": lambda _, answer: answer,
    "numbers": numbers,
    "backwards": lambda _, answer: {**answer, "data": answer["data"][::-1]},
    "in any order": lambda _, answer: {
        **answer,
        "data": sorted(answer["data"], key=lambda row: row["embedding"]),
    },
    "no index": without("index"),
    "no usage": without("usage"),
    "null usage": lambda _, answer: {**answer, "usage": None},
    "odd usage": lambda _, answer: {**answer, "usage": {"tokens": "many"}},
    "bare": lambda _, answer: {
        "data": [{"index": r["index"], "embedding": r["embedding"]} for r in answer["data"]]
    },
    "as plain text": lambda _, answer: Response(orjson.dumps(answer), media_type="text/plain"),
}


@pytest.mark.parametrize("bend", RIGHT.values(), ids=RIGHT.keys())
async def test_each_text_gets_its_own_vector(bend: Bend) -> None:
    postings = [posting(n) for n in range(5)]
    async with gateway(bend) as (embedder, standin):
        embedded = await embedder.postings(postings)
        for one, found in zip(postings, embedded.vectors, strict=True):
            np.testing.assert_allclose(found, vector(one.text()), rtol=1e-6)
        assert embedded.tokens in (0, 5)
    assert standin.asked[0]["dimensions"] == WIDTH
    assert standin.keys == ["Bearer embedding-key"]


def spoilt(change: Callable[[list[Any]], Any]) -> Bend:
    return lambda body, answer: {**answer, "data": change(numbers(body, answer)["data"])}


WRONG: dict[str, Bend] = {
    "too few": spoilt(lambda rows: rows[:-1]),
    "too many": spoilt(lambda rows: [*rows, rows[0]]),
    "none": spoilt(lambda rows: []),
    "an index twice": spoilt(lambda rows: [{**row, "index": 0} for row in rows]),
    "an index beyond": spoilt(lambda rows: [{**row, "index": row["index"] + 1} for row in rows]),
    "an index that is none": spoilt(lambda rows: [{**row, "index": str(row["index"])} for row in rows]),
    "one index missing": spoilt(lambda rows: [{"embedding": rows[0]["embedding"]}, *rows[1:]]),
    "zeros": spoilt(lambda rows: [{**rows[0], "embedding": [0.0] * WIDTH}, *rows[1:]]),
    "nulls": spoilt(lambda rows: [{**rows[0], "embedding": [None] * WIDTH}, *rows[1:]]),
    "NaN": lambda body, answer: orjson.dumps(numbers(body, answer)).replace(
        b'"embedding":[', b'"embedding":[NaN,'
    ),
    "infinite": spoilt(lambda rows: [{**rows[0], "embedding": [1e300] * WIDTH}, *rows[1:]]),
    "words": spoilt(lambda rows: [{**rows[0], "embedding": ["a"] * WIDTH}, *rows[1:]]),
    "half base64": spoilt(lambda rows: [{**rows[0], "embedding": "AAA"}, *rows[1:]]),
    "vectors in vectors": spoilt(lambda rows: [{**row, "embedding": [row["embedding"]]} for row in rows]),
    "no vector": spoilt(lambda rows: [{"index": row["index"]} for row in rows]),
    "two widths": spoilt(lambda rows: [{**rows[0], "embedding": [1.0]}, *rows[1:]]),
    "rows that are none": spoilt(lambda rows: ["no"] * len(rows)),
    "no data": lambda _, answer: {**answer, "data": None},
    "another API's": lambda _, answer: {"embeddings": []},
    "a page": lambda _, answer: Response("<html>", media_type="text/html"),
    "half JSON": lambda _, answer: b'{"data": [',
    "a list": lambda _, answer: b"[1]",
}


@pytest.mark.parametrize("bend", WRONG.values(), ids=WRONG.keys())
async def test_what_are_no_vectors_is_a_typed_error_that_names_the_gateway(bend: Bend) -> None:
    async with gateway(bend) as (embedder, _):
        with pytest.raises(ModelUnavailableError, match="CHECKERBOARD_EMBEDDING_BASE_URL") as failed:
            await embedder.postings([posting(n) for n in range(3)])
    assert failed.value.details == {"purpose": "embeddings", "cause": "unreadable"}


def takes_no_dimensions(body: dict[str, Any], answer: dict[str, Any]) -> Any:
    if "dimensions" not in body:
        return answer
    error = {
        "object": "error",
        "message": 'Model "m" does not support matryoshka representation',
        "code": 400,
    }
    return Response(orjson.dumps(error), 400, media_type="application/json")


async def test_a_model_that_takes_no_dimensions_says_what_to_set_and_then_works() -> None:
    async with gateway(takes_no_dimensions) as (embedder, _):
        with pytest.raises(ModelUnavailableError, match="CHECKERBOARD_EMBEDDING_SEND_DIMENSIONS=false"):
            await embedder.query("서버")
    async with gateway(takes_no_dimensions, embedding_send_dimensions=False) as (embedder, standin):
        assert len(await embedder.query("서버")) == WIDTH
        [one, other] = await embedder.fingerprints(["서버", "화면"])
        assert len(base64.b64decode(one[4:])) == FINGERPRINT_DIMENSIONS
        assert similarity(one, one) == pytest.approx(1)
        assert abs(similarity(one, other)) < 0.3
    assert all("dimensions" not in asked for asked in standin.asked)


@pytest.mark.parametrize("sends", [True, False])
async def test_another_width_than_the_configured_one_says_which_to_set(sends: bool) -> None:
    bend = spoilt(lambda rows: [{**row, "embedding": vector("x", 1024)} for row in rows])
    async with gateway(bend, embedding_send_dimensions=sends) as (embedder, _):
        with pytest.raises(ModelUnavailableError, match="CHECKERBOARD_EMBEDDING_DIMENSIONS=1024") as failed:
            await embedder.query("서버")
    assert ("SEND_DIMENSIONS=false" in failed.value.message) == sends
    assert failed.value.cause == "dimensions"


async def test_fingerprints_ask_for_no_dimensions_of_their_own() -> None:
    async with gateway(lambda _, answer: answer) as (embedder, standin):
        await embedder.fingerprints(["서버", "화면"])
    assert [asked["dimensions"] for asked in standin.asked] == [WIDTH]


@pytest.mark.parametrize("cosine", [0.5, 0.85, 0.92, 0.99])
def test_a_folded_vector_keeps_cosines(cosine: float) -> None:
    from tools.llm.embeddings import _packed  # noqa: PLC0415

    rng = np.random.default_rng(7)
    for width in (768, 1024, 1536, 3072):
        off = []
        for _ in range(40):
            a, b = rng.normal(size=(2, width))
            b -= (a @ b) / (a @ a) * a
            near = cosine * a / np.linalg.norm(a) + (1 - cosine**2) ** 0.5 * b / np.linalg.norm(b)
            off.append(similarity(_packed(a.astype(np.float32)), _packed(near.astype(np.float32))) - cosine)
        assert abs(float(np.mean(off))) < 0.02
        assert float(np.std(off)) < 0.08


async def test_a_gateway_that_takes_fewer_texts_says_what_to_set_and_then_works() -> None:
    def few(body: dict[str, Any], answer: dict[str, Any]) -> Any:
        if len(body["input"]) <= 2:
            return answer
        error = {"error": "batch size 5 > maximum allowed batch size 2", "type": "Validation"}
        return Response(orjson.dumps(error), 413, media_type="application/json")

    postings = [posting(n) for n in range(5)]
    async with gateway(few) as (embedder, _):
        with pytest.raises(ModelUnavailableError, match="CHECKERBOARD_EMBEDDING_BATCH"):
            await embedder.postings(postings)
    async with gateway(few, embedding_batch=2) as (embedder, standin):
        embedded = await embedder.postings(postings)
    assert [len(asked["input"]) for asked in standin.asked] == [2, 2, 1]
    assert embedded.tokens == 15
    np.testing.assert_allclose(embedded.vectors[4], vector(postings[4].text()), rtol=1e-6)


async def test_a_gateway_that_takes_no_encoding_is_asked_for_numbers_from_then_on() -> None:
    def plain(body: dict[str, Any], answer: dict[str, Any]) -> Any:
        if "encoding_format" not in body:
            return answer
        error = {"error": {"message": "encoding_format: only float is supported", "code": "InvalidParameter"}}
        return Response(orjson.dumps(error), 400, media_type="application/json")

    async with gateway(plain) as (embedder, standin):
        await embedder.query("서버")
        await embedder.query("화면")
    assert ["encoding_format" in asked for asked in standin.asked] == [True, False, False]


@pytest.mark.parametrize(
    ("given", "url", "key", "named"),
    [
        ({}, None, "offline", "OPENAI_API_KEY"),
        ({"openai_api_key": "c", "openai_base_url": "http://c/v1"}, "http://c/v1", "c", "OPENAI_API_KEY"),
        (
            {"openai_api_key": "c", "openai_base_url": "http://c/v1", "embedding_api_key": "e"},
            "https://api.openai.com/v1",
            "e",
            "CHECKERBOARD_EMBEDDING_API_KEY",
        ),
        (
            {"embedding_api_key": "e", "embedding_base_url": "http://e/v1"},
            "http://e/v1",
            "e",
            "CHECKERBOARD_EMBEDDING_API_KEY",
        ),
    ],
)
def test_no_key_goes_to_the_other_endpoint(
    given: dict[str, str], url: str | None, key: str, named: str
) -> None:
    settings = Settings.model_validate(given)
    endpoint = embedding_endpoint(settings)
    assert (endpoint.base_url, endpoint.api_key, endpoint.key_setting) == (url, SecretStr(key), named)
    assert chat_endpoint(settings).base_url == given.get("openai_base_url")

"""What errors of real APIs mean. The bodies are of the forms in which they were reported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from tests.tools.llm.test_chat import GOOD, gateway, said
from tools.core.errors import CheckerboardError, ModelOutputError, ModelUnavailableError
from tools.core.settings import Settings
from tools.llm.model_errors import read_error


def openai(message: str, kind: str | None = "invalid_request_error", code: Any = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def openrouter(message: str, code: int, **metadata: Any) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, "metadata": metadata}, "user_id": "u"}


def google(message: str, code: int, status: str, *details: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"error": {"code": code, "message": message, "status": status, "details": list(details)}}]


QUOTA = "You exceeded your current quota, please check your plan and billing details."
FILTERED = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy."
SEEN = [json.loads(line) for line in (Path(__file__).parent / "model_errors.jsonl").read_text().splitlines()]
"""Errors of real APIs: name, status, body, and the cause that they have."""


@pytest.mark.parametrize("seen", SEEN, ids=[seen["name"] for seen in SEEN])
def test_an_error_is_told_by_its_words(seen: dict[str, Any]) -> None:
    body, cause = seen["body"], seen["cause"]
    found = read_error(seen["status"], body if isinstance(body, str) else json.dumps(body), {})
    assert found.cause == cause
    assert found.status >= 400
    # Only what passes by itself is asked again.
    assert found.retryable <= (cause in ("rate_limit", "status"))


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "12"}, openai("slow"), 12),
        ({"retry-after-ms": "1500", "retry-after": "9"}, openai("slow"), 1.5),
        ({}, google("slow", 429, "RESOURCE_EXHAUSTED", {"retryDelay": "17.5s"}), 17.5),
        ({}, openai("Please try again in 7m12.5s."), 432.5),
        ({}, openai("Please try again in 20ms."), 0.02),
        ({}, openai("Please retry after 86 seconds."), 86),
        ({}, openai("Try again in 1h2m3s"), 3723),
        ({}, openai("Please try again in a while."), None),
        ({"retry-after": "soon"}, openai("slow"), None),
    ],
)
def test_how_long_to_wait_is_read_where_it_stands(
    headers: dict[str, str], body: Any, seconds: float | None
) -> None:
    found = read_error(429, orjson.dumps(body), headers)
    assert found.retryable
    assert found.retry_after == (seconds if seconds is None else pytest.approx(seconds))


@given(st.integers(400, 599), st.binary(max_size=300) | st.text(max_size=300))
def test_no_body_is_too_odd_to_be_judged(status: int, body: bytes | str) -> None:
    assert read_error(status, body, {}).status == status


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["error", "message", "code", "type", "details", "x"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_no_json_is_too_odd_to_be_judged(body: Any) -> None:
    assert read_error(200, orjson.dumps({"error": body}), {}).status >= 400


def answered(status: int, body: Any, **headers: str) -> Response:
    return Response(orjson.dumps(body), status, headers, media_type="application/json")


TOLD: list[tuple[str, Response, type[CheckerboardError], str]] = [
    (
        "quota",
        answered(429, openai(QUOTA, "insufficient_quota", "insufficient_quota")),
        ModelUnavailableError,
        "add credit",
    ),
    (
        "content_filter",
        answered(400, openai(FILTERED, None, "content_filter")),
        ModelOutputError,
        "content filter",
    ),
    (
        "context_length",
        answered(400, openai("x", code="context_length_exceeded")),
        ModelUnavailableError,
        "CHECKERBOARD_PROMPT_TOKENS",
    ),
    (
        "model_not_found",
        answered(404, openai("x", code="model_not_found")),
        ModelUnavailableError,
        "CHECKERBOARD_CHAT_MODEL",
    ),
    ("not_found", answered(404, {"detail": "Not Found"}), ModelUnavailableError, "OPENAI_BASE_URL"),
    ("key", answered(401, openai("x", code="invalid_api_key")), ModelUnavailableError, "OPENAI_API_KEY"),
    (
        "region",
        answered(403, openai("Country, region, or territory not supported")),
        ModelUnavailableError,
        "not offered",
    ),
    (
        "structured_output",
        answered(400, openai("response_format is unavailable")),
        ModelUnavailableError,
        "CHECKERBOARD_STRUCTURED_OUTPUT=json_object",
    ),
    ("quota", answered(200, openrouter("Insufficient credits", 402)), ModelUnavailableError, "add credit"),
    (
        "quota",
        answered(200, {"choices": [{"error": {"code": 402, "message": "no"}, "message": {}}]}),
        ModelUnavailableError,
        "add credit",
    ),
    (
        "rate_limit",
        answered(429, openai("tokens per day (TPD): Limit 9")),
        ModelUnavailableError,
        "a new day",
    ),
]


@pytest.mark.parametrize(
    ("cause", "response", "kind", "said"), TOLD, ids=[f"{t[0]} {n}" for n, t in enumerate(TOLD)]
)
async def test_what_waiting_would_not_mend_is_asked_once_and_says_what_would(
    embedded: Settings, cause: str, response: Response, kind: type[CheckerboardError], said: str
) -> None:
    async with gateway(embedded, response, model_retries=2) as chat:
        with pytest.raises(kind, match=said) as failed:
            await chat.ask()
    assert failed.value.cause == cause
    assert len(chat.bodies) == 1


@pytest.mark.parametrize(
    "response",
    [
        answered(200, openrouter("Rate limit exceeded: free-models-per-min", 429)),
        answered(200, {"error": {"message": "upstream is down"}}),
        answered(429, google(f"{QUOTA} Please retry in 0.01s.", 429, "RESOURCE_EXHAUSTED")),
        answered(503, openai("overloaded"), **{"retry-after": "0.01"}),
    ],
    ids=["a rate limit in a 200", "an outage in a 200", "Gemini's minute", "overloaded"],
)
async def test_what_passes_is_asked_again_and_answered(embedded: Settings, response: Response) -> None:
    async with gateway(embedded, response, said(GOOD)) as chat:
        assert (await chat.ask()).value.verdicts
    assert len(chat.bodies) == 2


async def test_a_wait_that_is_too_long_is_told_instead(embedded: Settings) -> None:
    response = answered(429, openai("Rate limit reached. Please try again in 7m12.5s."))
    async with gateway(embedded, response) as chat:
        with pytest.raises(ModelUnavailableError, match="ask again in 7 minutes") as failed:
            await chat.ask()
    assert failed.value.retry_after_seconds == 432
    assert len(chat.bodies) == 1

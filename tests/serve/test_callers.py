"""Who may call, and what an Idempotency-Key may look like."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any
from unittest import mock

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve import callers
from serve.callers import MAX_IDEMPOTENCY_KEY, ApiKeys
from tools.core.errors import UnauthorizedError
from tools.core.settings import Settings

PROFILE: dict[str, Any] = {"desired_job": "백엔드 개발자", "skills": ["Java"]}


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


KEYS = ApiKeys(f"ada:{digest('key-a')},bob:{digest('key-b')}")


def test_without_keys_everybody_may_call() -> None:
    keys = ApiKeys(None)
    assert keys.owner({}) == ""
    assert keys.owner(bearer("anything")) == ""


@pytest.mark.parametrize("configured", ["", " ", ",", " , ", "\n"])
def test_a_list_that_names_nobody_is_refused(configured: str) -> None:
    with pytest.raises(ValueError, match="CHECKERBOARD_API_KEYS is set and names nobody"):
        ApiKeys(configured)


def test_an_empty_variable_lets_nobody_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a deployment has it that passes on a variable of its own that was not set."""
    monkeypatch.setenv("CHECKERBOARD_API_KEYS", "")
    with pytest.raises(ValueError, match="CHECKERBOARD_API_KEYS is set and names nobody"):
        Settings()


def test_a_key_is_known_by_its_hash() -> None:
    assert KEYS.owner(bearer("key-a")) == "ada"
    assert KEYS.owner(bearer("key-b")) == "bob"


def test_white_space_around_entries_and_an_upper_case_hash_are_read() -> None:
    keys = ApiKeys(f"  ada:{digest('key-a').upper()} ,\n bob:{digest('key-b')}, ")
    assert keys.owner(bearer("key-a")) == "ada"
    assert keys.owner(bearer("key-b")) == "bob"


def test_a_name_may_hold_colons() -> None:
    assert ApiKeys(f"team:ada:{digest('key-a')}").owner(bearer("key-a")) == "team:ada"


def test_one_name_has_no_white_space_in_front_of_its_colon() -> None:
    """`ada` and `ada ` would be two owners that look like one."""
    with pytest.raises(ValueError, match="name:sha256"):
        ApiKeys(f"ada:{digest('key-a')},ada :{digest('key-b')}")


@pytest.mark.parametrize(
    "configured",
    [
        "ada",
        "ada:",
        f":{digest('key-a')}",
        f" :{digest('key-a')}",
        digest("key-a"),
        f"ada:{digest('key-a')[:-1]}",
        f"ada:{digest('key-a')}0",
        f"ada:{'g' * 64}",
        f"ada:{'٣' * 64}",
        f"ada={digest('key-a')}",
        f"ada:{digest('key-a')};bob:{digest('key-b')}",
        f"ada:{digest('key-a')} bob:{digest('key-b')}",
        f"ada:{digest('key-a')},bob",
        "ada:key-a",
    ],
)
def test_another_form_is_refused(configured: str) -> None:
    with pytest.raises(ValueError, match="CHECKERBOARD_API_KEYS is a list of name:sha256"):
        ApiKeys(configured)


def test_a_refusal_does_not_repeat_what_was_configured() -> None:
    """Who writes the key in place of its hash finds it in no log."""
    with pytest.raises(ValueError, match="name:sha256") as refused:
        ApiKeys("ada:my-secret-key")
    assert "my-secret-key" not in str(refused.value)


def test_a_doubled_name_is_refused() -> None:
    with pytest.raises(ValueError, match="each name once"):
        ApiKeys(f"ada:{digest('key-a')},ada:{digest('key-b')}")


def test_one_key_under_two_names_is_refused() -> None:
    """Which of both owned a session would be a matter of order."""
    with pytest.raises(ValueError, match="CHECKERBOARD_API_KEYS"):
        ApiKeys(f"ada:{digest('key-a')},bob:{digest('key-a').upper()}")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": "Bearer "},
        {"authorization": "key-a"},
        {"authorization": "Basic key-a"},
        {"authorization": "Bearer key-"},
        {"authorization": "Bearer key-a key-b"},
        {"authorization": "Bearer KEY-A"},
        {"authorization": f"Bearer {digest('key-a')}"},
        {"authorization": "Bearer ada"},
        {"x-api-key": "key-a"},
    ],
)
def test_what_is_no_key_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(UnauthorizedError):
        KEYS.owner(headers)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_scheme_is_read_in_any_case(scheme: str) -> None:
    assert KEYS.owner({"authorization": f"{scheme}  key-a "}) == "ada"


@given(st.text(st.characters(min_codepoint=1, max_codepoint=0xFF)))
def test_only_the_very_keys_are_let_in(sent: str) -> None:
    """A header is Latin-1: whatever stands in it, it is refused or it is a key."""
    try:
        owner = KEYS.owner(bearer(sent))
    except UnauthorizedError:
        assert sent.strip() not in ("key-a", "key-b")
    else:
        assert sent.strip() == {"ada": "key-a", "bob": "key-b"}[owner]


def test_hashes_are_compared_in_constant_time() -> None:
    with mock.patch.object(callers.hmac, "compare_digest", wraps=hmac.compare_digest) as compared:
        KEYS.owner(bearer("key-b"))
    assert compared.call_count == 2
    assert all(digest("key-b") in call.args for call in compared.call_args_list)


@pytest.mark.parametrize("length", [0, MAX_IDEMPOTENCY_KEY + 1])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/generate/invoke"),
        ("POST", "/generate/stream"),
        ("POST", "/regenerate/invoke"),
        ("GET", f"/sessions/{'0' * 32}"),
    ],
)
async def test_an_idempotency_key_has_1_to_200_characters(
    client: httpx.AsyncClient, method: str, path: str, length: int
) -> None:
    headers = {"Idempotency-Key": "x" * length}
    body = {"input": {"profile": PROFILE}}
    response = await client.request(method, path, json=body, headers=headers)
    assert response.status_code == 422, response.text
    assert [field["field"] for field in response.json()["error"]["details"]["fields"]] == ["Idempotency-Key"]


@pytest.mark.parametrize("length", [1, MAX_IDEMPOTENCY_KEY])
async def test_the_longest_and_the_shortest_idempotency_key_give_the_same_answer_twice(
    client: httpx.AsyncClient, length: int
) -> None:
    headers = {"Idempotency-Key": "k" * length}
    body = {"input": {"profile": PROFILE}}
    first, again = [
        (await client.post("/generate/invoke", json=body, headers=headers)).json()["output"] for _ in range(2)
    ]
    assert first == again


@pytest.mark.parametrize("route", ["generate", "regenerate"])
async def test_a_batch_has_no_idempotency_key(client: httpx.AsyncClient, route: str) -> None:
    given = {"profile": PROFILE} if route == "generate" else {"session_id": "0" * 32}
    headers = {"Idempotency-Key": "batch"}
    response = await client.post(f"/{route}/batch", json={"inputs": [given]}, headers=headers)
    assert response.status_code == 422
    assert response.json()["error"]["details"]["fields"] == [
        {"field": "Idempotency-Key", "problem": "names one request; send a batch's inputs one by one"}
    ]


async def test_a_key_used_for_another_request_is_a_conflict(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "two-requests"}
    body = {"input": {"profile": PROFILE}}
    assert (await client.post("/generate/invoke", json=body, headers=headers)).status_code == 200
    other = {"input": {"profile": {**PROFILE, "desired_job": "데이터 엔지니어"}}}
    response = await client.post("/generate/invoke", json=other, headers=headers)
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "idempotency_conflict"

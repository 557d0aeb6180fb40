"""Who reaches which route: every operation of the OpenAPI description, asked by everybody there is.

A new route is asked too, by everybody, and this test fails until somebody has said here who may.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator
from typing import Any, Literal

import httpx
import pytest
from pydantic import SecretStr

from serve.app import create_app
from serve.visitors import COOKIE
from tests.pace import time_limit
from tests.serve.conftest import served
from tools.core.settings import Settings

PROFILE: dict[str, Any] = {"desired_job": "백엔드 개발자", "skills": ["Java"]}
KEYS = {"client": "a client's key", "admin": "an administrator's key"}
HASHES = {name: SecretStr(f"{name}:{hashlib.sha256(key.encode()).hexdigest()}") for name, key in KEYS.items()}

Who = Literal["nobody", "visitor", "other", "guest", "client", "admin"]
EVERYBODY: tuple[Who, ...] = ("nobody", "visitor", "other", "guest", "client", "admin")
KEYED: frozenset[Who] = frozenset({"client", "admin"})
PEOPLE: frozenset[Who] = frozenset({"visitor", "other", "client", "admin"})
"""Whoever is let in, where everybody has their own."""
ALL: frozenset[Who] = frozenset(EVERYBODY)
LET_IN: dict[str, frozenset[Who]] = {
    **dict.fromkeys(("healthz", "readyz", "get_kept", "get_kept_markdown"), ALL),
    **dict.fromkeys(("search_postings", "profile_from_resume", "keep_project", "list_kept"), PEOPLE),
    **dict.fromkeys(("start_run", "cancel_run", "resume_run"), PEOPLE),
    **dict.fromkeys(("share_session", "delete_session", "delete_kept"), PEOPLE),
    **dict.fromkeys(("get_session", "get_project", "get_posting"), PEOPLE | {"guest"}),
    **dict.fromkeys(("list_runs", "get_run", "watch_run"), PEOPLE | {"guest"}),
    **dict.fromkeys(("generate", "generate_batch", "generate_stream", "generate_stream_events"), KEYED),
    **dict.fromkeys(("regenerate", "regenerate_batch", "regenerate_stream"), KEYED),
    **dict.fromkeys(("regenerate_stream_events", "list_prompts", "run_agui", "get_metrics"), KEYED),
    **{f"{name}_{form}_schema": KEYED for name in ("generate", "regenerate") for form in ("input", "output")},
    **dict.fromkeys(("reload_prompts", "pin_prompt"), frozenset({"admin"})),
}
"""By operation, who is not turned away at the door. What of it is theirs, is told below."""
OWNED = {
    "get_session", "get_project", "delete_session", "share_session", "get_run", "watch_run", "cancel_run",
    "resume_run", "delete_kept", "keep_project",
}  # fmt: skip
"""Operations on the visitor's session, run or kept project: to others than the visitor, and, where a link
opens it, a guest, it is not there."""
SHOWN = {"get_session", "get_project", "get_run", "watch_run"}

SPEC = create_app(Settings(api_keys=HASHES["client"], visitors=True)).openapi()
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in SPEC["paths"].items()
    for method, operation in methods.items()
}


class Service:
    """A service with keys that lets visitors in, with a session, a run and a kept project of a visitor's."""

    def __init__(self, address: str, cookies: dict[Who, str]) -> None:
        self.address = address
        self._cookies = cookies
        self.ids: dict[str, str] = {
            "token": "",
            "session_id": "",
            "posting_id": "",
            "run_id": "",
            "kept_id": "",
        }

    async def ask(self, who: Who, operation: str) -> httpx.Response:
        """Asks as somebody, about what is the visitor's; of a stream, the head is read."""
        method, path, described = OPERATIONS[operation]
        headers = {"sec-fetch-site": "same-origin"}
        if who in KEYS:
            headers["authorization"] = f"Bearer {KEYS[who]}"
        if who in self._cookies:
            headers["cookie"] = f"{COOKIE}={self._cookies[who]}"
        params = {"token": self.ids["token"]} if who == "guest" else {}
        wanted = {
            p["name"] for p in described.get("parameters", []) if p["in"] == "query" and p.get("required")
        }
        params |= {"q": "Java", "k": "1"} if "q" in wanted else {}
        params |= {"session_id": self.ids["session_id"]} if "session_id" in wanted else {}
        asked = re.sub(r"\{(\w+)\}", lambda match: self.ids.get(match[1], "summarize.ko"), path)
        async with (
            httpx.AsyncClient(base_url=self.address, timeout=time_limit()) as client,
            client.stream(
                method, asked, headers=headers, params=params,
                json=self._body(operation) if "requestBody" in described else None,
            ) as response,
        ):  # fmt: skip
            if response.headers.get("content-type", "").startswith("application/json"):
                await response.aread()
            return response

    def _body(self, operation: str) -> Any:
        """A body that is no valid one, unless what is asked for is the visitor's."""
        return {"session_id": self.ids["session_id"]} if operation == "keep_project" else {}


@pytest.fixture(scope="module")
async def service(settings: Settings) -> AsyncIterator[Service]:
    given = {"api_keys": HASHES["client"], "admin_keys": HASHES["admin"], "visitors": True}
    async with served(settings.model_copy(update=given)) as address:
        cookies: dict[Who, str] = {}
        for who in ("visitor", "other"):
            async with httpx.AsyncClient(base_url=address, timeout=time_limit()) as client:
                await client.get("/")
                cookies[who] = client.cookies[COOKIE]  # type: ignore[index]
        made = Service(address, cookies)
        headers = {"sec-fetch-site": "same-origin", "cookie": f"{COOKIE}={cookies['visitor']}"}
        async with httpx.AsyncClient(base_url=address, timeout=time_limit(), headers=headers) as client:
            asked = {"kind": "generate", "input": {"profile": PROFILE}}
            run = (await client.post("/runs", json=asked)).json()
            async with client.stream("GET", f"/runs/{run['run_id']}/events") as events:
                async for _ in events.aiter_lines():
                    pass
            session_id = run["session_id"]
            session = (await client.get(f"/sessions/{session_id}")).json()
            made.ids |= {
                "session_id": session_id,
                "run_id": run["run_id"],
                "posting_id": session["postings"][0]["posting_id"],
                "kept_id": (await client.post("/kept", json={"session_id": session_id})).json()["kept_id"],
                "token": (await client.post(f"/sessions/{session_id}/share")).json()["token"],
            }
        yield made


def test_it_is_said_of_every_operation_who_may_ask() -> None:
    assert set(LET_IN) == set(OPERATIONS)


def order(operation: str) -> tuple[bool, str]:
    """What deletes comes last."""
    return OPERATIONS[operation][0] == "DELETE", operation


@pytest.mark.parametrize("operation", sorted(OPERATIONS, key=order))
@pytest.mark.parametrize("who", EVERYBODY)
async def test_a_route_is_for_those_who_are_named(service: Service, who: Who, operation: str) -> None:
    if who == "visitor" and OPERATIONS[operation][0] == "DELETE":
        pytest.skip("is theirs, and would be gone for those who are asked next")
    response = await service.ask(who, operation)
    if who not in LET_IN[operation]:
        forbidden = operation in ("reload_prompts", "pin_prompt") and who == "client"
        assert response.status_code == (403 if forbidden else 401)
    elif operation in OWNED and who != "visitor" and not (who == "guest" and operation in SHOWN):
        assert response.status_code == 404
    else:
        assert response.status_code not in (401, 403, 404, 405)


async def test_others_see_no_run_of_a_session(service: Service) -> None:
    for who, number in (("visitor", 1), ("guest", 1), ("other", 0), ("client", 0)):
        response = await service.ask(who, "list_runs")  # type: ignore[arg-type]
        assert len(response.json()["runs"]) == number, who

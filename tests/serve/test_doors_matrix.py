"""Who reaches which route: every operation of the OpenAPI description, asked by everybody there is, where the
keys are the environment's and where they are stored.

A new route is asked too, by everybody, and this test fails until somebody has said here who may.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Iterable
from typing import Any, Literal, get_args

import httpx
import pytest
from pydantic import SecretStr

from serve.app import create_app
from serve.keys.store import revoke_keys, rotate_key
from serve.visitors import COOKIE
from tests.databases import cloned
from tests.pace import time_limit
from tests.serve.conftest import served
from tests.serve.keys import database, made
from tools.core.settings import Settings

PROFILE: dict[str, Any] = {"desired_job": "백엔드 개발자", "skills": ["Java"]}

Who = Literal[
    "nobody", "wrong key", "revoked key", "replaced key", "visitor", "other visitor", "guest", "client",
    "other client", "admin",
]  # fmt: skip
EVERYBODY: tuple[Who, ...] = get_args(Who)
KEYED: frozenset[Who] = frozenset({"client", "other client", "admin"})
PEOPLE: frozenset[Who] = KEYED | {"visitor", "other visitor"}
"""Whoever is let in, where everybody has their own."""
ALL: frozenset[Who] = frozenset(EVERYBODY)
OWNERS: tuple[Who, ...] = ("visitor", "client")
"""Of each there is a session, a run and a kept project."""
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
"""Operations on somebody's session, run or kept project: to others than them, and, where a link opens it, a
guest, it is not there."""
SHOWN = {"get_session", "get_project", "get_run", "watch_run"}

SPEC = create_app(Settings(api_keys=SecretStr(f"client:{'0' * 64}"), visitors=True)).openapi()
OPERATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in SPEC["paths"].items()
    for method, operation in methods.items()
}


class Service:
    """A service with keys that lets visitors in, with a session, a run and a kept project of each owner's."""

    def __init__(self, address: str, keys: dict[Who, str], cookies: dict[Who, str]) -> None:
        self.address = address
        self._keys = keys
        self._cookies = cookies
        self.ids: dict[Who, dict[str, str]] = {}
        """By owner, what is theirs."""

    def headers(self, who: Who) -> dict[str, str]:
        """What somebody's requests carry."""
        headers = {"sec-fetch-site": "same-origin"}
        if who in self._keys:
            headers["authorization"] = f"Bearer {self._keys[who]}"
        if who in self._cookies:
            headers["cookie"] = f"{COOKIE}={self._cookies[who]}"
        return headers

    async def make(self, owner: Who) -> None:
        """Lets somebody have a session with a run, a link and a kept project."""
        async with httpx.AsyncClient(
            base_url=self.address, timeout=time_limit(), headers=self.headers(owner)
        ) as client:
            asked = {"kind": "generate", "input": {"profile": PROFILE}}
            run = (await client.post("/runs", json=asked)).json()
            async with client.stream("GET", f"/runs/{run['run_id']}/events") as events:
                async for _ in events.aiter_lines():
                    pass
            session_id = run["session_id"]
            session = (await client.get(f"/sessions/{session_id}")).json()
            self.ids[owner] = {
                "session_id": session_id,
                "run_id": run["run_id"],
                "posting_id": session["postings"][0]["posting_id"],
                "kept_id": (await client.post("/kept", json={"session_id": session_id})).json()["kept_id"],
                "token": (await client.post(f"/sessions/{session_id}/share")).json()["token"],
            }

    async def ask(self, who: Who, operation: str, whose: Who = "visitor") -> httpx.Response:
        """Asks as somebody, about what is an owner's; of a stream, the head is read."""
        method, path, described = OPERATIONS[operation]
        ids = self.ids[whose]
        params = {"token": ids["token"]} if who == "guest" else {}
        wanted = {
            p["name"] for p in described.get("parameters", []) if p["in"] == "query" and p.get("required")
        }
        params |= {"q": "Java", "k": "1"} if "q" in wanted else {}
        params |= {"session_id": ids["session_id"]} if "session_id" in wanted else {}
        asked = re.sub(r"\{(\w+)\}", lambda match: ids.get(match[1], "summarize.ko"), path)
        # A body that is no valid one, unless what is asked for is the owner's.
        body = {"session_id": ids["session_id"]} if operation == "keep_project" else {}
        async with (
            httpx.AsyncClient(base_url=self.address, timeout=time_limit()) as client,
            client.stream(
                method, asked, headers=self.headers(who), params=params,
                json=body if "requestBody" in described else None,
            ) as response,
        ):  # fmt: skip
            if response.headers.get("content-type", "").startswith("application/json"):
                await response.aread()
            return response


def in_the_environment(names: Iterable[str], keys: dict[Who, str]) -> SecretStr:
    """A setting with keys, each made here and put among `keys`."""
    keys.update({name: f"the key of {name}" for name in names})  # type: ignore[misc]
    return SecretStr(
        ",".join(
            f"{name.replace(' ', '-')}:{hashlib.sha256(keys[name].encode()).hexdigest()}"  # type: ignore[index]
            for name in names
        )
    )


@pytest.fixture(scope="module", params=["in the environment", "stored"])
async def service(
    request: pytest.FixtureRequest, embedded: Settings, samples_template: str
) -> AsyncIterator[Service]:
    keys: dict[Who, str] = {"wrong key": "a key that nobody has"}
    given: dict[str, Any] = {"visitors": True}
    async with cloned(embedded, samples_template) as settings:
        async with database(settings) as connection:
            if request.param == "stored":
                keys["client"] = await made(connection, "client")
                keys["other client"] = await made(connection, "other-client")
                keys["admin"] = await made(connection, "admin", admin=True)
            else:
                given["api_keys"] = in_the_environment(("client", "other client"), keys)
                given["admin_keys"] = in_the_environment(("admin",), keys)
            # Of administrators, so that these could do whatever there is, while they counted.
            keys["revoked key"] = await made(connection, "former", admin=True)
            await revoke_keys(connection, "former")
            keys["replaced key"] = await made(connection, "renewed", admin=True)
            await rotate_key(connection, "renewed", 0)
        async with served(settings.model_copy(update=given)) as address:
            cookies: dict[Who, str] = {}
            for who in ("visitor", "other visitor"):
                async with httpx.AsyncClient(base_url=address, timeout=time_limit()) as client:
                    await client.get("/")
                    cookies[who] = client.cookies[COOKIE]  # type: ignore[index]
            service = Service(address, keys, cookies)
            for owner in OWNERS:
                await service.make(owner)
            yield service


def test_it_is_said_of_every_operation_who_may_ask() -> None:
    assert set(LET_IN) == set(OPERATIONS)


def order(operation: str) -> tuple[bool, str]:
    """What deletes comes last."""
    return OPERATIONS[operation][0] == "DELETE", operation


@pytest.mark.parametrize("operation", sorted(OPERATIONS, key=order))
@pytest.mark.parametrize("who", EVERYBODY)
async def test_a_route_is_for_those_who_are_named(service: Service, who: Who, operation: str) -> None:
    for whose in OWNERS if operation in OWNED else OWNERS[:1]:
        if who == whose and OPERATIONS[operation][0] == "DELETE":
            continue  # it would be gone for those who are asked next
        response = await service.ask(who, operation, whose)
        if who not in LET_IN[operation]:
            forbidden = operation in ("reload_prompts", "pin_prompt") and who in KEYED
            assert response.status_code == (403 if forbidden else 401)
        elif operation in OWNED and who != whose and not (who == "guest" and operation in SHOWN):
            assert response.status_code == 404
        else:
            assert response.status_code not in (401, 403, 404, 405)


async def test_others_see_no_run_of_a_session(service: Service) -> None:
    who: Who
    for who, number in (("visitor", 1), ("guest", 1), ("other visitor", 0), ("client", 0)):  # type: ignore[assignment]
        response = await service.ask(who, "list_runs")
        assert len(response.json()["runs"]) == number, who

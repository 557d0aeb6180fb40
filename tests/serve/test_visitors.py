"""Visitors of the pages, and guests who have a link: what is theirs, and what is not."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from serve.signatures import Signatures
from serve.visitors import COOKIE
from tests.pace import time_limit
from tests.serve.conftest import client_of, served
from tools.core.settings import Settings

PROFILE: dict[str, Any] = {
    "desired_job": "백엔드 개발자",
    "skills": ["Java"],
    "introduction": "한때 나루터 상회에서 일했습니다.",
}
KEY = "a key of the front end"
KEYS = SecretStr(f"web:{hashlib.sha256(KEY.encode()).hexdigest()}")
BEARER = {"authorization": f"Bearer {KEY}"}
OWN = {"sec-fetch-site": "same-origin"}
SECRET = "0123456789abcdef" * 2


@asynccontextmanager
async def visiting(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A browser that has opened the first page: its cookie, and what it says of each request."""
    async with httpx.AsyncClient(base_url=address, timeout=time_limit(), headers=OWN) as client:
        assert (await client.get("/")).status_code == 200
        yield client


async def generated(client: httpx.AsyncClient, **headers: str) -> str:
    response = await client.post("/generate/invoke", json={"input": {"profile": PROFILE}}, headers=headers)
    assert response.status_code == 200, response.text
    return str(response.json()["output"]["session_id"])


@pytest.fixture
async def ada(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A visitor of a service without keys."""
    async with visiting(address) as client:
        yield client


@pytest.fixture
async def bob(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """Another one."""
    async with visiting(address) as client:
        yield client


@pytest.fixture(scope="module")
async def open_address(settings: Settings) -> AsyncIterator[str]:
    """A service with keys that lets visitors in."""
    async with served(settings.model_copy(update={"api_keys": KEYS, "visitors": True})) as running:
        yield running


async def test_a_page_gives_a_cookie_that_no_script_and_no_other_site_gets(address: str) -> None:
    async with httpx.AsyncClient(base_url=address, timeout=time_limit()) as client:
        response = await client.get("/")
        cookie = response.headers["set-cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        assert {"HttpOnly", "SameSite=lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
        assert "Secure" not in cookie
        assert response.headers["cache-control"] == "private, no-cache"
        for path in ("/healthz", "/docs", "/prompts", "/static/style.css", "/postings/search?q=Java&k=1"):
            assert "set-cookie" not in (await client.get(path)).headers, path


async def test_behind_https_the_cookie_is_sent_over_nothing_else(address: str) -> None:
    """The proxy on this machine says how it was asked, and uvicorn believes it."""
    async with httpx.AsyncClient(base_url=address, timeout=time_limit()) as client:
        response = await client.get("/", headers={"x-forwarded-proto": "https"})
        assert "; Secure" in response.headers["set-cookie"]


async def test_whoever_comes_again_is_the_same_visitor(ada: httpx.AsyncClient) -> None:
    session_id = await generated(ada)
    await ada.get("/")
    assert (await ada.get(f"/sessions/{session_id}")).status_code == 200


async def test_a_visitors_session_is_nobody_elses(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    session_id = await generated(ada)
    for other in (bob, client):
        assert (await other.get(f"/sessions/{session_id}")).status_code == 404
        assert (await other.delete(f"/sessions/{session_id}")).status_code == 404
    assert (await ada.get(f"/sessions/{session_id}")).status_code == 200
    assert (await ada.delete(f"/sessions/{session_id}")).status_code == 204


@pytest.mark.parametrize(
    "how",
    ["", "x", "0" * 32, "0" * 32 + ".aaaaaa.bbbb", "cut", "other id", "other secret", "a link's token", "é"],
)
async def test_a_cookie_that_was_made_up_is_nobodys(ada: httpx.AsyncClient, address: str, how: str) -> None:
    session_id = await generated(ada)
    own = str(ada.cookies[COOKIE])
    token = (await ada.post(f"/sessions/{session_id}/share")).json()["token"]
    cookie = {
        "cut": own[:-1],
        "other id": "0" * 32 + own[32:],
        "other secret": Signatures(SECRET, 30).cookie(own[:32]),
        "a link's token": token,
    }.get(how, how)
    async with httpx.AsyncClient(base_url=address, timeout=time_limit(), headers=OWN) as client:
        asked = [(b"cookie", f"{COOKIE}={cookie}".encode("latin-1"))]
        response = await client.get(f"/sessions/{session_id}", headers=asked)
        assert response.status_code == 404


def test_an_old_cookie_counts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    signatures = Signatures(SECRET, kept_days=30)
    cookie = signatures.cookie()
    assert signatures.visitor_id(cookie) == cookie[:32]
    for days, known in ((30.9, True), (31.1, False)):
        monkeypatch.setattr("itsdangerous.timed.time.time", lambda days=days: 86_400 * days + _signed(cookie))
        assert (signatures.visitor_id(cookie) is not None) is known


def _signed(cookie: str) -> int:
    from itsdangerous.encoding import base64_decode, bytes_to_int  # noqa: PLC0415

    return bytes_to_int(base64_decode(cookie.split(".")[1]))


async def test_every_worker_of_a_service_knows_its_visitors(settings: Settings, address: str) -> None:
    """The secret that the first one made is in PostgreSQL."""
    async with visiting(address) as client, served(settings) as other:
        session_id = await generated(client)
        async with httpx.AsyncClient(base_url=other, timeout=time_limit(), headers=OWN) as elsewhere:
            elsewhere.cookies.set(COOKIE, client.cookies[COOKIE])
            assert (await elsewhere.get(f"/sessions/{session_id}")).status_code == 200


async def test_a_secret_of_the_operators_is_taken(settings: Settings) -> None:
    given = settings.model_copy(update={"cookie_secret": SecretStr(SECRET)})
    async with served(given) as running, visiting(running) as client:
        assert Signatures(SECRET, settings.kept_days).visitor_id(str(client.cookies[COOKIE]))


@pytest.mark.parametrize("secret", ["short", "x" * 31])
def test_a_secret_that_can_be_guessed_is_refused(secret: str) -> None:
    with pytest.raises(ValidationError, match="too short"):
        Settings(cookie_secret=SecretStr(secret))


class TestOtherPages:
    """A browser sends the cookie along with what a page of a sister site asks for."""

    @pytest.mark.parametrize(
        "headers",
        [
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "none"},
            {"sec-fetch-site": "same-site", "sec-fetch-mode": "navigate"},
            {"sec-fetch-site": ""},
            {"sec-fetch-site": "", "origin": "null"},
            {"sec-fetch-site": "", "origin": "http://sister.localhost"},
        ],
    )
    @pytest.mark.parametrize(
        ("method", "path"), [("DELETE", "/sessions/{}"), ("POST", "/sessions/{}/share"), ("POST", "/kept")]
    )
    async def test_change_nothing(
        self, open_address: str, method: str, path: str, headers: dict[str, str]
    ) -> None:
        async with visiting(open_address) as client:
            response = await client.request(method, path.format("0" * 32), json={}, headers=headers)
            assert response.status_code == 403
            assert "own pages" in response.json()["error"]["message"]

    @pytest.mark.parametrize("headers", [{"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"}])
    async def test_read_nothing(self, open_address: str, headers: dict[str, str]) -> None:
        async with visiting(open_address) as client:
            response = await client.get("/postings/search?q=Java&k=1", headers=headers)
            assert response.status_code == 403

    async def test_a_link_to_it_may_be_followed(self, open_address: str) -> None:
        async with visiting(open_address) as client:
            followed = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
            response = await client.get("/postings/search?q=Java&k=1", headers=followed)
            assert response.status_code == 200

    async def test_its_own_may_over_plain_http_too(self, open_address: str) -> None:
        """Where browsers say nothing but the origin."""
        async with visiting(open_address) as client:
            own = {"sec-fetch-site": "", "origin": open_address}
            response = await client.delete(f"/sessions/{'0' * 32}", headers=own)
            assert response.status_code == 404


class TestWithKeys:
    """A service with keys is for those who have one, unless its operator opens the pages."""

    async def test_it_has_no_visitors(self, settings: Settings) -> None:
        secret = {"api_keys": KEYS, "cookie_secret": SecretStr(SECRET)}
        async with client_of(settings.model_copy(update=secret)) as client:
            assert "set-cookie" not in (await client.get("/")).headers
            client.cookies.set(COOKIE, Signatures(SECRET, 30).cookie())
            response = await client.get("/postings/search?q=Java&k=1", headers=OWN)
            assert response.status_code == 401

    async def test_hosts_need_the_setting_too(self, settings: Settings) -> None:
        """A proxy in front of a service without keys: others than this machine come."""
        async with client_of(settings.model_copy(update={"hosts": ("*",)})) as client:
            assert "set-cookie" not in (await client.get("/")).headers
        hosts = {"hosts": ("*",), "visitors": True}
        async with client_of(settings.model_copy(update=hosts)) as client:
            assert "set-cookie" in (await client.get("/")).headers

    async def test_opened_they_reach_what_the_pages_need(self, open_address: str) -> None:
        async with visiting(open_address) as client:
            assert (await client.get("/postings/search?q=Java&k=1")).status_code == 200
            assert (await client.get("/postings/p-1")).status_code == 200
            assert (await client.get("/kept")).json() == {"kept": []}

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/generate/invoke"),
            ("POST", "/generate/stream"),
            ("POST", "/regenerate/batch"),
            ("GET", "/generate/input_schema"),
            ("GET", "/prompts"),
            ("POST", "/prompts/reload"),
            ("POST", "/prompts/summarize.ko/pin"),
            ("GET", "/nowhere"),
            ("POST", "/kept/x"),
        ],
    )
    async def test_and_nothing_else(self, open_address: str, method: str, path: str) -> None:
        async with visiting(open_address) as client:
            response = await client.request(method, path, json={})
            assert response.status_code == 401

    async def test_a_key_counts_before_a_cookie(self, open_address: str) -> None:
        async with visiting(open_address) as client:
            session_id = await generated(client, **BEARER)
            assert (await client.get(f"/sessions/{session_id}")).status_code == 404
            assert (await client.get(f"/sessions/{session_id}", headers=BEARER)).status_code == 200
            wrong = {"authorization": "Bearer wrong"}
            assert (await client.get("/postings/p-1", headers=wrong)).status_code == 401


@pytest.fixture(scope="module")
async def shared(open_address: str) -> AsyncIterator[dict[str, str]]:
    async with httpx.AsyncClient(base_url=open_address, timeout=time_limit(), headers=BEARER) as client:
        session_id = await generated(client)
        response = await client.post(f"/sessions/{session_id}/share")
        assert response.status_code == 200
        link = response.json()
        assert link["url"] == f"/s/{session_id}?token={link['token']}"
        other = await generated(client)
        yield {"id": session_id, "token": link["token"], "other": other}


@pytest.fixture
async def guest(open_address: str, shared: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    token = {"token": shared["token"]}
    async with httpx.AsyncClient(base_url=open_address, timeout=time_limit(), params=token) as client:
        yield client


class TestLinks:
    """A link shows one session, read-only."""

    async def test_shows_the_session_without_what_the_person_says_of_themself(
        self, guest: httpx.AsyncClient, shared: dict[str, str]
    ) -> None:
        response = await guest.get(f"/sessions/{shared['id']}")
        assert response.status_code == 200
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-robots-tag"] == "noindex"
        assert response.headers["referrer-policy"] == "same-origin"
        shown = response.json()
        assert shown["project"]["steps"]
        assert shown["profile"]["desired_job"] == PROFILE["desired_job"]
        assert shown["profile"]["skills"] == PROFILE["skills"]
        assert "나루터" not in response.text
        text = (await guest.get(f"/sessions/{shared['id']}/project.md")).text
        assert shown["project"]["title"].split()[0] in text

    async def test_shows_the_postings_of_the_session_and_no_others(
        self, guest: httpx.AsyncClient, shared: dict[str, str]
    ) -> None:
        shown = {
            row["posting_id"] for row in (await guest.get(f"/sessions/{shared['id']}")).json()["postings"]
        }
        assert (await guest.get(f"/postings/{min(shown)}")).status_code == 200
        other = next(f"p-{n}" for n in range(1, 100) if f"p-{n}" not in shown)
        assert (await guest.get(f"/postings/{other}")).status_code == 404

    async def test_opens_nothing_else(self, guest: httpx.AsyncClient, shared: dict[str, str]) -> None:
        assert (await guest.get(f"/sessions/{shared['other']}")).status_code == 404
        for method, path in (
            ("DELETE", f"/sessions/{shared['id']}"),
            ("POST", f"/sessions/{shared['id']}/share"),
            ("POST", "/kept"),
            ("GET", "/kept"),
            ("GET", "/postings/search?q=Java"),
            ("POST", "/regenerate/invoke"),
            ("GET", "/prompts"),
        ):
            response = await guest.request(method, path, json={"session_id": shared["id"]})
            assert response.status_code == 401, path

    async def test_a_token_that_was_changed_opens_nothing(
        self, open_address: str, shared: dict[str, str]
    ) -> None:
        async with httpx.AsyncClient(base_url=open_address, timeout=time_limit()) as client:
            moved = shared["other"] + shared["token"].removeprefix(shared["id"])
            for token in ("", "x", shared["token"][:-2], moved, f"{shared['id']}."):
                answer = await client.get(f"/sessions/{shared['other']}", params={"token": token})
                assert answer.status_code == 401, token

    async def test_only_its_owner_shares_a_session(self, open_address: str, shared: dict[str, str]) -> None:
        async with visiting(open_address) as client:
            assert (await client.post(f"/sessions/{shared['id']}/share")).status_code == 404

    async def test_ends_with_the_session(self, open_address: str) -> None:
        async with httpx.AsyncClient(base_url=open_address, timeout=time_limit()) as client:
            session_id = await generated(client, **BEARER)
            link = (await client.post(f"/sessions/{session_id}/share", headers=BEARER)).json()
            token = {"token": link["token"]}
            assert (await client.get(f"/sessions/{session_id}", params=token)).status_code == 200
            await client.delete(f"/sessions/{session_id}", headers=BEARER)
            assert (await client.get(f"/sessions/{session_id}", params=token)).status_code == 404

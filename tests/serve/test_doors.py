"""What a request passes before anything is done with it: names, origins, keys, the size of its body."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from serve.app import create_app
from serve.bodies import MAX_BODY_BYTES
from serve.cli import _settings_for
from serve.origins import host_name, is_loopback
from tests.databases import environment
from tests.pace import time_limit
from tests.serve.conftest import client_of
from tests.serve.processes import COMMAND, free_port
from tools.core.errors import SetupError
from tools.core.settings import Settings

KEY = "a key of the front end"
KEYS = SecretStr(f"web:{hashlib.sha256(KEY.encode()).hexdigest()}")
PAGE = "https://app.example.com"
SEARCH = "/postings/search?q=backend&k=1"
POSTS = (
    "/generate/invoke",
    "/generate/batch",
    "/generate/stream",
    "/generate/stream_events",
    "/regenerate/invoke",
    "/regenerate/batch",
    "/regenerate/stream",
    "/regenerate/stream_events",
    "/prompts/reload",
    "/prompts/summarize.ko/pin",
    "/no/such/route",
)


@pytest.fixture(scope="module")
async def keyed(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A service with keys, whose pages are elsewhere."""
    given = settings.model_copy(update={"api_keys": KEYS, "cors_origins": (PAGE,)})
    async with client_of(given) as client:
        yield client


@pytest.fixture
async def keyless(address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A service as `make run` starts it, for a program that has not opened a page: it has no cookie."""
    async with httpx.AsyncClient(base_url=address, timeout=time_limit()) as client:
        yield client


def refused(response: httpx.Response) -> str:
    assert response.status_code == 403, response.text
    error = response.json()["error"]
    assert error["code"] == "forbidden"
    return str(error["message"])


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:8000", "[::1]:8000", "a.localhost", "127.9.9.9"]
)
async def test_a_service_without_keys_answers_to_the_names_of_this_machine(
    keyless: httpx.AsyncClient, host: str
) -> None:
    assert (await keyless.get("/healthz", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "10.0.0.1",
        "127.0.0.1.nip.example",
        "[2001:db8::1]:80",
        "0.0.0.0",  # noqa: S104
    ],
)
@pytest.mark.parametrize("path", ["/healthz", SEARCH, "/", "/docs", "/no/such/route"])
async def test_and_to_no_others(keyless: httpx.AsyncClient, path: str, host: str) -> None:
    """A page's server can point its own name at this machine, and its page read what comes back."""
    assert "CHECKERBOARD_HOSTS" in refused(await keyless.get(path, headers={"host": host}))


async def test_a_second_host_is_looked_at_too(address: str) -> None:
    name, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    )
    answer = await asyncio.wait_for(reader.read(), time_limit())
    writer.close()
    assert answer.split()[1] in (b"400", b"403")


async def test_the_operator_may_name_hosts(settings: Settings) -> None:
    async with client_of(settings.model_copy(update={"hosts": ("checkerboard.lan",)})) as client:
        assert (await client.get("/healthz", headers={"host": "Checkerboard.LAN:80"})).status_code == 200
        refused(await client.get("/healthz", headers={"host": "localhost"}))
    async with client_of(settings.model_copy(update={"hosts": ("*",)})) as client:
        assert (await client.get("/healthz", headers={"host": "anything.example"})).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:3000", "http://127.0.0.1", "file://", ""]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/generate/invoke"),
        ("GET", SEARCH),
        ("DELETE", "/sessions/x"),
        ("OPTIONS", "/generate/invoke"),
    ],
)
async def test_pages_of_other_sites_reach_nothing(
    keyless: httpx.AsyncClient, method: str, path: str, origin: str
) -> None:
    asked = {"origin": origin, "content-type": "application/json", "access-control-request-method": "POST"}
    response = await keyless.request(method, path, headers=asked, content=b"{}")
    assert "CHECKERBOARD_CORS_ORIGINS" in refused(response)
    assert "access-control-allow-origin" not in response.headers


async def test_its_own_page_does(keyless: httpx.AsyncClient) -> None:
    own = str(keyless.base_url).rstrip("/")
    assert (await keyless.get(SEARCH, headers={"origin": own})).status_code == 200
    assert (await keyless.get(SEARCH, headers={"sec-fetch-site": "same-origin"})).status_code == 200


async def test_a_link_is_followed_and_a_picture_is_not(keyless: httpx.AsyncClient) -> None:
    """`<img src=…>` of another site's page asks without an Origin; each search is paid for."""
    elsewhere = {"sec-fetch-site": "cross-site"}
    assert (await keyless.get("/", headers={**elsewhere, "sec-fetch-mode": "navigate"})).status_code == 200
    refused(await keyless.get(SEARCH, headers={**elsewhere, "sec-fetch-mode": "no-cors"}))


async def test_listed_origins_may_call(settings: Settings) -> None:
    async with client_of(settings.model_copy(update={"cors_origins": (PAGE,)})) as client:
        asked = {
            "origin": PAGE,
            "access-control-request-method": "POST",
            "access-control-request-headers": "content-type",
        }
        allowed = await client.options("/generate/invoke", headers=asked)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == PAGE
        answered = await client.get(SEARCH, headers={"origin": PAGE})
        assert (answered.status_code, answered.headers["access-control-allow-origin"]) == (200, PAGE)
        refused(await client.get(SEARCH, headers={"origin": "https://evil.example"}))


async def test_with_keys_the_key_decides(keyed: httpx.AsyncClient) -> None:
    """What checks health asks by an address, and a proxy hands on whatever name it was asked under."""
    anywhere = {"host": "10.1.2.3:8000", "authorization": f"Bearer {KEY}"}
    assert (await keyed.get(SEARCH, headers=anywhere)).status_code == 200
    assert (await keyed.get("/healthz", headers={"host": "10.1.2.3:8000"})).status_code == 200
    foreign = await keyed.get(SEARCH, headers={**anywhere, "origin": "https://evil.example"})
    assert "access-control-allow-origin" not in foreign.headers


async def test_a_browser_may_read_why_it_was_refused(keyed: httpx.AsyncClient) -> None:
    asked = {
        "origin": PAGE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    assert (await keyed.options("/generate/invoke", headers=asked)).status_code == 200
    response = await keyed.post("/generate/invoke", headers={"origin": PAGE}, json={})
    assert (response.status_code, response.headers["access-control-allow-origin"]) == (401, PAGE)


@pytest.mark.parametrize("path", [*POSTS, "/sessions/x"])
@pytest.mark.parametrize(
    "content", [b"", b"{", b"{}", b"x" * (MAX_BODY_BYTES + 1)], ids=["none", "no JSON", "JSON", "too large"]
)
async def test_whoever_has_no_key_learns_that_first(
    keyed: httpx.AsyncClient, path: str, content: bytes
) -> None:
    """Before the body, its type and the path are looked at."""
    for headers in ({}, {"authorization": "Bearer another"}, {"authorization": f"Basic {KEY}"}):
        response = await keyed.post(path, content=content, headers=headers)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "unauthorized"
        assert response.headers["www-authenticate"] == "Bearer"


async def test_pages_and_health_need_no_key(keyed: httpx.AsyncClient) -> None:
    for path in ("/", "/docs", "/playground/", "/openapi.json", "/healthz", "/readyz"):
        assert (await keyed.get(path)).status_code == 200, path


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("chunked", [False, True], ids=["declared", "chunked"])
async def test_a_body_above_the_limit_is_413_on_every_route(
    keyless: httpx.AsyncClient, path: str, chunked: bool
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"input": "'
        for _ in range(20):
            yield b"x" * 100_000

    content: Any = chunks() if chunked else b"x" * (MAX_BODY_BYTES + 1)
    response = await keyless.post(path, content=content, headers={"content-type": "application/json"})
    assert response.status_code == 413
    error = response.json()["error"]
    assert error["code"] == "invalid_request"
    assert error["details"]["fields"][0]["field"] == "body"


@pytest.mark.parametrize("megabytes", [1.2, 12])
@pytest.mark.parametrize("wanted", [413, 401])
async def test_a_client_that_sends_to_the_end_reads_why(
    keyless: httpx.AsyncClient, keyed: httpx.AsyncClient, megabytes: float, wanted: int
) -> None:
    """Python's own client sends a body whole, asks for the connection to be closed, and reads then."""
    client = keyless if wanted == 413 else keyed
    body = b"x" * round(megabytes * 1e6)
    request = urllib.request.Request(  # noqa: S310 - our own server's address
        str(client.base_url.join("/generate/invoke")), body, {"Content-Type": "application/json"}
    )

    def send() -> tuple[int, Any]:
        try:
            urllib.request.urlopen(request, timeout=time_limit())  # noqa: S310
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
        raise AssertionError("it was taken")

    for _ in range(8):
        status, said = await asyncio.to_thread(send)
        assert (status, "error" in said) == (wanted, True)


async def test_whoever_asks_first_sends_nothing(address: str) -> None:
    """With `Expect: 100-continue` the refusal comes instead of the body."""
    name, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(
        b"POST /generate/invoke HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 50000000\r\nExpect: 100-continue\r\n\r\n"
    )
    assert b" 413 " in await asyncio.wait_for(reader.readline(), time_limit())
    writer.close()


async def test_a_key_used_for_another_request_names_no_session(keyless: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "one for two requests"}
    profile = {"desired_job": "백엔드 개발자"}
    first = await keyless.post("/generate/invoke", json={"input": {"profile": profile}}, headers=headers)
    assert first.status_code == 200
    other = {"input": {"profile": {"desired_job": "QA"}}}
    second = await keyless.post("/generate/invoke", json=other, headers=headers)
    error = second.json()["error"]
    assert (second.status_code, error["code"]) == (422, "idempotency_conflict")
    assert "session_id" not in error["details"]


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("localhost:80", "localhost"),
        ("[::1]:8000", "::1"),
        ("[::1]", "::1"),
        ("Example.COM.", "example.com"),
        ("a.b:1", "a.b"),
        ("", ""),
    ],
)
def test_the_name_in_a_host(host: str, name: str) -> None:
    assert host_name(host) == name


def test_loopback() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.255.0.9", "::1", "localhost", "x.localhost")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "10.0.0.1", "localhost.example", "", "2130706433")))  # noqa: S104


def at(address: str) -> list[socket.socket]:
    opened = socket.socket(socket.AF_INET)
    opened.bind((address, 0))
    return [opened]


def test_without_keys_only_this_machine_is_served() -> None:
    everywhere, here = at("0.0.0.0"), at("127.0.0.1")  # noqa: S104
    try:
        given = Settings()
        no = {"keys_needed": False, "insecure_public": False}
        meant = {"keys_needed": False, "insecure_public": True}
        assert _settings_for(given, here, **no) is given
        with pytest.raises(SetupError, match="--insecure-public"):
            _settings_for(given, everywhere, **no)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CHECKERBOARD_HOSTS", "")
            assert _settings_for(given, everywhere, **meant).hosts == ("*",)
        named = Settings(hosts=("checkerboard.lan",))
        assert _settings_for(named, everywhere, **meant) is named
        assert _settings_for(given, everywhere, keys_needed=True, insecure_public=False) is given
    finally:
        for opened in (*everywhere, *here):
            opened.close()


async def test_the_command_says_so(tmp_path: Path, empty_settings: Settings) -> None:
    process = await asyncio.create_subprocess_exec(
        COMMAND, "serve", "--host", "0.0.0.0", "--port", str(free_port()),  # noqa: S104
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env=os.environ | environment(empty_settings),
    )  # fmt: skip
    said, _ = await asyncio.wait_for(process.communicate(), time_limit())
    assert process.returncode == 1
    assert b"--insecure-public" in said
    assert b"keys create NAME" in said
    assert b"Traceback" not in said


@pytest.mark.parametrize(
    "origins",
    [
        ("app.example.com",),
        ("https://app.example.com/",),
        ("https://a.example/x",),
        ("https://*.example",),
        ("*",),
    ],
)
def test_origins_that_are_none_are_told(origins: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="CHECKERBOARD_CORS_ORIGINS"):
        Settings(cors_origins=origins)


def test_every_page_may_call_where_keys_decide() -> None:
    assert Settings(cors_origins=("*",), api_keys=KEYS).cors_origins == ("*",)


async def test_without_names_a_connection_from_elsewhere_is_refused(settings: Settings) -> None:
    """Also where the app is served by another server than ours, at every address, and the caller says that
    it is asking for `localhost`."""
    transport = httpx.ASGITransport(create_app(settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.5:8000") as client:
        refused(await client.get("/healthz", headers={"host": "localhost"}))

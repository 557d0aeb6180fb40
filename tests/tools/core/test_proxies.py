"""Proxies of the environment: for the world outside, never for this machine."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager

import openai
import pytest

from ingest.errors import SourceUnavailableError
from ingest.sources.web import Web, open_web
from ingest.sources.web.addresses import AllowedHosts
from tests import databases
from tests.ingest.sources.conftest import INTERVAL, LOOPBACK, Fetches
from tests.ingest.sources.plain import Plain, ask
from tests.langsmith import langsmith_standin
from tests.pace import time_limit
from tests.serve.processes import COMMAND
from tools.core.errors import SetupError
from tools.core.proxies import exempt_loopback, is_this_machine, proxy_for
from tools.core.settings import CHECKOUT, Settings
from tools.llm.openai_client import chat_endpoint, connection, open_http_client
from tools.prompts.hub import open_hub

OUTSIDE = "https://api.example.com/v1"
NOWHERE = {
    name: value
    for scheme in ("http", "https", "all")
    for name, value in (
        (f"{scheme}_proxy", "http://127.0.0.1:9"),
        (f"{scheme.upper()}_PROXY", "http://127.0.0.1:9"),
    )
}
"""Nothing listens there."""


@pytest.fixture
def fetches() -> Fetches:
    """A log of fetches."""
    return Fetches()


@pytest.fixture
async def web(fetches: Fetches) -> AsyncIterator[Web]:
    """The client of all sources."""
    async with open_web(LOOPBACK, fetches, interval_seconds=INTERVAL) as opened:
        yield opened


@contextmanager
def proxies(named: Mapping[str, str]) -> Iterator[None]:
    """Has the environment name these proxies and no others."""
    before = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    for name in before:
        del os.environ[name]
    os.environ |= named
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            del os.environ[name]
        os.environ |= before


@pytest.mark.parametrize(
    ("named", "proxy"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p:8080"}, "http://p:8080"),
        ({"https_proxy": "http://p:8080"}, "http://p:8080"),
        ({"https_proxy": "http://small:1", "HTTPS_PROXY": "http://LARGE:1"}, "http://small:1"),
        ({"HTTPS_PROXY": "p:8080"}, "http://p:8080"),
        ({"HTTPS_PROXY": "http://u:p%40ss@p:8080"}, "http://u:p%40ss@p:8080"),
        ({"HTTPS_PROXY": "https://p"}, "https://p"),
        ({"HTTP_PROXY": "http://p:8080"}, None),
        ({"ALL_PROXY": "http://p:8080"}, "http://p:8080"),
        ({"ALL_PROXY": "socks5://s:1", "HTTPS_PROXY": "http://p:8080"}, "http://p:8080"),
        ({"HTTPS_PROXY": "http://p:8080", "NO_PROXY": "example.com"}, None),
        ({"HTTPS_PROXY": "http://p:8080", "no_proxy": ".example.com, other.org"}, None),
        ({"HTTPS_PROXY": "http://p:8080", "NO_PROXY": "api.example.com:8443"}, "http://p:8080"),
        ({"HTTPS_PROXY": "http://p:8080", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "http://p:8080", "NO_PROXY": "ample.com"}, "http://p:8080"),
        ({"ALL_PROXY": "socks5://s:1", "NO_PROXY": "api.example.com"}, None),
    ],
)
def test_the_proxy_of_an_address_is_that_of_the_environment(named: dict[str, str], proxy: str | None) -> None:
    with proxies(named):
        assert proxy_for(OUTSIDE) == proxy


@pytest.mark.parametrize(
    "entry", ["10.1.2.0/24", "10.1.2.3", "10.1.2.3:8443", "2001:db8::/32", "[2001:db8::5]"]
)
def test_addresses_and_networks_are_excepted(entry: str) -> None:
    host = "[2001:db8::5]" if "db8" in entry else "10.1.2.3"
    with proxies({"HTTPS_PROXY": "http://p:1", "NO_PROXY": f"a.org, {entry}"}):
        assert proxy_for(f"https://{host}:8443/") is None
        assert proxy_for("https://10.9.9.9:8443/") == "http://p:1"


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "127.0.0.1",
        "127.8.8.8",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0.0.0.0",  # noqa: S104 - it is asked, not bound
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
    ],
)
def test_this_machine_is_never_behind_a_proxy(host: str) -> None:
    with proxies({**NOWHERE, "ALL_PROXY": "socks5://127.0.0.1:9"}):
        for scheme in ("http", "https"):
            assert proxy_for(f"{scheme}://{host}:8000/v1") is None


@pytest.mark.parametrize(
    "host", ["example.com", "localhost.example.com", "128.0.0.1", "127", "1", "[::2]", "notlocalhost"]
)
def test_another_machine_is_another_machine(host: str) -> None:
    assert not is_this_machine(host)


@pytest.mark.parametrize(
    "proxy",
    [
        "socks5://u:secret@s:1",
        "socks5h://s:1",
        "socks4://s",
        "ftp://p",
        "http://",
        "http://p:port",
        "http://[",
    ],
)
def test_what_cannot_be_used_is_one_line_of_advice_without_its_password(proxy: str) -> None:
    for name in ("ALL_PROXY", "https_proxy"):
        with proxies({name: proxy}), pytest.raises(SetupError) as refused:
            proxy_for(OUTSIDE)
        said = refused.value.message
        assert name.upper() in said
        assert "HTTPS_PROXY" in said
        assert "NO_PROXY" in said
        assert "\n" not in said
        assert "secret" not in said


def test_other_libraries_are_told_to_spare_this_machine() -> None:
    with proxies({"HTTP_PROXY": "http://p:1", "NO_PROXY": "example.com"}):
        exempt_loopback()
        exempt_loopback()
        assert os.environ["NO_PROXY"] == os.environ["no_proxy"] == "example.com,localhost,127.0.0.1,::1"
    with proxies({"HTTP_PROXY": "http://p:1", "NO_PROXY": "*"}):
        exempt_loopback()
        assert os.environ["NO_PROXY"] == "*"


class Proxy:
    """An HTTP proxy on loopback, which writes down what it is asked and answers itself."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: list[str] = []

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        async with server:
            self.url = f"http://user:pass@127.0.0.1:{server.sockets[0].getsockname()[1]}"
            yield self

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()


@pytest.mark.filterwarnings(
    "ignore:BasicAuth is deprecated", "ignore:The .proxy_auth. parameter"
)  # the transport
async def test_the_model_and_the_sources_go_out_through_the_proxy(fetches: Fetches) -> None:
    async with Proxy().serving() as proxy:
        with proxies({"HTTP_PROXY": proxy.url, "HTTPS_PROXY": proxy.url}):
            settings = Settings(openai_api_key="any", model_retries=0, model_timeout_seconds=5)
            async with open_http_client(settings) as http_client:
                given = connection(settings, http_client, chat_endpoint(settings))
                client = openai.AsyncOpenAI(
                    api_key="any", http_client=given["http_async_client"], max_retries=0, timeout=5
                )
                with pytest.raises(openai.OpenAIError):
                    await client.models.list()
            async with open_web(Settings(), fetches, interval_seconds=0.001, timeout_seconds=5) as web:
                with pytest.raises(SourceUnavailableError):
                    await web.get(
                        "http://board.example/a", want="json", allowed=AllowedHosts.of("http://board.example")
                    )
    lines = [asked.splitlines()[0] for asked in proxy.asked]
    assert lines[0] == "CONNECT api.openai.com:443 HTTP/1.1"
    assert lines[1] == "GET http://board.example/robots.txt HTTP/1.1"
    key = base64.b64encode(b"user:pass").decode()
    assert all(f"Basic {key}" in asked for asked in proxy.asked)


@pytest.mark.parametrize("named", [NOWHERE, {"ALL_PROXY": "socks5://127.0.0.1:9"}], ids=["http", "socks"])
async def test_what_is_on_loopback_is_asked_directly(
    named: dict[str, str], embedded: Settings, fetches: Fetches
) -> None:
    with proxies(named), langsmith_standin() as langsmith:
        hub = Settings(langsmith_api_key=langsmith.key, langsmith_endpoint=langsmith.url)
        async with (
            Plain().serving() as site,
            open_web(LOOPBACK, fetches, interval_seconds=0.001) as web,
            open_http_client(embedded) as http_client,
            open_hub(hub) as opened,
        ):
            assert opened is not None
            assert (await ask(web, site)).ok
            assert (await http_client.get(f"{embedded.openai_base_url}/models")).status_code == 200
        assert {name: os.environ[name] for name in named} == named


async def test_a_source_behind_a_proxy_that_cannot_be_used_says_what_to_do(web: Web) -> None:
    with (
        proxies({"ALL_PROXY": "socks5://127.0.0.1:9"}),
        pytest.raises(SourceUnavailableError, match="ALL_PROXY"),
    ):
        await web.get(
            "https://board.example/a", want="json", allowed=AllowedHosts.of("https://board.example")
        )


async def ran(settings: Settings, *words: str, **environment: str) -> tuple[int | None, str]:
    """Runs the command; its exit code and all that it printed."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *words,
        cwd=CHECKOUT,
        env={**os.environ, **databases.environment(settings), "COLUMNS": "250", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(time_limit()):
        said, _ = await process.communicate()
    return process.returncode, said.decode()


@pytest.mark.parametrize("named", [NOWHERE, {"ALL_PROXY": "socks5://127.0.0.1:9"}], ids=["http", "socks"])
async def test_the_demo_runs_behind_any_proxy(settings: Settings, named: dict[str, str]) -> None:
    with langsmith_standin() as langsmith:
        traced = {**langsmith.environment(), "LANGSMITH_TRACING": "true"}
        code, said = await ran(settings, "demo", **named, **traced)
        assert (code, "Traceback" in said) == (0, False), said
        assert langsmith.runs, "traces are sent to this machine directly, too"


@pytest.mark.parametrize("command", ["demo", "serve"])
async def test_a_hosted_model_behind_a_proxy_that_cannot_be_used_is_one_line(
    settings: Settings, command: str
) -> None:
    code, said = await ran(settings, command, ALL_PROXY="socks5://u:secret@127.0.0.1:9", OPENAI_API_KEY="any")
    assert code == 1
    [line] = said.strip().splitlines()
    assert "ALL_PROXY names a proxy of the kind socks5://" in line
    assert "api.openai.com" in line
    assert "secret" not in line

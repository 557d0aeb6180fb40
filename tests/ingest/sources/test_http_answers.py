"""Answers are unpacked as they come, one encoding, and never further than they may be."""

from __future__ import annotations

import asyncio
import gzip
import sys
import zlib
from typing import Any

import httpx
import pytest
from aiohttp import web as aio
from hypothesis import given
from hypothesis import strategies as st

from ingest import http_answers
from ingest.errors import SourceUnavailableError
from ingest.sources.web import AllowedHosts, Web
from ingest.sources.web.client import LARGEST
from tests.ingest.sources.standins.server import Site
from tests.pace import time_limit

JSON = b'{"said": "\xea\xb0\x80"}' * 20


def zipped(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def deflated(content: bytes, wbits: int) -> bytes:
    packer = zlib.compressobj(wbits=wbits)
    return packer.compress(content) + packer.flush()


def bomb(size: int, times: int = 1) -> bytes:
    """`size` bytes of spaces behind a JSON value, packed so often."""
    packed = b"1" + b" " * size
    for _ in range(times):
        packed = zipped(packed)
    return packed


class Packed(Site):
    """Sends bytes as they are, under the encoding that it is told."""

    def __init__(self, body: bytes, *encodings: str) -> None:
        super().__init__()
        self._body, self._encodings = body, encodings

    async def answer(self, request: aio.Request) -> aio.Response:
        headers = [("Content-Type", "application/json"), *(("Content-Encoding", e) for e in self._encodings)]
        return aio.Response(body=self._body, headers=headers)


async def body_of(site: Packed, largest: int = 100_000) -> bytes:
    async with (
        site.serving(),
        httpx.AsyncClient(timeout=time_limit()) as client,
        client.stream("GET", f"{site.url}/a") as response,
    ):
        return await http_answers.body(response, largest)


@pytest.mark.parametrize(
    ("packed", "encodings"),
    [
        (JSON, ()),
        (JSON, ("identity",)),
        (JSON, ("",)),
        (zipped(JSON), ("gzip",)),
        (zipped(JSON), ("X-GZIP",)),
        (zipped(JSON), ("identity, gzip",)),
        (zipped(JSON[:50]) + zipped(JSON[50:]), ("gzip",)),
        (zipped(JSON) + bytes(100), ("gzip",)),
        (deflated(JSON, 15), ("deflate",)),
        (deflated(JSON, -15), ("deflate",)),
    ],
    ids=[
        "plain",
        "identity",
        "empty",
        "gzip",
        "x-gzip",
        "identity, gzip",
        "members",
        "padded",
        "zlib",
        "bare",
    ],
)
async def test_one_encoding_is_unpacked(packed: bytes, encodings: tuple[str, ...]) -> None:
    assert await body_of(Packed(packed, *encodings)) == JSON


@pytest.mark.parametrize(
    ("packed", "encodings", "problem"),
    [
        (bomb(10, 2), ("gzip, gzip",), "not asked for"),
        (bomb(10, 2), ("gzip", "gzip"), "not asked for"),
        (zipped(deflated(JSON, 15)), ("deflate, gzip",), "not asked for"),
        (JSON, ("br",), "not asked for"),
        (JSON, ("zstd",), "not asked for"),
        (JSON, ("compress",), "not asked for"),
        (JSON, ("gzip",), "cannot be unpacked"),
        (JSON, ("deflate",), "cannot be unpacked"),
        (zipped(JSON)[:-9], ("gzip",), "breaks off"),
    ],
    ids=["twice", "two headers", "two kinds", "br", "zstd", "compress", "no gzip", "no deflate", "cut"],
)
async def test_what_is_packed_otherwise_is_told(
    packed: bytes, encodings: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(httpx.DecodingError, match=problem):
        await body_of(Packed(packed, *encodings))


@pytest.mark.parametrize(
    "packed", [b"1" * 100_001, bomb(200_000), zipped(b"") * 6_000], ids=["plain", "packed", "of nothing"]
)
async def test_what_is_too_large_is_told_packed_or_not(packed: bytes) -> None:
    with pytest.raises(http_answers.TooLargeError):
        await body_of(Packed(packed, *([] if packed[0] == ord("1") else ["gzip"])))


@given(st.binary(max_size=300), st.integers(1, 200), st.sampled_from(["gzip", "deflate", "bare"]), st.data())
async def test_it_comes_out_as_it_went_in_however_it_is_cut(
    content: bytes, times: int, how: str, data: st.DataObject
) -> None:
    content *= times
    packed = deflated(content, {"gzip": 31, "deflate": 15, "bare": -15}[how])
    cuts = sorted(data.draw(st.lists(st.integers(0, len(packed)), max_size=5)))

    async def pieces() -> Any:
        for start, end in zip([0, *cuts], [*cuts, len(packed)], strict=True):
            yield packed[start:end]

    named = "gzip" if how == "gzip" else "deflate"
    response = httpx.Response(200, headers={"Content-Encoding": named}, content=pieces())
    assert await http_answers.body(response, len(content) + len(packed)) == content


CHILD = """
import asyncio, resource, sys
from ingest.sources.web import AllowedHosts, open_web
from tools.core.errors import CheckerboardError
from tools.core.settings import Settings
class Log:
    async def last(self, url): return None
    async def record(self, fetch): pass
async def main():
    here = Settings(source_networks="127.0.0.0/8")
    async with open_web(here, Log(), interval_seconds=0.01) as web:
        site = sys.argv[1]
        answer = await web.get(site + "/robots-free", want="json", allowed=AllowedHosts.of(site))
        return answer.value
pages = int(open("/proc/self/statm").read().split()[0])
resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 500_000_000,) * 2)
try:
    print("value", asyncio.run(main()))
except CheckerboardError as error:
    print(error.code, error.message)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="macOS takes no limit of memory")
@pytest.mark.parametrize(
    ("packed", "encodings"),
    [(bomb(3_000_000_000 // 1_000, 1), ("gzip",)), (bomb(1_000_000_000, 2), ("gzip, gzip",))],
    ids=["within the limit", "twice"],
)
async def test_a_board_that_sends_a_bomb_takes_no_memory(packed: bytes, encodings: tuple[str, ...]) -> None:
    async with Packed(packed, *encodings).serving() as site:
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CHILD, site.url, stdout=asyncio.subprocess.PIPE
        )
        said, _ = await asyncio.wait_for(child.communicate(), time_limit())
    if encodings == ("gzip",):
        assert said.decode() == "value 1\n"
    else:
        assert said.decode().startswith("source_unavailable")
        assert b"gzip, gzip" in said


async def test_a_board_that_sends_more_than_is_read_is_unavailable(web: Web) -> None:
    async with Packed(bomb(LARGEST), "gzip").serving() as site:
        with pytest.raises(SourceUnavailableError, match="larger than"):
            await web.get(f"{site.url}/a", want="json", allowed=AllowedHosts.of(site.url))

"""The client of the sources: its manners and its patience."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from importlib.metadata import version
from itertools import pairwise

import httpx
import pytest

from ingest.errors import SourceRefusedError, SourceUnavailableError
from ingest.http_answers import retry_after
from ingest.sources.web import Web, open_web
from ingest.sources.web import client as client_module
from ingest.sources.web.hosts import Host
from tests.ingest.sources.conftest import INTERVAL, LOOPBACK, Fetches
from tests.ingest.sources.plain import Plain, ask
from tests.ingest.sources.standins.server import Fault
from tests.pace import scaled, time_limit

HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}


async def test_it_says_who_it_is_and_whom_to_ask(fetches: Fetches) -> None:
    contact = "mailto:누구@example.org\r\nX-Evil: 1"
    async with (
        Plain().serving() as site,
        open_web(LOOPBACK.model_copy(update={"contact": contact}), fetches, interval_seconds=INTERVAL) as web,
    ):
        await ask(web, site)
    [robots, request] = site.asked
    for asked in (robots, request):
        agent = asked.headers["User-Agent"]
        assert agent.startswith(f"checkerboard/{version('checkerboard')} (+mailto:")
        assert agent.endswith(")")
        assert "X-Evil" not in asked.headers


async def test_without_a_contact_it_says_who_it_is(web: Web) -> None:
    async with Plain().serving() as site:
        await ask(web, site)
    assert site.asked[0].headers["User-Agent"] == f"checkerboard/{version('checkerboard')}"


async def test_a_host_is_asked_once_in_an_interval_by_all_sources_together(fetches: Fetches) -> None:
    interval = 0.05
    async with (
        Plain().serving() as site,
        Plain().serving() as other,
        open_web(LOOPBACK, fetches, interval_seconds=interval) as web,
    ):
        began = time.monotonic()
        await asyncio.gather(*(ask(web, site, f"/json{n}") for n in range(6)))
        assert time.monotonic() - began >= 6 * interval, "robots.txt and six requests"
        assert len(site.asked) == 7
        assert (await ask(web, other)).ok


async def test_turns_are_never_nearer_than_the_interval() -> None:
    interval, times = 0.02, []
    async with httpx.AsyncClient() as client:
        host = Host("example.org", client, interval)

        async def send() -> None:
            await host.turn()
            times.append(time.monotonic())
            if len(times) == 3:
                # A machine that hangs: the turns that were due meanwhile come one by one.
                time.sleep(4 * interval)

        await asyncio.gather(*(send() for _ in range(8)))
    assert all(later - earlier >= 0.99 * interval for earlier, later in pairwise(times))


async def test_robots_txt_is_read_once_and_gone_by(web: Web) -> None:
    site = Plain()
    site.robots = "User-agent: *\nDisallow: /json/secret\n\nUser-agent: checkerboard\nDisallow: /json/ours"
    async with site.serving():
        assert (await ask(web, site, "/json/open")).ok
        assert (await ask(web, site, "/json/secret")).ok, "the rules for this crawler are others"
        with pytest.raises(SourceRefusedError, match=r"source refused: .* robots\.txt"):
            await ask(web, site, "/json/ours")
    assert [asked.path for asked in site.asked].count("/robots.txt") == 1
    assert site.paths() == ["/json/open", "/json/secret"]


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_site_without_robots_txt_may_be_read(web: Web, status: int) -> None:
    async with Plain().serving() as site:
        site.fail(Fault(path="/robots.txt", status=status))
        assert (await ask(web, site)).ok


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(status=429), Fault(how="reset")])
async def test_a_site_whose_robots_txt_cannot_be_read_is_not_read_until_it_can(
    web: Web, fault: Fault
) -> None:
    async with Plain().serving() as site:
        site.fail(Fault(fault.how, "/robots.txt", client_module.TRIES, fault.status))
        with pytest.raises(SourceUnavailableError, match=r"robots\.txt"):
            await ask(web, site)
        assert site.paths() == []
        assert (await ask(web, site)).ok


async def test_robots_txt_may_have_moved(web: Web) -> None:
    async with Plain().serving() as site, Plain().serving() as other:
        other.robots = "User-agent: *\nDisallow: /json"
        site.fail(Fault(path="/robots.txt", status=301, headers={"Location": f"{other.url}/robots.txt"}))
        with pytest.raises(SourceRefusedError):
            await ask(web, site)


async def test_a_site_that_wants_slower_requests_gets_them(web: Web) -> None:
    site = Plain()
    site.robots = "User-agent: *\nCrawl-delay: 0.1"
    async with site.serving():
        await ask(web, site)
        began = time.monotonic()
        for _ in range(2):
            await ask(web, site)
        assert time.monotonic() - began >= 0.1


async def test_a_site_that_wants_minutes_between_requests_is_not_read(web: Web) -> None:
    site = Plain()
    site.robots = "User-agent: *\nCrawl-delay: 3600"
    async with site.serving():
        with pytest.raises(SourceRefusedError, match="3600 seconds"):
            await ask(web, site)


# Patience


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
async def test_a_passing_failure_is_tried_again(web: Web, status: int) -> None:
    async with Plain().serving() as site:
        site.fail(Fault(path="/json", status=status, times=2))
        assert (await ask(web, site)).ok
    assert len(site.paths()) == 3


@pytest.mark.parametrize("how", ["reset", "cut"])
async def test_a_broken_answer_is_asked_for_again(web: Web, how: str) -> None:
    async with Plain().serving() as site:
        site.fail(Fault(how, "/json"))
        assert (await ask(web, site)).value["path"] == "/json"
    assert len(site.paths()) == 2


async def test_json_that_is_cut_where_nobody_can_see_is_asked_for_again(web: Web) -> None:
    async with Plain().serving() as site:
        site.fail(Fault(path="/json", status=200, body='{"jobs": [', headers=JSON))
        assert (await ask(web, site)).ok


async def test_a_site_that_hangs_is_asked_again(fetches: Fetches) -> None:
    async with (
        Plain().serving() as site,
        open_web(LOOPBACK, fetches, interval_seconds=INTERVAL, timeout_seconds=scaled(0.5)) as web,
    ):
        site.fail(Fault("hang", "/json"))
        assert (await ask(web, site)).ok
    assert len(site.paths()) == 2


@pytest.mark.parametrize(
    "fault", [Fault(status=500), Fault(status=429), Fault(how="reset"), Fault(how="cut")]
)
async def test_tries_come_to_an_end(web: Web, fault: Fault) -> None:
    async with Plain().serving() as site:
        site.fail(Fault(fault.how, "/json", 99, fault.status))
        with pytest.raises(SourceUnavailableError, match="again later"):
            await ask(web, site)
    assert len(site.paths()) == client_module.TRIES


async def test_a_site_that_is_not_there_is_unavailable(web: Web) -> None:
    async with Plain().serving() as site:
        pass
    with pytest.raises(SourceUnavailableError):
        await ask(web, site)


async def test_each_wait_is_longer_than_the_one_before(fetches: Fetches) -> None:
    interval = 0.05
    async with (
        Plain().serving() as site,
        open_web(LOOPBACK, fetches, interval_seconds=interval) as web,
    ):
        await ask(web, site)
        site.fail(Fault(path="/json", times=2))
        began = time.monotonic()
        await ask(web, site)
        assert time.monotonic() - began >= (1 + 2) * interval


async def test_all_who_ask_a_site_wait_when_it_says_so(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with Plain().serving() as site:
        site.fail(Fault(path="/json/a", status=429, headers={"Retry-After": "1"}))
        async with asyncio.timeout(time_limit()), asyncio.TaskGroup() as tasks:
            tasks.create_task(ask(web, site, "/json/a"))
            while "no good answer" not in caplog.text:
                await asyncio.sleep(0.005)
            tasks.create_task(ask(web, site, "/json/b"))
    [_, refused, *others] = [asked.at for asked in site.asked]
    assert len(others) == 2
    assert min(others) - refused >= 1


async def test_a_wait_of_an_hour_is_left_to_a_later_run(web: Web) -> None:
    async with Plain().serving() as site:
        site.fail(Fault(path="/json", status=503, headers={"Retry-After": "3600"}, times=99))
        with pytest.raises(SourceUnavailableError, match="3600 seconds"):
            await ask(web, site)
    assert len(site.paths()) == 1


def test_retry_after_may_name_a_date() -> None:
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    found = retry_after(httpx.Headers({"Retry-After": soon}))
    assert found is not None
    assert 0 < found <= 60
    for nothing in ({}, {"Retry-After": "soon"}, {"Retry-After": ""}):
        assert retry_after(httpx.Headers(nothing)) is None
    # Not numbers to wait by, though Python takes them for a float or for digits.
    for odd in (b"nan", b"inf", b"\xb2"):
        assert retry_after(httpx.Headers([(b"Retry-After", odd)])) is None
    assert retry_after(httpx.Headers({"Retry-After": "0.3"})) == 0.3

"""The client of the sources: what it takes for a refusal, what is there already, and where it goes."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.errors import DocumentUnreadableError, SourceRefusedError, SourceUnavailableError
from ingest.sources.web import AllowedHosts, Web
from ingest.sources.web import client as client_module
from tests.ingest.sources.names import Names
from tests.ingest.sources.plain import Plain, ask
from tests.ingest.sources.standins.server import CHALLENGE, STORE_DENIED, Fault

HTML = {"Content-Type": "text/html"}
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=401),
        Fault(status=403),
        Fault(status=451),
        Fault(status=403, body=CHALLENGE, headers={"Content-Type": "text/html", "cf-mitigated": "challenge"}),
        Fault(status=503, body=CHALLENGE, headers=HTML),
        Fault(status=200, body=CHALLENGE, headers={"Content-Type": "text/html; charset=UTF-8"}),
        Fault(status=200, headers={"cf-mitigated": "challenge"}),
        Fault(status=200, body="<!DOCTYPE html><p>Log in</p>", headers=HTML),
        Fault(status=200, body="\n<html>Log in</html>", headers={"Content-Type": "text/plain"}),
    ],
)
@pytest.mark.parametrize("want", ["json", "image"])
async def test_a_refusal_ends_the_matter_at_once(web: Web, fault: Fault, want: Any) -> None:
    async with Plain().serving() as site:
        site.fail(Fault("answer", f"/{want}", 1, fault.status, fault.headers, fault.body))
        with pytest.raises(SourceRefusedError, match="source refused: 127"):
            await ask(web, site, f"/{want}", want=want)
    assert len(site.paths()) == 1


async def test_a_host_that_wants_to_see_people_is_not_asked_again(web: Web) -> None:
    async with Plain().serving() as site:
        site.fail(Fault(path="/json", status=403, body=CHALLENGE, headers=HTML))
        for _ in range(2):
            with pytest.raises(SourceRefusedError, match="challenge"):
                await ask(web, site)
    assert len(site.paths()) == 1


async def test_a_challenge_in_the_place_of_robots_txt_is_a_refusal(web: Web) -> None:
    async with Plain().serving() as site:
        site.fail(Fault(path="/robots.txt", status=403, body=CHALLENGE, headers=HTML))
        with pytest.raises(SourceRefusedError):
            await ask(web, site)
    assert site.paths() == []


async def test_a_file_that_a_store_has_no_longer_is_no_refusal(web: Web) -> None:
    async with Plain().serving() as site:
        site.fail(
            Fault(status=403, path="/image", body=STORE_DENIED, headers={"Content-Type": "application/xml"})
        )
        answer = await ask(web, site, "/image", want="image")
    assert (answer.ok, answer.status) == (False, 403)


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_other_statuses_are_for_the_source_to_judge(web: Web, status: int) -> None:
    async with Plain().serving() as site:
        site.fail(Fault(status=status, path="/json", body="잘못된 요청입니다"))
        answer = await ask(web, site)
    assert answer.status == status
    with pytest.raises(SourceUnavailableError, match="잘못된 요청입니다"):
        answer.require_ok()


# What was there already


async def test_what_was_kept_and_has_not_changed_is_told_as_unchanged(web: Web) -> None:
    async with Plain().serving() as site:
        first = await ask(web, site, conditional=True)
        assert not (await ask(web, site, conditional=True)).unchanged, "it was not kept"
        await web.log.record(first.fetch)
        again = await ask(web, site, conditional=True)
        assert (again.unchanged, again.status, again.content) == (True, 304, b"")
        assert again.fetch.content_hash == first.fetch.content_hash
        assert site.asked[-1].headers["If-None-Match"] == first.fetch.etag
        assert not (await ask(web, site)).unchanged


async def test_a_server_without_etags_is_asked_in_full_and_compared(web: Web) -> None:
    async with Plain().serving() as site:
        site.etags = False
        await web.log.record((await ask(web, site, conditional=True)).fetch)
        again = await ask(web, site, conditional=True)
    assert (again.unchanged, again.status) == (True, 200)
    assert "If-None-Match" not in site.asked[-1].headers


async def test_a_time_of_change_is_named_as_the_server_wrote_it(web: Web) -> None:
    moment = "Wed, 21 Oct 2026 07:28:00 GMT"
    async with Plain().serving() as site:
        headers = {"Last-Modified": moment, "Content-Type": "application/json"}
        site.fail(
            Fault(path="/json", status=200, body="[]", headers=headers), Fault(path="/json", status=304)
        )
        await web.log.record((await ask(web, site, conditional=True)).fetch)
        assert (await ask(web, site, conditional=True)).unchanged
    assert site.asked[-1].headers["If-Modified-Since"] == moment


# What comes and where it goes


async def test_packed_answers_are_unpacked(web: Web) -> None:
    async with Plain().serving() as site:
        site.gzip = True
        assert (await ask(web, site)).value["path"] == "/json"
    assert "gzip" in site.asked[-1].headers["Accept-Encoding"]


@pytest.mark.parametrize("gzip", [False, True])
async def test_an_answer_that_is_too_large_is_not_read_to_its_end(
    web: Web, monkeypatch: pytest.MonkeyPatch, gzip: bool
) -> None:
    monkeypatch.setattr(client_module, "LARGEST", 9)
    async with Plain().serving() as site:
        site.gzip = gzip
        with pytest.raises(SourceUnavailableError, match="larger"):
            await ask(web, site)
        with pytest.raises(DocumentUnreadableError, match="larger"):
            await ask(web, site, "/image", want="image")
    assert len(site.paths()) == 2


async def test_redirects_are_followed_within_the_site(web: Web) -> None:
    async with Plain().serving() as site:
        assert (await ask(web, site, "/to?url=/to?url=/json")).ok


@pytest.mark.parametrize("target", ["/to?url=/to", "http://192.0.2.1/json", "file:///etc/passwd", "http://["])
async def test_a_redirect_leads_neither_away_nor_in_circles(web: Web, target: str) -> None:
    async with Plain().serving() as site:
        if target == "/to?url=/to":
            site.fail(Fault(path="/to", status=302, headers={"Location": "/to"}, times=99))
        with pytest.raises((SourceUnavailableError, DocumentUnreadableError)):
            await ask(web, site, f"/to?url={target}")
    assert len(site.paths()) <= client_module.MOST_REDIRECTS + 1


async def test_what_is_sent_is_not_redirected(web: Web) -> None:
    async with Plain().serving() as site:
        allowed = AllowedHosts.of(site.url)
        assert '"a":1' in (await web.post(f"{site.url}/json", {"a": 1}, allowed=allowed)).value["said"]
        with pytest.raises(SourceUnavailableError, match="redirects"):
            await web.post(f"{site.url}/to?url=/json", {}, allowed=allowed)


async def test_a_posting_of_this_machine_may_name_what_is_on_this_machine(web: Web) -> None:
    async with Plain().serving() as site, Plain().serving() as other:
        allowed = AllowedHosts.of(site.url, others=True)
        answer = await web.get(f"{other.url}/image", want="image", allowed=allowed)
        assert (answer.content, answer.media_type) == (b"\x89PNG image", "image/png")
        named = other.url.replace("127.0.0.1", "localhost")
        assert (await web.get(f"{named}/image", want="image", allowed=allowed)).ok
    assert other.asked[-1].headers["Host"] == named.removeprefix("http://")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "10.0.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104 - nothing listens there
        "100.64.0.1",
        "224.0.0.1",
        "[::1]",
        "[fd00::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "2130706433",
        "0x7f.1",
        "017700000001",
        "168.63.129.16",
        "192.0.0.192",
        "192.88.99.1",
        "198.18.0.1",
        "255.255.255.255",
        "[::7f00:1]",
        "[::808:808]",
        "[::ffff:168.63.129.16]",
        "[64:ff9b::a83f:8110]",
        "[64:ff9b:1::808:808]",
        "[100::1]",
        "[2001::1]",
        "[2001:0:808:808::f5ff:fffe]",
        "[2001:20::1]",
        "[2001:db8::1]",
        "[2002:a9fe:a9fe::1]",
        "[2606:4700::5efe:10.0.0.1]",
        "[2606:4700::200:5efe:10.0.0.1]",
        "[3fff::1]",
        "[5f00::1]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
    ],
)
async def test_a_posting_of_a_public_site_names_no_address_within(
    web: Web, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """Nor in a network in which sources may be."""
    Names(monkeypatch, jasoseol=[["8.8.8.8"]])
    allowed = AllowedHosts.of("https://jasoseol.com", others=True)
    with pytest.raises(DocumentUnreadableError, match="not public"):
        await web.get(f"http://{host}/image.png", want="image", allowed=allowed)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://a/b", "http://", "//a/b", "", "http://u:p@a/b", "http://["]
)
async def test_what_is_no_address_is_not_asked(web: Web, url: str) -> None:
    with pytest.raises(DocumentUnreadableError, match="no address"):
        await web.get(url, want="image", allowed=AllowedHosts.of("https://jasoseol.com", others=True))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "192.0.1.1", "2606:4700::1111", "64:ff9b::808:808", "2002:808:808::1"]
)
async def test_a_public_host_is_connected_to_at_the_address_that_was_checked(address: str) -> None:
    url = f"https://[{address}]/a" if ":" in address else f"https://{address}/a"
    assert await AllowedHosts.of("https://jasoseol.com", others=True).addresses(url) == [address]


@given(st.integers(0, 2**128 - 1) | st.integers(0, 2**32 - 1))
@example(int(ipaddress.IPv6Address("64:ff9b:1::1")))
@example(int(ipaddress.IPv6Address("fec0::1")))
async def test_what_the_standard_library_calls_special_is_not_public(number: int) -> None:
    """The list of ours is the longer one: this shows that nothing is missing in it."""
    address = ipaddress.ip_address(number)
    host = f"[{address}]" if address.version == 6 else str(address)
    special = address.is_private or address.is_reserved or address.is_multicast or address.is_link_local
    try:
        await AllowedHosts.of("https://jasoseol.com", others=True).addresses(f"http://{host}/")
    except DocumentUnreadableError:
        return
    assert not special or address in ipaddress.ip_network("64:ff9b::/96")


async def test_an_address_of_a_link_is_no_address(web: Web) -> None:
    for host in ("[fe80::1%25eth0]", "[fe80::1%eth0]"):
        with pytest.raises(DocumentUnreadableError, match="no address"):
            await web.get(
                f"http://{host}/", want="image", allowed=AllowedHosts.of("https://a.org", others=True)
            )


async def test_an_image_that_is_none_is_told(web: Web) -> None:
    async with Plain().serving() as site:
        with pytest.raises(DocumentUnreadableError, match="application/json"):
            await ask(web, site, "/json", want="image")

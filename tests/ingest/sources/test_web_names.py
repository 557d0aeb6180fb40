"""Names of hosts, and where they lead: never within, whoever owns the name, and whatever it says next."""

from __future__ import annotations

import pytest

from ingest.errors import DocumentUnreadableError, SourceUnavailableError
from ingest.sources.web import AllowedHosts, Web, open_web
from tests.ingest.sources.conftest import INTERVAL, Fetches
from tests.ingest.sources.names import Names
from tests.ingest.sources.plain import Plain
from tests.ingest.sources.standins.server import Fault
from tools.core.settings import Settings


def at(site: Plain, host: str) -> str:
    """The address of a site by another name."""
    return site.url.replace("127.0.0.1", host)


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.1.2.3", "::1", "fd00::1"])
async def test_a_source_whose_name_leads_within_is_not_asked(
    fetches: Fetches, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Unless a setting names the network, which no setting does here."""
    async with Plain().serving() as site, open_web(Settings(), fetches, interval_seconds=INTERVAL) as web:
        Names(monkeypatch, board=[["8.8.8.8", address]])
        base = at(site, "board.example")
        with pytest.raises(SourceUnavailableError, match="CHECKERBOARD_SOURCE_NETWORKS"):
            await web.get(f"{base}/json", want="json", allowed=AllowedHosts.of(base))
    assert site.asked == []


async def test_a_network_that_is_named_is_no_other(fetches: Fetches, monkeypatch: pytest.MonkeyPatch) -> None:
    named = Settings(source_networks="127.0.0.1/32")  # type: ignore[arg-type]
    async with Plain().serving() as site, open_web(named, fetches, interval_seconds=INTERVAL) as web:
        Names(monkeypatch, board=[["127.0.0.1"]], other=[["127.0.0.2"]])
        for name, reached in (("board.example", True), ("other.example", False)):
            base = at(site, name)
            asking = web.get(f"{base}/json", want="json", allowed=AllowedHosts.of(base))
            if reached:
                assert (await asking).ok
            else:
                with pytest.raises(SourceUnavailableError, match="not public"):
                    await asking


async def test_a_name_that_leads_elsewhere_a_moment_later_is_connected_to_where_it_was_checked(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time it is asked it names an address at which nobody may look: each request is one asking,
    and the connection goes where that one led."""
    async with Plain().serving() as site:
        names = Names(monkeypatch, board=[["127.0.0.1"], ["127.0.0.1"], ["169.254.169.254"]])
        base = at(site, "board.example")
        allowed = AllowedHosts.of(base)
        assert (await web.get(f"{base}/json", want="json", allowed=allowed)).ok
        assert names.asked == 2, "robots.txt and the page, once each"
        assert site.asked[-1].headers["Host"] == base.removeprefix("http://")
        with pytest.raises(SourceUnavailableError, match=r"169\.254\.169\.254"):
            await web.get(f"{base}/json", want="json", allowed=allowed)
    assert len(site.asked) == 2


@pytest.mark.parametrize("what", ["/robots.txt", "/image"])
@pytest.mark.parametrize("target", ["http://169.254.169.254/latest", "http://inside.example/x"])
async def test_a_redirect_does_not_lead_within(
    web: Web, monkeypatch: pytest.MonkeyPatch, what: str, target: str
) -> None:
    """Nor does a site's robots.txt, which may be anywhere."""
    async with Plain().serving() as site:
        Names(monkeypatch, inside=[["192.168.0.1"]])
        site.fail(Fault(path=what, status=302, headers={"Location": target}, times=99))
        with pytest.raises((SourceUnavailableError, DocumentUnreadableError), match="not public"):
            await web.get(f"{site.url}/image", want="image", allowed=AllowedHosts.of(site.url, others=True))


async def test_where_one_address_takes_no_connection_the_next_does(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a machine without IPv6 reaches a site that has both."""
    async with Plain().serving() as site:
        Names(monkeypatch, board=[["127.0.0.2", "127.0.0.1"]])
        base = at(site, "board.example")
        assert (await web.get(f"{base}/json", want="json", allowed=AllowedHosts.of(base))).ok

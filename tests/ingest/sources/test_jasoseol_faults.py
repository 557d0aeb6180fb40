"""자소설닷컴 when it fails, refuses or is asked again."""

from __future__ import annotations

import pytest

from ingest.errors import SourceRefusedError, SourceUnavailableError
from ingest.sources.jasoseol import FAILURES
from ingest.sources.web import Web
from tests.ingest.sources.collecting import Harvest, jasoseol
from tests.ingest.sources.standins.jasoseol import Jasoseol, image, poster, posting
from tests.ingest.sources.standins.server import CHALLENGE, STORE_DENIED, Fault

JSON = {"Content-Type": "application/json"}
MITIGATED = {"Content-Type": "text/html", "cf-mitigated": "challenge"}


@pytest.mark.parametrize("path", ["duty-groups", "calendar_list", "get.json", "content_images"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=403, headers=MITIGATED, body=CHALLENGE),
        Fault(status=403),
        Fault(status=200, headers=MITIGATED),
    ],
)
async def test_a_refusal_anywhere_ends_the_source(web: Web, path: str, fault: Fault) -> None:
    found = Harvest()
    async with Jasoseol(posting(1), posting(2)).serving() as site:
        site.fail(Fault("answer", path, 1, fault.status, fault.headers, fault.body))
        with pytest.raises(SourceRefusedError, match="source refused"):
            await jasoseol(site, web, "2024-03", into=found)
    assert found.ids == []
    assert path in site.asked[-1].path, "nothing was asked after the refusal"


async def test_a_listing_that_is_asked_wrongly_says_what_the_site_says(web: Web) -> None:
    async with Jasoseol(posting(1)).serving() as site:
        body = '{"message": "잘못된 요청입니다"}'
        site.fail(Fault(path="calendar_list", status=400, body=body, headers=JSON))
        with pytest.raises(SourceUnavailableError, match="잘못된 요청입니다"):
            await jasoseol(site, web, "2024-03")


@pytest.mark.parametrize("body", ["[]", "{}", '{"employment": 1}', "null"])
async def test_a_listing_in_another_shape_is_no_empty_month(web: Web, body: str) -> None:
    async with Jasoseol(posting(1)).serving() as site:
        site.fail(Fault(path="calendar_list", status=200, body=body, headers=JSON))
        with pytest.raises(SourceUnavailableError, match="shape"):
            await jasoseol(site, web, "2024-03")


async def test_where_the_older_details_do_not_answer_the_newer_ones_are_asked_from_then_on(web: Web) -> None:
    async with Jasoseol(posting(1), posting(2), posting(3)).serving() as site:
        site.fail(Fault(path="get.json", times=99))
        assert (await jasoseol(site, web, "2024-03")).ids == ["1", "2", "3"]
    assert len(site.paths("get.json")) == 4, "the tries of one request"
    assert len(site.paths("employment_companies")) == 3


async def test_a_posting_that_is_gone_is_passed_over(web: Web, caplog: pytest.LogCaptureFixture) -> None:
    async with Jasoseol(posting(1), posting(2)).serving() as site:
        site.fail(Fault(path="get.json", status=404))
        site.fail(Fault(path="employment_companies/1", status=404))
        assert (await jasoseol(site, web, "2024-03")).ids == ["2"]
    assert "posting is gone" in caplog.text


@pytest.mark.parametrize("fault", [Fault(status=404), Fault(status=403, body=STORE_DENIED)])
async def test_an_image_that_is_gone_is_left_out_and_told(web: Web, fault: Fault) -> None:
    both = posting(1, content=poster(image(1), image(2, "gone")))
    async with Jasoseol(both, posting(2, content=poster(image(3, "gone")))).serving() as site:
        headers = {"Content-Type": "application/xml"}
        site.fail(Fault("answer", "gone", 2, fault.status, headers, fault.body))
        found = await jasoseol(site, web, "2024-03")
        assert found.ids == ["1"]
        assert len(found.documents["1"].files) == 1
        assert "gone" in found.documents["1"].provenance["missing"][0]


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "[::ffff:10.0.0.1]"])
async def test_an_image_at_an_address_within_is_not_fetched(web: Web, host: str) -> None:
    content = poster(f"http://{host}/latest/meta-data", image(1))
    async with Jasoseol(posting(1, content=content)).serving() as site:
        found = await jasoseol(site, web, "2024-03")
    assert len(found.documents["1"].files) == 1


@pytest.mark.parametrize("times", [1, 99])
async def test_a_strangers_image_that_fails_does_not_end_the_source(web: Web, times: int) -> None:
    async with Jasoseol().serving() as stranger, Jasoseol().serving() as site:
        stranger.robots = None  # type: ignore[assignment]
        stranger.fail(Fault(path="/content_images", status=403 if times == 1 else 500, times=times))
        row = posting(1, content=poster(f"{stranger.url}/content_images/a.webp", image(1)))
        site.postings = {1: row, 2: posting(2)}
        found = await jasoseol(site, web, "2024-03")
        assert {key: len(document.files) for key, document in found.documents.items()} == {"1": 1, "2": 1}
        again = await jasoseol(site, web, "2024-03")
    assert again.ids == ([] if times == 1 else ["1"]), "what does not answer now may later"


async def test_a_posting_whose_poster_does_not_come_is_fetched_by_the_next_run(web: Web) -> None:
    async with Jasoseol(posting(1), posting(2)).serving() as site:
        site.fail(Fault(path="000/000/001", times=4))
        assert (await jasoseol(site, web, "2024-03")).ids == ["2"]
        assert (await jasoseol(site, web, "2024-03")).ids == ["1"]


async def test_a_site_that_fails_again_and_again_is_left_for_later(web: Web) -> None:
    async with Jasoseol(*(posting(n) for n in range(1, 12))).serving() as site:
        site.fail(Fault(path="content_images", times=999))
        with pytest.raises(SourceUnavailableError):
            await jasoseol(site, web, "2024-03")
    assert len(site.paths("get.json")) == FAILURES


# Again


async def test_a_closed_posting_that_was_taken_is_not_asked_for_again(web: Web) -> None:
    async with Jasoseol(posting(1)).serving() as site:
        assert (await jasoseol(site, web, "2024-03")).ids == ["1"]
        assert (await jasoseol(site, web, "2024-03")).ids == []
    assert len(site.paths("get.json")) == 1


async def test_of_an_open_posting_only_what_changed_is_fetched_again(web: Web) -> None:
    row = posting(1, end_time="2099-12-31T18:00:00.000+09:00")
    async with Jasoseol(row).serving() as site:
        assert (await jasoseol(site, web, "2024-03")).ids == ["1"]
        assert (await jasoseol(site, web, "2024-03")).ids == [], "counters of looks are no change"
        assert (len(site.paths("get.json")), len(site.paths("content_images"))) == (2, 1)
        row["content"] = poster(image(5, "new"))
        assert (await jasoseol(site, web, "2024-03")).ids == ["1"]


async def test_robots_txt_of_the_site_is_gone_by(web: Web) -> None:
    async with Jasoseol(posting(1)).serving() as site:
        site.robots = "User-agent: *\nDisallow: /employment/"
        with pytest.raises(SourceRefusedError, match=r"robots\.txt"):
            await jasoseol(site, web, "2024-03")
    assert site.paths("employment/") == []

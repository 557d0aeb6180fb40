"""What is read of a job, board by board, and how Lever's pages are put together."""

from __future__ import annotations

from datetime import date

import pytest

from ingest.sources import lever as lever_module
from ingest.sources.web import Web
from tests.ingest.sources.collecting import harvest
from tests.ingest.sources.standins import ashby, greenhouse, lever
from tests.ingest.sources.standins.ashby import Ashby
from tests.ingest.sources.standins.greenhouse import Greenhouse
from tests.ingest.sources.standins.lever import Lever

# Greenhouse


async def test_greenhouse_says_company_place_deadline_and_employment(web: Web) -> None:
    fields = [
        {"id": 1, "name": "Salary", "value": "secret", "value_type": "short_text"},
        {
            "id": 2,
            "name": "Employment Type",
            "value": ["Full-time", "Contract"],
            "value_type": "multi_select",
        },
    ]
    job = greenhouse.job(1, metadata=fields, application_deadline="2026-12-31T23:59:00-05:00")
    async with Greenhouse(acme=[job]).serving() as site:
        found = await harvest(f"greenhouse:acme@{site.url}", web)
    hints = found.documents["1"].hints
    assert (hints.company, hints.location) == ("Acme", "Seoul, South Korea")
    assert (hints.deadline, hints.employment_type) == (date(2026, 12, 31), "Full-time, Contract")
    assert found.documents["1"].provenance["departments"] == ["Engineering"]
    assert "payment API &amp; its data.</p>" in found.html("1"), "escaped once, as HTML is"


async def test_an_address_that_is_none_of_a_web_page_is_not_taken_and_the_job_is(
    web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    job = greenhouse.job(1, absolute_url="javascript:alert(1)")
    async with Greenhouse(acme=[job]).serving() as site:
        found = await harvest(f"greenhouse:acme@{site.url}", web)
    assert found.documents["1"].hints.url is None
    assert "a job's address is none of a web page" in caplog.messages


async def test_greenhouse_is_asked_for_the_company_where_jobs_do_not_name_it(web: Web) -> None:
    job = greenhouse.job(1, location=None)
    del job["company_name"]
    async with Greenhouse(acme=[job]).serving() as site:
        found = await harvest(f"greenhouse:acme@{site.url}", web)
    assert found.documents["1"].hints.company == "Acme Inc."
    assert found.documents["1"].hints.location == "Seoul, South Korea", "the office's"
    assert site.paths() == ["/v1/boards/acme/jobs?content=true", "/v1/boards/acme"]


async def test_a_greenhouse_board_that_has_more_jobs_than_it_lists_withdraws_nothing(web: Web) -> None:
    site = Greenhouse(acme=[greenhouse.job(1)])
    site.total = 2
    async with site.serving():
        for _ in range(2):
            found = await harvest(f"greenhouse:acme@{site.url}", web)
            assert (found.ids, found.listed) == (["1"], [])


# Lever


async def test_a_lever_posting_is_put_together_from_its_parts(web: Web) -> None:
    posting = lever.posting(1)
    async with Lever(acme=[posting]).serving() as site:
        found = await harvest(f"lever:acme@{site.url}", web)
    page = found.html(posting["id"])
    parts = [
        "<div>Acme pays people.</div><div>You run the payment API.</div>",
        "<h2>Requirements &amp; more</h2>",
        "<ul><li>Three years of Java</li><li>SQL</li></ul>",
        "<h2>Nice to have</h2>",
        "<ul><li>Kafka</li></ul>",
        "<div>Apply by mail.</div>",
    ]
    places = [page.index(part) for part in parts]
    assert places == sorted(places)
    assert page.count("Acme pays people.") == 1
    hints = found.documents[posting["id"]].hints
    assert hints.location == "Seoul; Busan (hybrid)"
    assert (hints.company, hints.employment_type) == ("acme", "Regular Full Time")
    assert found.documents[posting["id"]].provenance["published_at"].startswith("2026-09-21T")


async def test_a_lever_posting_in_plain_text_is_a_page_too(web: Web) -> None:
    posting = lever.posting(
        1, description="", opening=None, descriptionBody=None, lists=None, additional=None
    )
    async with Lever(acme=[posting]).serving() as site:
        found = await harvest(f"lever:acme@{site.url}", web)
    assert "<p>Acme pays people.</p>\n<p>You run the payment API.</p>" in found.html(posting["id"])


async def test_a_large_lever_board_is_read_page_by_page(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lever_module, "PAGE", 10)
    postings = [lever.posting(n) for n in range(1, 26)]
    async with Lever(acme=postings).serving() as site:
        for _ in range(2):
            found = await harvest(f"lever:acme@{site.url}", web)
            assert found.ids == [posting["id"] for posting in postings]
            assert found.listed[0].source_ids == frozenset(found.ids)
    assert [path.partition("?")[2] for path in site.paths()[:3]] == [
        "mode=json&skip=0&limit=10",
        "mode=json&skip=9&limit=10",
        "mode=json&skip=18&limit=10",
    ]


@pytest.mark.parametrize("size", [10, 19, 20])
async def test_a_lever_board_that_just_fills_its_pages_is_whole(
    web: Web, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(lever_module, "PAGE", 10)
    async with Lever(acme=[lever.posting(n) for n in range(size)]).serving() as site:
        found = await harvest(f"lever:acme@{site.url}", web)
    assert (len(found.ids), len(found.listed)) == (size, 1)


@pytest.mark.parametrize("change", ["closed", "opened", "all closed"])
async def test_a_lever_board_that_changes_while_it_is_read_withdraws_nothing(
    web: Web, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(lever_module, "PAGE", 10)
    postings = [lever.posting(n) for n in range(1, 16)]
    site = Lever(acme=list(postings))

    def between() -> None:
        if change == "closed":
            site.sites["acme"] = postings[1:]
        elif change == "opened":
            site.sites["acme"] = [lever.posting(99), *postings]
        else:
            site.sites["acme"] = []

    site.between = between  # type: ignore[assignment]
    async with site.serving():
        found = await harvest(f"lever:acme@{site.url}", web)
    assert found.listed == []
    assert len(found.ids) >= 10


# Ashby


async def test_ashby_says_places_employment_and_pay(web: Web) -> None:
    job = ashby.job(1)
    async with Ashby(acme=[job]).serving() as site:
        found = await harvest(f"ashby:acme@{site.url}", web)
    document = found.documents[job["id"]]
    assert document.hints.location == "Seoul; Busan (remote)"
    assert (document.hints.company, document.hints.employment_type) == ("acme", "Full-time")
    assert document.provenance["compensation"] == "₩80M – ₩100M"


async def test_a_job_that_ashby_does_not_list_is_not_read_and_is_withdrawn(web: Web) -> None:
    shown, hidden = ashby.job(1), ashby.job(2, isListed=False)
    async with Ashby(acme=[shown, hidden]).serving() as site:
        found = await harvest(f"ashby:acme@{site.url}", web)
    assert found.ids == [shown["id"]]
    assert found.listed[0].source_ids == {shown["id"]}


async def test_an_ashby_job_without_an_id_is_named_by_its_address(web: Web) -> None:
    job = ashby.job(1)
    key = job.pop("id")
    async with Ashby(acme=[job]).serving() as site:
        assert (await harvest(f"ashby:acme@{site.url}", web)).ids == [key]

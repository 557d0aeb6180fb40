"""What holds for all boards: each job is a page, and what a listing withdraws."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Any

import pytest

from ingest.documents import Listed
from ingest.errors import SourceRefusedError, SourceUnavailableError
from ingest.sources.registry import open_source
from ingest.sources.web import Web
from tests.ingest.sources.collecting import Harvest, harvest
from tests.ingest.sources.standins import ashby, greenhouse, lever
from tests.ingest.sources.standins.ashby import Ashby
from tests.ingest.sources.standins.greenhouse import Greenhouse
from tests.ingest.sources.standins.lever import Lever
from tests.ingest.sources.standins.server import CHALLENGE, Fault, Site
from tools.core.errors import InvalidRequestError
from tools.core.settings import Settings

Make = Callable[..., dict[str, Any]]
KINDS: list[Any] = [
    pytest.param("greenhouse", Greenhouse, greenhouse.job, id="greenhouse"),
    pytest.param("lever", Lever, lever.posting, id="lever"),
    pytest.param("ashby", Ashby, ashby.job, id="ashby"),
]
every_board = pytest.mark.parametrize(("kind", "board", "make"), KINDS)


@every_board
async def test_every_job_is_a_page_and_the_listing_says_that_these_are_all(
    kind: str, board: type[Site], make: Make, web: Web
) -> None:
    jobs = [make(1), make(2)]
    async with board(acme=jobs).serving() as site:
        spec = f"{kind}:acme@{site.url}"
        found = await harvest(spec, web)
    ids = [str(job["id"]) for job in jobs]
    assert found.ids == ids
    scope = f"acme@{site.url}"
    assert found.listed == [Listed(kind, scope, frozenset(ids))]
    document = found.documents[ids[0]]
    assert (document.source, document.scope) == (kind, scope)
    assert document.hints.title == "Backend Engineer 1"
    assert document.hints.url is not None
    assert document.provenance["url"] == document.hints.url
    assert document.provenance["requests"][0].startswith(site.url)
    assert document.provenance["fetched_at"]
    assert "<h1>Backend Engineer 1</h1>" in found.html(ids[0])
    assert "<li>Three years of Java</li>" in found.html(ids[0])


@every_board
async def test_a_board_that_has_not_changed_is_told_nothing_of(
    kind: str, board: type[Site], make: Make, web: Web
) -> None:
    jobs = [make(1)]
    async with board(acme=jobs).serving() as site:
        spec = f"{kind}:acme@{site.url}"
        assert len((await harvest(spec, web)).ids) == 1
        again = await harvest(spec, web)
        assert (again.ids, again.listed) == ([], [])
        jobs.append(make(2))
        assert len((await harvest(spec, web)).ids) == 2


@every_board
@pytest.mark.parametrize("taken", [1, 2, 3])
async def test_what_was_not_taken_to_its_end_is_sent_again(
    kind: str, board: type[Site], make: Make, web: Web, taken: int
) -> None:
    async with board(acme=[make(1), make(2)]).serving() as site:
        spec = f"{kind}:acme@{site.url}"
        async with aclosing(open_source(spec, Settings(), web).documents()) as items:  # type: ignore[type-var]
            for _ in range(taken):
                await anext(items)
        again = await harvest(spec, web)
        assert (len(again.ids), len(again.listed)) == (2, 1), "a killed run had it in its hands, no more"


@every_board
async def test_an_empty_board_withdraws_all_its_jobs(
    kind: str, board: type[Site], make: Make, web: Web
) -> None:
    async with board(acme=[]).serving() as site:
        found = await harvest(f"{kind}:acme@{site.url}", web)
    assert found.ids == []
    assert [listed.source_ids for listed in found.listed] == [frozenset()]


@every_board
async def test_a_board_that_does_not_exist_is_told_by_name(
    kind: str, board: type[Site], make: Make, web: Web
) -> None:
    async with board(acme=[]).serving() as site:
        with pytest.raises(InvalidRequestError, match="no board 'acne'"):
            await harvest(f"{kind}:acne@{site.url}", web)


@every_board
async def test_a_job_without_title_is_passed_over_and_withdraws_nothing(
    kind: str, board: type[Site], make: Make, web: Web, caplog: pytest.LogCaptureFixture
) -> None:
    broken = make(2) | {"title": None, "text": " "}
    async with board(acme=[broken, make(1), "no job"]).serving() as site:
        if kind == "ashby":
            site.boards["acme"].pop()  # type: ignore[attr-defined]
        found = await harvest(f"{kind}:acme@{site.url}", web)
    assert found.ids == [str(make(1)["id"])]
    assert found.listed == []
    assert "job passed over" in caplog.text


@every_board
@pytest.mark.parametrize("fault", [Fault(status=500), Fault(status=429), Fault("reset"), Fault("cut")])
async def test_a_stumbling_board_is_read_in_the_end(
    kind: str, board: type[Site], make: Make, web: Web, fault: Fault
) -> None:
    path = {"greenhouse": "/jobs", "lever": "/postings/", "ashby": "/job-board/"}[kind]
    async with board(acme=[make(1)]).serving() as site:
        site.fail(Fault(fault.how, path, 2, fault.status))
        found = await harvest(f"{kind}:acme@{site.url}", web)
    assert len(found.listed) == 1


@every_board
async def test_a_board_that_stays_silent_withdraws_nothing(
    kind: str, board: type[Site], make: Make, web: Web
) -> None:
    found = Harvest()
    async with board(acme=[make(1)]).serving() as site:
        site.fail(Fault(path="acme", status=503, times=99))
        with pytest.raises(SourceUnavailableError):
            await harvest(f"{kind}:acme@{site.url}", web, into=found)
    assert found == Harvest()


@every_board
async def test_a_board_that_refuses_is_left_alone(kind: str, board: type[Site], make: Make, web: Web) -> None:
    async with board(acme=[make(1)]).serving() as site:
        site.fail(Fault(path="acme", status=403, body=CHALLENGE, headers={"Content-Type": "text/html"}))
        with pytest.raises(SourceRefusedError, match="source refused"):
            await harvest(f"{kind}:acme@{site.url}", web)
    assert len(site.paths()) == 1


@every_board
@pytest.mark.parametrize("body", ["{}", "[1]", '{"jobs": 1}', "null", '"x"'])
async def test_an_answer_that_is_no_listing_withdraws_nothing(
    kind: str, board: type[Site], make: Make, web: Web, body: str
) -> None:
    found = Harvest()
    async with board(acme=[make(1)]).serving() as site:
        headers = {"Content-Type": "application/json"}
        site.fail(Fault(path="acme", status=200, body=body, headers=headers, times=99))
        if kind == "lever" and body == "[1]":
            await harvest(f"{kind}:acme@{site.url}", web, into=found)
        else:
            with pytest.raises(SourceUnavailableError):
                await harvest(f"{kind}:acme@{site.url}", web, into=found)
    assert found == Harvest()


@every_board
async def test_a_job_in_odd_shapes_is_read_as_far_as_it_goes(
    kind: str, board: type[Site], make: Make, web: Web
) -> None:
    odd = {key: 17 if key not in ("id", "title", "text") else value for key, value in make(1).items()}
    none = {key: None if key not in ("id", "title", "text") else value for key, value in make(2).items()}
    async with board(acme=[odd, none]).serving() as site:
        found = await harvest(f"{kind}:acme@{site.url}", web)
    assert len(found.ids) == 2
    assert len(found.listed) == 1


@every_board
async def test_a_name_with_blanks_and_capitals_is_asked_for_as_it_is(
    kind: str, board: type[Site], make: Make, web: Web
) -> None:
    async with board(**{"The Acme & Co": [make(1)]}).serving() as site:
        assert len((await harvest(f"{kind}:The Acme & Co@{site.url}", web)).ids) == 1


@every_board
async def test_the_same_job_is_the_same_page_each_time(
    kind: str, board: type[Site], make: Make, web: Web
) -> None:
    key = str(make(1)["id"])
    async with board(acme=[make(1)]).serving() as site:
        first = (await harvest(f"{kind}:acme@{site.url}", web)).html(key)
        site.boards = site.sites = {"acme": [make(1), make(2)]}  # type: ignore[attr-defined]
        assert (await harvest(f"{kind}:acme@{site.url}", web)).html(key) == first

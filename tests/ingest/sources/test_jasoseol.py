"""자소설닷컴: permission first, then IT postings by month, with their posters."""

from __future__ import annotations

import base64
from datetime import date
from typing import Any
from urllib.parse import quote

import orjson
import pytest

from ingest.errors import SourceRefusedError
from ingest.sources.web import Web
from tests.ingest.sources.collecting import PERMISSION, harvest, jasoseol
from tests.ingest.sources.standins.jasoseol import WEBP, Jasoseol, employment, image, poster, posting
from tests.ingest.sources.standins.server import Fault


@pytest.mark.parametrize("permission", ["", "  "])
async def test_without_a_permission_nothing_is_asked(web: Web, permission: str) -> None:
    async with Jasoseol(posting(1)).serving() as site:
        with pytest.raises(SourceRefusedError) as refused:
            await harvest(f"jasoseol:2024-01@{site.url}", web, jasoseol_permission=permission)
    assert "article 14" in refused.value.message
    assert "CHECKERBOARD_JASOSEOL_PERMISSION" in refused.value.message
    assert site.asked == []


async def test_a_posting_is_its_poster_with_all_that_the_site_says_of_it(web: Web) -> None:
    fields = {"employments": [employment("백엔드 개발", division=5), employment("인사", duties=[101])]}
    async with Jasoseol(posting(102823, **fields)).serving() as site:
        site.images["/content_images/images/000/102/823/webp/" + quote("공고 포스터") + ".webp"] = (
            b"RIFFposter"
        )
        found = await jasoseol(site, web, "2024-03")
    document = found.documents["102823"]
    assert document.source == "jasoseol"
    [file] = document.files
    assert (file.name, file.media_type, file.content) == ("공고 포스터.webp", "image/webp", b"RIFFposter")
    hints = document.hints
    assert (hints.company, hints.title) == ("회사 102823", "2024년 상반기 채용 102823")
    assert hints.positions == ("백엔드 개발",), "positions for other duties are none of ours"
    assert (hints.experience, hints.employment_type) == ("신입/경력", None)
    assert hints.deadline == date(2024, 3, 15)
    assert hints.url == f"{site.url}/recruit/102823"
    assert document.provenance["permission"] == PERMISSION
    assert document.provenance["requests"] == [
        f"{site.url}/employment/calendar_list.json",
        f"{site.url}/employment/get.json",
    ]
    assert document.provenance["images"][0].endswith(".webp?1709510400")
    assert found.listed == [], "a past month says nothing of what is open now"


async def test_the_listing_is_asked_month_by_month_in_korean_time(web: Web) -> None:
    long = posting(1, start_time="2024-01-02T00:00:00.000+09:00", end_time="2024-03-01T00:00:00.000+09:00")
    other = posting(2, start_time="2024-04-01T00:00:00.000+09:00", end_time=None)
    async with Jasoseol(long, other).serving() as site:
        found = await jasoseol(site, web, "2024-01..2024-03")
    bodies = [orjson.loads(asked.body) for asked in site.asked if "calendar_list" in asked.path]
    assert bodies == [
        {"start_time": "2024-01-01T00:00:00+09:00", "end_time": "2024-02-01T00:00:00+09:00"},
        {"start_time": "2024-02-01T00:00:00+09:00", "end_time": "2024-03-01T00:00:00+09:00"},
        {"start_time": "2024-03-01T00:00:00+09:00", "end_time": "2024-04-01T00:00:00+09:00"},
    ]
    assert found.ids == ["1"], "the other begins in April"


async def test_a_posting_that_is_open_for_months_is_asked_for_once(web: Web) -> None:
    async with Jasoseol(posting(1, end_time=None)).serving() as site:
        assert (await jasoseol(site, web, "2024-03..2024-06")).ids == ["1"]
    assert len(site.paths("get.json")) == 1


# Which postings


@pytest.mark.parametrize(
    ("duties", "wanted"),
    [
        ([94], True),
        ([162], True),
        ([179], True),
        ([101], False),
        ([187, 188], False),
        ([101, 176], True),
        ([], False),
    ],
)
async def test_it_is_what_stands_below_it_in_the_tree_of_duties(
    web: Web, duties: list[int], wanted: bool
) -> None:
    async with Jasoseol(posting(1, employments=[employment(duties=duties)])).serving() as site:
        assert bool((await jasoseol(site, web, "2024-03")).ids) is wanted
        assert bool(site.paths("get.json")) is wanted, "others are not even asked for"


@pytest.mark.parametrize(
    "duties", [[], {"rows": []}, [{"id": 1, "name": "디자인", "group_id": None}], [None, 3]]
)
async def test_without_the_tree_the_known_duties_are_taken(
    web: Web, duties: Any, caplog: pytest.LogCaptureFixture
) -> None:
    it, other = (
        posting(1, employments=[employment(duties=[175])]),
        posting(2, employments=[employment(duties=[187])]),
    )
    async with Jasoseol(it, other).serving() as site:
        site.duties = duties
        assert (await jasoseol(site, web, "2024-03")).ids == ["1"]
    assert "known ones are taken" in caplog.text


async def test_a_tree_that_does_not_answer_is_done_without(web: Web) -> None:
    async with Jasoseol(posting(1)).serving() as site:
        site.fail(Fault(path="duty-groups", times=99))
        assert (await jasoseol(site, web, "2024-03")).ids == ["1"]


@pytest.mark.parametrize(
    ("title", "fields", "wanted"),
    [
        ("신입사원 공채", ["경영지원", "생산"], ()),
        ("신입사원 공채", ["경영지원", "SW 개발"], ("SW 개발",)),
        ("신입사원 공채", ["사업 개발", "상품개발"], ()),
        ("신입사원 공채", ["UNIT 영업", "DATABOOK"], ()),
        ("IT 부문 공채", ["전 부문", "수시"], ("전 부문", "수시")),
        ("신입사원 공채", ["데이터분석", None], ("데이터분석",)),
    ],
)
async def test_recruiting_for_everything_is_it_only_where_a_name_says_so(
    web: Web, title: str, fields: list[Any], wanted: tuple[str, ...]
) -> None:
    many = [161, 162, 163, *range(300, 320)]
    rows = [employment(field, many) for field in fields]
    async with Jasoseol(posting(1, title=title, employments=rows)).serving() as site:
        found = await jasoseol(site, web, "2024-03")
    assert [document.hints.positions for document in found.documents.values()] == ([wanted] if wanted else [])


# The shapes of a posting


@pytest.mark.parametrize("older", [True, False])
@pytest.mark.parametrize(
    ("division", "experience", "kind"),
    [
        (1, "신입", None),
        (2, "경력", None),
        (3, None, "인턴"),
        (4, None, "계약직"),
        (5, "신입/경력", None),
        (6, "신입", None),
        (7, None, "교육"),
        (0, None, None),
        (99, None, None),
    ],
)
async def test_both_details_say_the_same_of_the_employment(
    web: Web, older: bool, division: int, experience: str | None, kind: str | None
) -> None:
    async with Jasoseol(posting(1, employments=[employment(division=division)])).serving() as site:
        site.older_details = older
        hints = (await jasoseol(site, web, "2024-03")).documents["1"].hints
    assert (hints.experience, hints.employment_type) == (experience, kind)
    assert hints.positions == ("백엔드 개발",)


@pytest.mark.parametrize(
    ("end", "ends", "deadline"),
    [
        ("2024-03-15T15:30:00.000Z", [None], date(2024, 3, 16)),
        (None, [None], None),
        (None, ["2024-03-20T18:00:00.000+09:00", "2024-03-25T18:00:00.000+09:00"], date(2024, 3, 25)),
        (None, ["2024-03-20T18:00:00.000+09:00", None], None),
    ],
)
async def test_a_posting_may_have_no_end(web: Web, end: Any, ends: list[Any], deadline: date | None) -> None:
    rows = [employment(f"개발 {n}", end_time=own) for n, own in enumerate(ends)]
    async with Jasoseol(posting(1, end_time=end, employments=rows)).serving() as site:
        found = await jasoseol(site, web, "2024-03")
    assert found.documents["1"].hints.deadline == deadline


async def test_several_images_are_pages_in_their_order_and_older_ones_are_originals(web: Web) -> None:
    sources = [image(2, "둘 / 2#"), image(1, "일", "png", "original"), "/content_images/three.webp"]
    async with Jasoseol(posting(1, content=poster(*sources, sources[0]))).serving() as site:
        png = "/content_images/images/000/000/001/original/" + quote("일") + ".png"
        site.images[png] = b"\x89PNG"
        found = await jasoseol(site, web, "2024-03")
    files = found.documents["1"].files
    assert [file.media_type for file in files] == ["image/webp", "image/png", "image/webp"]
    assert files[1].name == "일.png"
    assert len(site.paths("content_images")) == 3


async def test_words_in_the_content_come_before_its_images(web: Web) -> None:
    table = "<table><tr><th>모집 부문</th><td>백엔드</td></tr></table>"
    content = poster(image(1)).replace("</body>", f"{table}</body>")
    async with Jasoseol(posting(1, content=content), posting(2, content=table)).serving() as site:
        found = await jasoseol(site, web, "2024-03")
    assert [file.media_type for file in found.documents["1"].files] == ["text/html", "image/webp"]
    assert table in found.html("2")


@pytest.mark.parametrize(
    "content", [None, "", "  ", "<p>&nbsp;</p>", "<!-- 주석 -->", "<script>var a = 1</script>", 3]
)
async def test_a_posting_without_poster_and_words_is_passed_over(
    web: Web, content: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with Jasoseol(posting(1, content=content), posting(2)).serving() as site:
        assert (await jasoseol(site, web, "2024-03")).ids == ["2"]
    assert "no poster and no text" in caplog.text


async def test_an_image_may_stand_in_the_page_itself(web: Web) -> None:
    inline = "data:image/webp;base64," + base64.b64encode(WEBP).decode()
    content = poster(inline, "data:image/png;base64,x", "data:text/html,hello")
    async with Jasoseol(posting(1, content=content)).serving() as site:
        [file] = (await jasoseol(site, web, "2024-03")).documents["1"].files
    assert (file.media_type, file.content) == ("image/webp", WEBP)


async def test_a_picture_that_is_loaded_later_is_the_one_that_is_meant(web: Web) -> None:
    dot = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
    inline = base64.b64encode(WEBP).decode().rstrip("=")
    content = (
        f'<img src="{dot}" data-src="data:image/webp;Base64, {inline}">'
        '<img src="https://example.com/t.gif" width="1" height="1">'
    )
    async with Jasoseol(posting(1, content=content)).serving() as site:
        [file] = (await jasoseol(site, web, "2024-03")).documents["1"].files
    assert (file.media_type, file.content) == ("image/webp", WEBP)

"""The pictures that a page holds in itself, and those that it only names."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from ingest.documents import Parsed
from ingest.errors import DocumentUnreadableError
from ingest.parsers.html_embedded import MAX_EMBEDDED_IMAGES
from ingest.parsers.html_tokens import read_data_url
from tests.ingest.parsers.files import huge_png, image, parse_html, raw
from tests.ingest.parsers.test_document_parser import UNREADABLE, StubParser, reading

POSTER = image(size=(600, 800))
DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
PACKED = base64.b64encode(POSTER).decode()
WRAPPED = "\n".join(PACKED[at : at + 76] for at in range(0, len(PACKED), 76))
SVG = (
    '<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg xmlns="http://www.w3.org/2000/svg"'
    ' width="600" height="800"><script>alert(1)</script><text>&x;</text></svg>'
)


def url(content: bytes = POSTER, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


async def read(page: str, stub: StubParser | None = None) -> tuple[Parsed, StubParser]:
    parser = stub or StubParser("p1", 0.9)
    return await reading(parser).parse([raw(page, "job.html")]), parser


@pytest.mark.parametrize(
    "picture",
    [
        f'<img src="{url()}">',
        f'<img src="  DATA:Image/PNG ; name=a.png;Base64,{PACKED}">',
        f'<img src="data:image/png;base64,{WRAPPED}">',
        f'<img src="data:image/png;base64,{PACKED.rstrip("=")}">',
        f'<img src="data:image/png;base64,{quote(PACKED, safe="")}">',
        f'<img src="data:image/png,{quote(POSTER)}">',
        f'<img src="data:image/jpeg;base64,{PACKED}">',
        f'<img src="data:;base64,{PACKED}">',
        f'<img src="{DOT}" data-src="{url()}" loading="lazy">',
        f'<img data-original="{url()}">',
        f'<img src="a.png" srcset="b.png 1x, {url()} 2x">',
        f'<picture><source srcset="{url()}" type="image/png"><img src="{DOT}"></picture>',
        f'<table><tr><td>가<td><img src="{url()}"></table>',
        f'<div style="opacity:0"><p>모집 요강을 그림으로 보세요</p><img src="{url()}"></div>',
    ],
)
async def test_a_picture_within_the_page_is_read_like_a_file(picture: str) -> None:
    parsed, parser = await read(f"<p>안내</p>{picture}")
    assert [(file.media_type, file.content) for file in parser.asked] == [("image/png", POSTER)]
    assert parsed.blocks[-1].page == 2
    assert getattr(parsed.blocks[-1], "text", "") == "by p1"
    assert (parsed.confidence, parsed.cost.usd) == (0.9, 1.0)
    assert parsed.warnings == []


@pytest.mark.parametrize(
    ("picture", "count", "problem"),
    [
        ('<img src="poster.png">', 1, None),
        (f'<img src="{DOT}" data-src="poster.png">', 1, None),
        (f'<img src="{DOT}" srcset="poster.png 1x, poster2.png 2x">', 1, None),
        (f'<img src="{url(image(size=(16, 16)))}">', 1, None),
        ('<img src="https://example.com/t.gif" width="1" height="1">', 0, None),
        (f'<img src="{DOT}" width="1px" height="0">', 0, None),
        (f'<img src="data:image/svg+xml;utf8,{quote(SVG)}">', 1, None),
        (f'<img src="{url(SVG.encode(), "image/svg+xml")}">', 1, None),
        ('<img src="data:image/png;base64,..">', 1, "job.html, picture 1 is broken."),
        ('<img src="data:image/png;base64">', 1, "job.html, picture 1 is broken."),
        (f'<img src="data:image/png,{quote("글입니다")}">', 1, "job.html, picture 1 is no picture."),
        (f'<img src="{url(huge_png())}">', 1, "job.html, picture 1 has 20,000 × 10,001 pixels"),
    ],
)
async def test_other_pictures_are_told_of(picture: str, count: int, problem: str | None) -> None:
    parsed, parser = await read(f"<p>안내</p>{picture}")
    assert parser.asked == []
    warnings = list(parsed.warnings)
    if count:
        assert warnings.pop(0) == f"pictures in the page that were not read: {count}"
    assert [warning.startswith(problem or "?") for warning in warnings] == ([True] if problem else [])


async def test_a_page_saved_whole_has_its_first_pictures_read() -> None:
    parsed, parser = await read("<p>안내</p>" + f'<img src="{url()}">' * (MAX_EMBEDDED_IMAGES + 5))
    assert len(parser.asked) == MAX_EMBEDDED_IMAGES
    assert parsed.warnings == ["pictures in the page that were not read: 5"]


async def test_a_picture_that_cannot_be_read_does_not_spoil_the_page() -> None:
    parsed, _ = await read(f'<p>안내</p><img src="{url()}">', StubParser("p1", UNREADABLE))
    assert [getattr(block, "text", "") for block in parsed.blocks] == ["안내"]
    assert parsed.warnings == ["pictures in the page that were not read: 1", "not read: too blurred"]
    assert parsed.cost.usd == 0.5


async def test_a_page_of_nothing_but_a_picture_is_the_picture() -> None:
    parsed, _ = await read(f'<img src="{url()}">')
    assert [getattr(block, "text", "") for block in parsed.blocks] == ["by p1"]
    with pytest.raises(DocumentUnreadableError, match="too blurred"):
        await read(f'<img src="{url()}">', StubParser("p1", UNREADABLE))
    with pytest.raises(DocumentUnreadableError, match="No parser is set up"):
        await reading().parse([raw(f'<img src="{url()}">', "job.html")])
    assert (await reading().parse([raw(f'<p>안내</p><img src="{url()}">', "job.html")])).warnings == [
        "pictures in the page that were not read: 1"
    ]


async def test_pictures_do_not_count_as_the_text_of_a_page() -> None:
    large = POSTER + bytes(6_000_000)
    _, parser = await read(f'<p>안내</p><img src="{url(large)}">')
    assert [len(file.content) for file in parser.asked] == [len(large)]
    with pytest.raises(DocumentUnreadableError, match="bytes of text"):
        await read(f"<p>{'글 ' * 2_000_000}</p>")


def test_pictures_are_counted_where_none_is_read() -> None:
    page = f'<p>안내</p><img src="{url()}"><img src="a.png">'
    assert parse_html(page).warnings == ["pictures in the page that were not read: 2"]


@pytest.mark.parametrize(
    "text", ["", "data:", "http://example.com/a,b", "data:image/png;base64,한", "data:,%"]
)
def test_no_address_breaks_the_reader(text: str) -> None:
    found = read_data_url(text)
    assert found is None or found.content == b"%"

"""Documents: which parser reads which file, and what is made of several."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import pytest

from ingest.documents import Cost, Paragraph, Parsed, RawFile, Table
from ingest.errors import DocumentUnreadableError, ParserUnavailableError
from ingest.parsers.document_parser import LOW_CONFIDENCE, DocumentParser, Parser, open_document_parser
from ingest.parsers.pdf import PdfReader
from tests.ingest.parsers.files import chunk, encrypted_pdf, huge_png, image, png_with, raw, scanned_pdf
from tools.core.errors import InvalidRequestError
from tools.core.settings import Settings

PNG = image()
UNREADABLE = DocumentUnreadableError("too blurred", cost=Cost(usd=0.5))
DOWN = ParserUnavailableError("down")


class StubParser:
    """A parser with a fixed outcome: an error, or a confidence."""

    def __init__(self, name: str, outcome: float | Exception | None) -> None:
        self.name = name
        self.asked: list[RawFile] = []
        self._outcome = outcome

    async def parse(self, file: RawFile) -> Parsed:
        """Raises the error, or returns one paragraph with the confidence."""
        self.asked.append(file)
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return Parsed(
            blocks=[Paragraph(text=f"by {self.name}")],
            parser=f"{self.name}/1",
            confidence=self._outcome,
            cost=Cost(pages=1, usd=1.0),
        )


def reading(*parsers: Parser) -> DocumentParser:
    return DocumentParser(parsers, [], PdfReader(), confidence=0.6)


async def read(files: Sequence[RawFile], *outcomes: float | Exception | None) -> Parsed:
    return await reading(*(StubParser(f"p{n}", outcome) for n, outcome in enumerate(outcomes, 1))).parse(
        files
    )


@pytest.mark.parametrize(
    ("outcomes", "by", "usd"),
    [
        ([0.9, 0.95], "p1", 1),
        ([None, 0.95], "p1", 1),
        ([0.5, 0.7], "p2", 2),
        ([0.5, None], "p2", 2),
        ([UNREADABLE, 0.7], "p2", 1.5),
        ([DOWN, 0.7], "p2", 1),
        ([0.5, UNREADABLE], "p1", 1.5),
        ([0.5, DOWN], "p1", 1),
        ([0.5, 0.4], "p1", 2),
    ],
)
async def test_the_next_parser_is_asked_when_one_cannot_or_is_unsure_and_the_best_is_kept(
    outcomes: list[float | Exception | None], by: str, usd: float
) -> None:
    parsed = await read([raw(PNG)], *outcomes)
    assert parsed.parser == f"{by}/1"
    assert parsed.cost.usd == usd


async def test_a_document_that_all_are_unsure_of_is_flagged() -> None:
    parsed = await read([raw("글입니다."), raw(PNG)], 0.5, 0.4)
    assert parsed.flags == [LOW_CONFIDENCE]
    assert parsed.warnings == ["confidence 0.50 is below 0.60"]
    assert (await read([raw(PNG)], 0.5, 0.7)).flags == []


async def test_a_parser_that_fell_back_is_logged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        parsed = await read([raw(PNG, "poster.png")], DOWN, 0.9)
    assert [record.message for record in caplog.records] == ["parser did not answer"]
    assert parsed.warnings == ["read by another parser: down"]


async def test_a_document_that_none_could_read_may_be_read_later_if_one_was_down() -> None:
    with pytest.raises(ParserUnavailableError):
        await read([raw(PNG)], UNREADABLE, DOWN)
    with pytest.raises(DocumentUnreadableError, match="too blurred") as refused:
        await read([raw(PNG)], UNREADABLE, UNREADABLE)
    assert refused.value.cost.usd == 1.0


async def test_a_wrong_key_ends_it_however_many_parsers_there_are() -> None:
    with pytest.raises(ParserUnavailableError) as refused:
        await read([raw(PNG)], ParserUnavailableError("wrong key", fatal=True), 0.9)
    assert refused.value.fatal is True


async def test_text_is_read_without_any_parser_of_images() -> None:
    parsed = await read([raw("<p>하나</p>", "a.webp", "image/webp"), raw("둘입니다.", "b.pdf")])
    assert [(block.page, getattr(block, "text", "")) for block in parsed.blocks] == [
        (1, "하나"),
        (2, "둘입니다."),
    ]
    assert parsed.parser == "html/2+text/1"
    assert parsed.confidence is None


async def test_pages_run_through_and_confidence_goes_by_length() -> None:
    files = [raw("글" * 100 + "."), raw(PNG), raw(image(size=(9, 9)))]
    parsed = await reading(StubParser("p1", 0.8)).parse(files)
    assert [block.page for block in parsed.blocks] == [1, 2, 3]
    assert parsed.confidence == pytest.approx(0.8)
    assert parsed.cost == Cost(pages=3, usd=2.0)


async def test_the_true_type_of_a_file_is_handed_on() -> None:
    parser = StubParser("p1", 0.8)
    await reading(parser).parse([raw(image("WEBP"), "poster.jpg", "image/jpeg")])
    assert [file.media_type for file in parser.asked] == ["image/webp"]


async def test_a_file_that_cannot_be_read_does_not_spoil_the_others() -> None:
    parsed = await read([raw("글입니다."), raw(b"", "2.png")])
    assert len(parsed.blocks) == 1
    assert parsed.warnings == ["not read: 2.png is empty."]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (huge_png(), "million"),
        (PNG[:20], "broken"),
        (b"PK\x03\x04" + bytes(100), "ZIP"),
        (encrypted_pdf(), "encrypted"),
        ("<script>alert(1)</script>", "Nothing is written"),
        ('{"a": 1}', "JSON"),
    ],
)
async def test_bad_files_are_refused_with_a_reason(content: bytes | str, expected: str) -> None:
    with pytest.raises(DocumentUnreadableError, match=expected) as refused:
        await read([raw(content, "poster.png")], 0.9)
    assert isinstance(refused.value.cost, Cost)


async def test_a_scanned_pdf_is_read_by_the_parsers_in_turn() -> None:
    parser = StubParser("p1", 0.8)
    await reading(parser).parse([raw(scanned_pdf(2))])
    assert [file.media_type for file in parser.asked] == ["application/pdf"]


async def test_without_a_parser_an_image_is_set_aside_with_what_to_set() -> None:
    settings = Settings(parsers=("upstage", "vision"))
    async with open_document_parser(settings) as parsers:
        with pytest.raises(
            DocumentUnreadableError, match=r"UPSTAGE_API_KEY.*CHECKERBOARD_VISION_MODEL"
        ) as refused:
            await parsers.parse([raw(PNG, "poster.png")])
        assert (await parsers.parse([raw("글입니다.")])).blocks
        assert [(state.name, state.usable) for state in parsers.describe()] == [
            ("upstage", False),
            ("vision", False),
        ]
    assert "poster.png" in refused.value.message


async def test_an_unknown_parser_is_an_error_at_once() -> None:
    with pytest.raises(InvalidRequestError, match="tesseract"):
        async with open_document_parser(Settings(parsers=("tesseract",))):
            pass


async def test_a_long_page_does_not_hold_up_others() -> None:
    """While a page of megabytes is read, the loop goes on."""
    rows = "".join(f"<tr><td>{number}<td>업무" for number in range(3_000))
    working = asyncio.create_task(read([raw(f"<table>{rows}</table>")]))
    turns = 0
    while not working.done():
        await asyncio.sleep(0)
        turns += 1
    (table,) = (await working).blocks
    assert isinstance(table, Table)
    assert turns > 10


async def test_a_bomb_in_a_picture_is_the_parsers_to_judge() -> None:
    assert (await read([raw(png_with(chunk(b"tEXt", b"a\0b")))], 0.9)).blocks

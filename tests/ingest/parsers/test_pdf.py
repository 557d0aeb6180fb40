"""PDFs: text layers, scans, and what is none."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from ingest.documents import Cost, Heading, Paragraph, Parsed, RawFile
from ingest.errors import DocumentUnreadableError
from ingest.parsers.file_types import image_size
from ingest.parsers.pdf import MAX_DRAWN_PAGES, PdfReader
from ingest.parsers.pdf_worker import MAX_RENDERED_PIXELS
from tests.ingest.parsers.files import encrypted_pdf, pdf, pdf_bomb, raw, scanned_pdf


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="only Linux shows an environment")
async def test_the_process_that_opens_pdfs_knows_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "UPSTAGE_API_KEY", "DATABASE_URL", "HTTPS_PROXY", "NOBODY_KNOWS_MY_NAME"):
        monkeypatch.setenv(name, "sk-secret")
    reading = asyncio.create_task(read(pdf([["A page"]] * 300)))
    found: dict[int, bytes] = {}
    while not reading.done():
        for child in psutil.Process().children():
            with suppress(psutil.Error, OSError):
                if "ingest.parsers.pdf_worker" in child.cmdline():
                    found[child.pid] = Path(f"/proc/{child.pid}/environ").read_bytes()
        await asyncio.sleep(0)
    assert (await reading)[0].cost == Cost(pages=300)
    assert found
    assert all(environment and b"sk-secret" not in environment for environment in found.values())


class RecordingParser:
    """A parser of images that records what it was given."""

    name = "recorder"

    def __init__(self) -> None:
        self.shown: list[RawFile] = []

    async def parse(self, file: RawFile) -> Parsed:
        """Returns one paragraph for any image."""
        self.shown.append(file)
        return Parsed(
            blocks=[Paragraph(text=f"seen {len(self.shown)}", confidence=0.9)],
            parser="recorder/1",
            confidence=0.9,
            cost=Cost(pages=1, usd=0.01),
        )


async def read(content: bytes, **options: float) -> tuple[Parsed, RecordingParser]:
    recorder = RecordingParser()
    return await PdfReader(**options).parse(raw(content, "posting.pdf"), recorder.parse), recorder


async def test_the_text_of_a_pdf_is_read_in_lines_with_its_headings() -> None:
    page = [
        "# Backend developer",
        "",
        "Responsibilities",
        "- Build the payment API",
        "- Run batches",
        "",
        "Seoul",
    ]
    parsed, recorder = await read(pdf([page, ["Second page"]]))
    assert recorder.shown == []
    assert parsed.parser == "pdf/1"
    assert parsed.confidence is None
    assert parsed.cost == Cost(pages=2)
    assert [(type(block), getattr(block, "text", ""), block.page) for block in parsed.blocks] == [
        (Heading, "Backend developer", 1),
        (Heading, "Responsibilities", 1),
        (Paragraph, "- Build the payment API\n- Run batches", 1),
        (Paragraph, "Seoul", 1),
        (Paragraph, "Second page", 2),
    ]


async def test_a_line_that_runs_over_the_edge_goes_on() -> None:
    long = "Build and run the payment interface together with the partners of the company, for " + "many " * 4
    parsed, _ = await read(pdf([["- " + long.strip(), "years and in every country", "- Run batches"]]))
    assert [getattr(block, "text", "") for block in parsed.blocks] == [
        f"- {long.strip()} years and in every country\n- Run batches"
    ]


async def test_a_scan_is_handed_on_as_it_is() -> None:
    content = scanned_pdf(3)
    _, recorder = await read(content)
    assert [(file.content == content, file.name) for file in recorder.shown] == [(True, "posting.pdf")]


async def test_of_a_mixed_pdf_only_the_scanned_pages_are_looked_at() -> None:
    parsed, recorder = await read(scanned_pdf(4, text_on=[0, 2]))
    assert [(file.name, file.content[:4]) for file in recorder.shown] == [
        ("posting.pdf, page 2", b"\x89PNG"),
        ("posting.pdf, page 4", b"\x89PNG"),
    ]
    assert [(block.page, getattr(block, "text", "")) for block in parsed.blocks] == [
        (1, "Page with text"),
        (2, "seen 1"),
        (3, "Page with text"),
        (4, "seen 2"),
    ]
    assert parsed.parser == "pdf/1+recorder/1"
    assert parsed.confidence == pytest.approx(0.9)
    assert parsed.cost.usd == pytest.approx(0.02)


async def test_a_parser_of_pictures_is_shown_page_after_page() -> None:
    recorder = RecordingParser()
    parsed = await PdfReader().parse_as_images(raw(scanned_pdf(2), "a.pdf"), recorder.parse)
    assert [file.media_type for file in recorder.shown] == ["image/png"] * 2
    assert [(block.page, getattr(block, "text", "")) for block in parsed.blocks] == [
        (1, "seen 1"),
        (2, "seen 2"),
    ]


async def test_too_many_scanned_pages_are_too_many_for_it() -> None:
    with pytest.raises(DocumentUnreadableError, match=f"at most {MAX_DRAWN_PAGES}"):
        await PdfReader().parse_as_images(
            raw(scanned_pdf(MAX_DRAWN_PAGES + 1), "a.pdf"), RecordingParser().parse
        )


async def test_a_page_as_large_as_a_wall_is_drawn_at_fewer_dots() -> None:
    recorder = RecordingParser()
    await PdfReader().parse_as_images(raw(scanned_pdf(1, size=(14_000, 14_000)), "a.pdf"), recorder.parse)
    (shown,) = recorder.shown
    width, height = image_size(shown.content)
    assert 0.9 * MAX_RENDERED_PIXELS < width * height < 1.1 * MAX_RENDERED_PIXELS


async def test_blank_pages_are_nothing_to_look_at() -> None:
    parsed, recorder = await read(pdf([["Text"], [], []]))
    assert recorder.shown == []
    assert len(parsed.blocks) == 1


async def test_a_pdf_of_300_pages_is_read() -> None:
    parsed, _ = await read(pdf([[f"Page {number}"] for number in range(300)]))
    assert len(parsed.blocks) == 300


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encrypted_pdf(), "encrypted"),
        (b"%PDF-1.7 and nothing", "broken"),
        (pdf([["x"]])[:200], "broken"),
        (pdf([["x"]] * 501), "501 pages"),
        (pdf_bomb(), "more than it is given"),
    ],
    ids=["encrypted", "junk", "cut", "long", "bomb"],
)
async def test_a_pdf_that_cannot_be_read_says_why(content: bytes, expected: str) -> None:
    with pytest.raises(DocumentUnreadableError, match=expected) as refused:
        await read(content)
    assert refused.value.message.startswith("posting.pdf ")


async def test_a_pdf_that_takes_too_long_is_given_up_and_its_process_ended() -> None:
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(DocumentUnreadableError, match="seconds"):
        await read(pdf([["x"]]), page_seconds=0.001)
    assert {child.pid for child in psutil.Process().children()} <= before


async def test_a_reading_that_is_cancelled_leaves_no_process() -> None:
    before = {child.pid for child in psutil.Process().children()}
    reading = asyncio.create_task(read(pdf([["x"]])))
    async with asyncio.timeout(60):
        while {child.pid for child in psutil.Process().children()} <= before and not reading.done():
            await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert {child.pid for child in psutil.Process().children()} <= before

"""The vision parser: the real client against a gateway that looks at what it is sent."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from PIL import Image, ImageDraw
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ingest.documents import Cell, Heading, Paragraph, Table
from ingest.errors import DocumentUnreadableError, ParserUnavailableError
from ingest.parsers.document_parser import open_document_parser
from ingest.parsers.file_types import Kind
from ingest.parsers.images import LONG_SIDE, OVERLAP, SHORT_SIDE, cut_into_pieces
from ingest.parsers.vision import VisionParser, join_pieces
from local.model.server import running
from tests.completions import completion
from tests.ingest.parsers.files import image, raw, scanned_pdf
from tests.ingest.parsers.standins import Memory
from tools.core.fencing import unfence
from tools.core.settings import Settings
from tools.llm.openai_client import open_http_client


def block(kind: str, text: str = "", confidence: float = 0.9, **fields: Any) -> dict[str, Any]:
    return {"kind": kind, "level": 0, "text": text, "rows": [], "confidence": confidence, **fields}


def cell(text: str, rowspan: int = 1, colspan: int = 1) -> dict[str, Any]:
    return {"text": text, "rowspan": rowspan, "colspan": colspan, "header": False}


READ = {
    "blocks": [
        block("heading", "채용", level=1),
        block("text", "- 서버\n- API", confidence=0.5),
        block("table", rows=[[cell("개발", rowspan=2), cell("Java")], [cell("3년")]]),
    ]
}


class Gateway:
    """Gives `answers` in turn, the last one again and again; keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[Response] = []
        self.asked: list[dict[str, Any]] = []
        self.settings = Settings()

    async def complete(self, request: Request) -> Response:
        """`POST /v1/chat/completions`."""
        self.asked.append(orjson.loads(await request.body()))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def images(self, number: int) -> list[Image.Image]:
        """The images of a question."""
        parts = self.asked[number]["messages"][1]["content"]
        urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
        return [Image.open(io.BytesIO(base64.b64decode(url.partition("base64,")[2]))) for url in urls]


def answered(content: Any, finish_reason: str = "stop") -> Response:
    text = content if isinstance(content, str) else orjson.dumps(content).decode()
    return completion(text, finish_reason, tokens=(1000, 100))


def error(status: int, **headers: str) -> Response:
    body = orjson.dumps({"error": {"message": "no", "type": "x", "code": "x", "param": None}})
    return Response(body, status, headers, media_type="application/json")


@dataclass(slots=True)
class Machine:
    """A gateway and a client, one for all tests: to make them takes longer than most tests."""

    gateway: Gateway
    http: Any


@pytest.fixture(scope="module")
async def machine() -> AsyncIterator[Machine]:
    standin = Gateway()
    app = Starlette(routes=[Route("/v1/chat/completions", standin.complete, methods=["POST"])])
    async with running(app) as url:
        standin.settings = Settings(
            openai_base_url=url if url.endswith("/v1") else f"{url}/v1",
            openai_api_key=SecretStr("k"),
            vision_model="gpt-4o-mini",
            model_retries=1,
            output_retries=1,
            parsers=("vision",),
        )
        async with open_http_client(standin.settings) as http:
            yield Machine(standin, http)


@pytest.fixture
def gateway(machine: Machine) -> Gateway:
    machine.gateway.asked.clear()
    return machine.gateway


@pytest.fixture
def reading(machine: Machine) -> VisionParser:
    return VisionParser(machine.gateway.settings, machine.http)


def poster(height: int, *, ruled: bool = False, width: int = 900) -> bytes:
    """Lines of "text" every 40 pixels; `ruled`: between two rules from top to bottom."""
    drawn = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(drawn)
    for top in range(10, height - 20, 40):
        draw.rectangle((20, top, width - 20, top + 20), fill="black")
    if ruled:
        draw.rectangle((5, 0, 8, height), fill="black")
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG")
    return buffer.getvalue()


def png(content: bytes) -> Any:
    return raw(content, "poster.png", "image/png")


async def test_the_image_is_shown_and_its_blocks_come_back(gateway: Gateway, reading: VisionParser) -> None:
    gateway.answers = [answered(READ)]
    parsed = await reading.parse(png(poster(500)))
    (question,) = gateway.asked
    assert question["model"] == "gpt-4o-mini"
    assert question["response_format"]["json_schema"]["strict"] is True
    assert [shown.size for shown in gateway.images(0)] == [(900, 500)]
    text = question["messages"][1]["content"][0]["text"]
    assert unfence(text) == {"pictures": [{"picture": 1, "repeats": False}]}
    heading, words, table = parsed.blocks
    assert isinstance(heading, Heading)
    assert (heading.text, heading.level, heading.confidence) == ("채용", 1, 0.9)
    assert isinstance(words, Paragraph)
    assert words.text == "- 서버\n- API"
    assert isinstance(table, Table)
    assert [[(c.text, c.rowspan) for c in row] for row in table.rows] == [
        [("개발", 2), ("Java", 1)],
        [("3년", 1)],
    ]
    assert parsed.parser == "vision/gpt-4o-mini"
    assert 0.5 < (parsed.confidence or 0) < 0.9
    assert (parsed.cost.pages, parsed.cost.input_tokens, parsed.cost.output_tokens) == (1, 1000, 100)
    assert parsed.cost.usd == pytest.approx(0.00021)


async def test_an_answer_that_is_no_json_or_breaks_the_schema_goes_back(
    gateway: Gateway, reading: VisionParser
) -> None:
    wrong = {"blocks": [block("text", "가", confidence=7)]}
    for first in (answered("{"), answered({"blocks": [{"kind": "picture"}]}), answered(wrong)):
        gateway.asked.clear()
        gateway.answers = [first, answered(READ)]
        parsed = await reading.parse(png(poster(300)))
        assert len(parsed.blocks) == 3
        assert "refused" in gateway.asked[1]["messages"][-1]["content"]
        assert parsed.cost.input_tokens == 2000


async def test_answers_that_stay_invalid_set_the_file_aside_and_say_what_they_cost(
    gateway: Gateway, reading: VisionParser
) -> None:
    gateway.answers = [answered("{")]
    with pytest.raises(DocumentUnreadableError, match="no valid answer") as refused:
        await reading.parse(png(poster(300)))
    assert refused.value.cost.input_tokens == 2000


async def test_an_answer_that_is_cut_off_is_asked_for_in_halves(
    gateway: Gateway, reading: VisionParser
) -> None:
    cut = answered('{"blocks": [', finish_reason="length")
    gateway.answers = [
        cut,
        cut,
        answered({"blocks": [block("text", "위")]}),
        answered({"blocks": [block("text", "아래")]}),
    ]
    parsed = await reading.parse(png(poster(1400)))
    assert [getattr(found, "text", "") for found in parsed.blocks] == ["위", "아래"]
    assert [len(gateway.images(number)) for number in (0, 2, 3)] == [2, 1, 1]
    assert parsed.cost.input_tokens == 4000


async def test_a_poster_of_many_pieces_is_asked_for_in_parts_and_sewn_together(
    gateway: Gateway, reading: VisionParser
) -> None:
    gateway.answers = [answered({"blocks": [block("text", text)]}) for text in ("가\n나", "나\n다")]
    parsed = await reading.parse(png(poster(3600, ruled=True)))
    assert [getattr(found, "text", "") for found in parsed.blocks] == ["가\n나", "다"]
    assert [len(gateway.images(number)) for number in (0, 1)] == [4, 2]


async def test_a_rate_limit_is_waited_out(gateway: Gateway, reading: VisionParser) -> None:
    gateway.answers = [error(429, **{"retry-after": "0.01"}), answered(READ)]
    assert (await reading.parse(png(poster(300)))).blocks


@pytest.mark.parametrize(
    ("status", "kind", "fatal"),
    [
        (401, ParserUnavailableError, True),
        (404, ParserUnavailableError, True),
        (500, ParserUnavailableError, False),
        (400, DocumentUnreadableError, False),
    ],
)
async def test_what_the_gateway_refuses_is_told_apart(
    gateway: Gateway, reading: VisionParser, status: int, kind: type[Exception], fatal: bool
) -> None:
    gateway.answers = [error(status, **{"retry-after": "0.01"})]
    with pytest.raises(kind) as refused:
        await reading.parse(png(poster(300)))
    assert getattr(refused.value, "fatal", False) is fatal


async def test_a_refusal_sets_the_file_aside_in_its_words_after_one_call(
    gateway: Gateway, reading: VisionParser
) -> None:
    gateway.answers = [completion(None, refusal="I can't read this.", tokens=(1000, 100))]
    with pytest.raises(DocumentUnreadableError, match="I can't read this") as refused:
        await reading.parse(png(poster(1400)))
    assert refused.value.cost.input_tokens == 1000
    assert len(gateway.asked) == 1


async def test_a_credit_that_is_used_up_is_no_rate_limit(gateway: Gateway, reading: VisionParser) -> None:
    spent = {"error": {"message": "no", "type": "insufficient_quota", "code": "insufficient_quota"}}
    gateway.answers = [Response(orjson.dumps(spent), 429, media_type="application/json")]
    with pytest.raises(ParserUnavailableError, match="add credit") as refused:
        await reading.parse(png(poster(300)))
    assert refused.value.fatal is True
    assert len(gateway.asked) == 1


async def test_blocks_in_a_fence_are_read(gateway: Gateway, reading: VisionParser) -> None:
    gateway.answers = [answered(f"<think>{{}}</think>```json\n{orjson.dumps(READ).decode()}\n```")]
    assert len((await reading.parse(png(poster(300)))).blocks) == 3
    assert len(gateway.asked) == 1


async def test_an_answer_is_paid_for_once(gateway: Gateway, machine: Machine) -> None:
    gateway.answers = [answered(READ)]
    reading = VisionParser(gateway.settings, machine.http, Memory())
    for _ in range(2):
        await reading.parse(png(poster(300)))
    assert len(gateway.asked) == 1
    await reading.parse(png(poster(340)))
    assert len(gateway.asked) == 2


async def test_a_tall_poster_is_cut_at_blank_rows(gateway: Gateway) -> None:
    cut = cut_into_pieces(png(poster(3000)))
    sizes = [Image.open(io.BytesIO(piece.png)).size for piece in cut]
    assert all(width == 900 and height <= SHORT_SIDE for width, height in sizes)
    assert sum(height for _, height in sizes) == 3000
    assert not any(piece.overlaps for piece in cut)
    for piece in cut[1:]:
        top = Image.open(io.BytesIO(piece.png)).convert("L").crop((0, 0, 900, 1))
        assert top.getextrema() == (255, 255)


async def test_where_no_row_is_blank_pieces_overlap() -> None:
    cut = cut_into_pieces(png(poster(2000, ruled=True)))
    heights = [Image.open(io.BytesIO(piece.png)).height for piece in cut]
    assert [piece.overlaps for piece in cut] == [False, True, True]
    assert sum(heights) == 2000 + 2 * OVERLAP


async def test_a_wide_image_is_made_narrower_and_a_narrow_one_left() -> None:
    (wide,) = cut_into_pieces(png(poster(600, width=4096)))
    assert Image.open(io.BytesIO(wide.png)).size == (LONG_SIDE, 300)
    assert len(cut_into_pieces(png(poster(2000, width=700)))) == 1


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind.is_image])
def test_every_kind_of_image_is_shown_on_white(kind: Kind) -> None:
    mode = "RGBA" if kind in (Kind.PNG, Kind.WEBP, Kind.TIFF) else "L"
    content = image(kind.name, (30, 20), mode)
    (piece,) = cut_into_pieces(raw(content, "a", kind.value))
    assert Image.open(io.BytesIO(piece.png)).getpixel((0, 0)) == (255, 255, 255)


def test_a_broken_image_is_not_shown() -> None:
    with pytest.raises(DocumentUnreadableError, match="broken PNG"):
        cut_into_pieces(png(poster(300)[:200]))


def test_what_two_pieces_both_show_is_written_once() -> None:
    above = [Heading(text="채용"), Paragraph(text="가\n나\n다")]
    assert join_pieces(above, [Paragraph(text="나\n다\n라")], overlap=True) == [*above, Paragraph(text="라")]
    below = [Paragraph(text="다"), Heading(text="끝")]
    assert join_pieces(above, below, overlap=True) == [*above, Heading(text="끝")]
    assert join_pieces(above, [Paragraph(text="라")], overlap=True) == [*above, Paragraph(text="라")]


def test_a_table_that_was_cut_is_one_table() -> None:
    def table(*rows: str) -> Table:
        return Table(rows=[[Cell(text=text) for text in row] for row in rows])

    assert join_pieces([table("ab", "cd")], [table("cd", "ef")], overlap=True) == [table("ab", "cd", "ef")]
    assert join_pieces([table("ab", "cd")], [table("xyz")], overlap=True) == [table("ab", "cd"), table("xyz")]


async def test_the_settings_open_it_and_it_reads_pdfs_by_the_page(gateway: Gateway) -> None:
    gateway.answers = [answered(READ)]
    async with open_document_parser(gateway.settings) as parsers:
        parsed = await parsers.parse([raw(scanned_pdf(2), "a.pdf")])
    assert {found.page for found in parsed.blocks} == {1, 2}
    assert parsed.cost.pages == 2

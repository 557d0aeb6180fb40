"""Upstage: the real client against a stand-in with its limits, its errors and its bad days."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from ingest.documents import Heading, Paragraph, Table
from ingest.errors import DocumentUnreadableError, ParserUnavailableError
from ingest.parsers.document_parser import open_document_parser
from ingest.parsers.file_types import detect_file_type
from ingest.parsers.upstage import Limits, UpstageApi, UpstageParser
from tests.ingest.parsers.files import image, raw, scanned_pdf
from tests.ingest.parsers.standins import KEY, Fault, Memory, Sent, Upstage, element, upstage
from tests.pace import scaled
from tools.core.settings import Settings
from tools.llm.journal import ResponseJournal

QUICK = Limits(answer_seconds=60, first_wait_seconds=0.001, longest_wait_seconds=2, poll_seconds=0.001)
PNG = image("PNG")


@dataclass(slots=True)
class Machine:
    """A stand-in and a client, one for all tests: to make them takes longer than most tests."""

    upstage: Upstage
    http: httpx.AsyncClient


@pytest.fixture(scope="module")
async def machine() -> AsyncIterator[Machine]:
    async with upstage() as running, httpx.AsyncClient() as http:
        yield Machine(running, http)


@pytest.fixture
def standin(machine: Machine) -> Upstage:
    machine.upstage.reset()
    return machine.upstage


class Maker:
    """Makes parsers that ask the stand-in."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __call__(
        self,
        limits: Limits = QUICK,
        *,
        key: str = KEY,
        per_second: float = 10_000,
        url: str | None = None,
        journal: ResponseJournal | None = None,
    ) -> UpstageParser:
        api = UpstageApi(
            self._machine.http,
            base_url=url or self._machine.upstage.url,
            key=key,
            per_second=per_second,
            limits=limits,
        )
        return UpstageParser(api, limits, journal)


@pytest.fixture
def parser(machine: Machine) -> Maker:
    return Maker(machine)


def file(content: bytes, name: str = "poster") -> Any:
    return raw(content, name, detect_file_type(raw(content)).kind.value)


async def test_an_image_is_sent_as_it_is_and_its_elements_become_blocks(
    standin: Upstage, parser: Maker
) -> None:
    webp = image("WEBP")
    reading = parser()
    parsed = await reading.parse(file(webp, "채용 공고.webp"))
    (sent,) = standin.sent
    assert (sent.media_type, sent.content == webp) == ("image/webp", True)
    assert sent.fields == {
        "model": "document-parse",
        "ocr": "auto",
        "output_formats": "['html', 'markdown']",
        "coordinates": "false",
    }
    heading, text, table = parsed.blocks
    assert isinstance(heading, Heading)
    assert (heading.text, heading.level) == ("백엔드 개발자 채용", 1)
    assert isinstance(text, Paragraph)
    assert isinstance(table, Table)
    assert [cell.text for cell in table.rows[1]] == [
        "백엔드 개발자",
        "결제 API 개발\n정산 배치 운영",
        "Java 3년 이상",
        "Kafka 운영 경험",
    ]
    assert parsed.parser == "upstage/document-parse-260930"
    assert parsed.confidence is None
    assert (parsed.cost.pages, parsed.cost.usd) == (1, 0.01)


async def test_webp_that_is_refused_goes_as_png_and_so_do_the_next(standin: Upstage, parser: Maker) -> None:
    standin.webp_refused = True
    reading = parser()
    for size in ((40, 30), (50, 30)):
        assert (await reading.parse(file(image("WEBP", size)))).blocks
    assert [sent.media_type for sent in standin.sent] == ["image/png", "image/png"]
    assert standin.calls["sync"] == 3


async def test_gif_which_upstage_does_not_know_goes_as_png(standin: Upstage, parser: Maker) -> None:
    reading = parser()
    await reading.parse(file(image("GIF")))
    assert [sent.media_type for sent in standin.sent] == ["image/png"]


async def test_a_pdf_of_more_than_100_pages_goes_through_the_asynchronous_api(
    standin: Upstage, parser: Maker
) -> None:
    standin.read = lambda _, page: [element("paragraph", f"<p>쪽 {page}</p>", page)]
    reading = parser()
    parsed = await reading.parse(file(scanned_pdf(105)))
    assert [(getattr(block, "text", ""), block.page) for block in parsed.blocks] == [
        (f"쪽 {page}", page) for page in range(1, 106)
    ]
    assert (parsed.cost.pages, parsed.cost.usd) == (105, pytest.approx(1.05))
    assert (standin.calls["sync"], standin.calls["async"], standin.calls["download"]) == (1, 1, 11)
    assert not standin.key_was_leaked


async def test_batches_that_count_their_pages_anew_are_numbered_through(
    standin: Upstage, parser: Maker
) -> None:
    standin.pages_of_batches_begin_anew = True
    reading = parser()
    parsed = await reading.parse(file(scanned_pdf(101)))
    assert {block.page for block in parsed.blocks} == set(range(1, 102))


async def test_an_address_that_has_expired_is_asked_for_anew(standin: Upstage, parser: Maker) -> None:
    standin.gone_downloads = 3
    reading = parser()
    assert (await reading.parse(file(scanned_pdf(101)))).blocks
    assert standin.paid_pages == 101


async def test_a_request_that_fails_is_handed_in_once_more(standin: Upstage, parser: Maker) -> None:
    standin.fail_requests = 1
    reading = parser()
    assert (await reading.parse(file(scanned_pdf(101)))).blocks
    standin.fail_requests = 2
    with pytest.raises(DocumentUnreadableError, match="the stand-in cannot read it"):
        await reading.parse(file(scanned_pdf(102)))


async def test_more_than_2000_pages_are_too_many(standin: Upstage, parser: Maker) -> None:
    reading = parser()
    with pytest.raises(DocumentUnreadableError, match="more than 2000 pages"):
        await reading.parse(file(b"%PDF-1.4 /Count 2001"))


async def test_a_request_that_is_not_completed_in_time_may_be_later(standin: Upstage, parser: Maker) -> None:
    standin.polls_until_done = 10_000
    limits = Limits(first_wait_seconds=0.001, poll_seconds=0.001, async_seconds=0.2)
    reading = parser(limits)
    with pytest.raises(ParserUnavailableError, match="not completed") as failed:
        await reading.parse(file(scanned_pdf(101)))
    assert not failed.value.fatal


async def test_an_answer_is_paid_for_once(standin: Upstage, parser: Maker) -> None:
    reading = parser(journal=Memory())
    first, again = [await reading.parse(file(PNG)) for _ in range(2)]
    assert first == again
    assert standin.paid_pages == 1


@pytest.mark.parametrize("lives", [1, 2, 7, 12])
async def test_a_long_document_is_paid_for_once_wherever_its_reading_was_cut(
    standin: Upstage, parser: Maker, lives: int
) -> None:
    kept = Memory(lives)
    reading = parser(journal=kept)
    if lives < 12:
        with pytest.raises(InterruptedError):
            await reading.parse(file(scanned_pdf(105)))
    kept.lives = 1000
    reading = parser(journal=kept)
    assert len({block.page for block in (await reading.parse(file(scanned_pdf(105)))).blocks}) == 105
    assert standin.paid_pages == 105


async def test_a_rate_limit_is_waited_out_as_long_as_upstage_asks(standin: Upstage, parser: Maker) -> None:
    standin.faults += [
        Fault(429, {"retry-after": "0.3"}),
        Fault(429, {"retry-after": formatdate(usegmt=True)}),
    ]
    began = time.monotonic()
    reading = parser()
    assert (await reading.parse(file(PNG))).blocks
    assert time.monotonic() - began >= 0.3
    assert standin.calls["sync"] == 3


@pytest.mark.parametrize(
    "fault", [Fault(500), Fault(503, body=b"<html>down</html>"), Fault(cut=True)], ids=["500", "503", "cut"]
)
async def test_a_bad_moment_is_survived(standin: Upstage, parser: Maker, fault: Fault) -> None:
    standin.faults.append(fault)
    reading = parser()
    assert (await reading.parse(file(PNG))).blocks


@pytest.mark.parametrize(("fault", "asked"), [(Fault(500), 5), (Fault(429), 5), (Fault(cut=True), 2)])
async def test_a_bad_day_ends_after_so_many_tries(
    standin: Upstage, parser: Maker, fault: Fault, asked: int
) -> None:
    standin.faults += [fault] * 10
    reading = parser()
    with pytest.raises(ParserUnavailableError) as failed:
        await reading.parse(file(PNG))
    assert standin.calls["sync"] == asked
    assert not failed.value.fatal


async def test_upstage_that_is_not_there_is_unavailable(standin: Upstage, parser: Maker) -> None:
    reading = parser(url="http://127.0.0.1:1/v1")
    with pytest.raises(ParserUnavailableError, match="does not answer"):
        await reading.parse(file(PNG))


async def test_what_takes_too_long_is_handed_in_to_the_asynchronous_api(
    standin: Upstage, parser: Maker
) -> None:
    never = asyncio.Event()
    standin.faults.append(Fault(hold=never))
    slow = Limits(answer_seconds=scaled(0.5), first_wait_seconds=0.001, poll_seconds=0.001)
    reading = parser(slow)
    assert (await reading.parse(file(PNG))).blocks
    never.set()
    assert standin.calls["async"] == 1


async def test_a_wrong_key_is_told_once_and_for_all(standin: Upstage, parser: Maker) -> None:
    reading = parser(key="wrong")
    for _ in range(3):
        with pytest.raises(ParserUnavailableError, match="UPSTAGE_API_KEY") as refused:
            await reading.parse(file(PNG))
        assert refused.value.fatal is True
        assert "wrong" not in refused.value.message
    assert standin.calls["sync"] == 1


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error": {"code": "x", "message": "too blurred"}}', "too blurred"),
        (b'{"message": "too blurred"}', "too blurred"),
        (b'{"error": "too blurred"}', "too blurred"),
        (b'{"detail": [{"msg": "too blurred"}]}', "too blurred"),
        (b"too blurred", "too blurred"),
        (b"[1]", "1"),
    ],
)
@pytest.mark.parametrize("status", [400, 422])
async def test_what_upstage_does_not_take_is_set_aside_in_its_words(
    standin: Upstage, parser: Maker, status: int, body: bytes, expected: str
) -> None:
    standin.faults.append(Fault(status, body=body))
    reading = parser()
    with pytest.raises(DocumentUnreadableError, match=expected):
        await reading.parse(file(PNG))
    assert standin.calls["sync"] == 1


async def test_requests_keep_the_pace_whoever_makes_them(standin: Upstage, parser: Maker) -> None:
    began = time.monotonic()
    reading = parser(per_second=20)
    await asyncio.gather(*(reading.parse(file(image(size=(20 + n, 20)))) for n in range(7)))
    assert time.monotonic() - began >= 6 / 20


async def test_the_settings_open_it(standin: Upstage) -> None:
    async with open_document_parser(standin.settings(Settings()), QUICK) as parsers:
        parsed = await parsers.parse([raw(PNG, "a.png"), raw(image(size=(9, 9)), "b.png")])
    assert {block.page for block in parsed.blocks} == {1, 2}
    assert parsed.cost.usd == pytest.approx(0.02)
    settings = standin.settings(Settings(), upstage_api_key=SecretStr("wrong"))
    async with open_document_parser(settings, QUICK) as parsers:
        with pytest.raises(ParserUnavailableError) as refused:
            await parsers.parse([raw(PNG, "a.png")])
    assert refused.value.fatal is True


async def test_nothing_in_an_image_is_nothing_to_read(standin: Upstage) -> None:
    def nothing(_: Sent, __: int) -> list[dict[str, Any]]:
        return []

    standin.read = nothing
    async with open_document_parser(standin.settings(Settings()), QUICK) as parsers:
        with pytest.raises(DocumentUnreadableError, match="Nothing is written") as refused:
            await parsers.parse([raw(PNG, "a.png")])
    assert refused.value.cost.usd == pytest.approx(0.01)


SPENT = b'{"error": {"message": "Insufficient credit. Please add credit.", "code": "insufficient_quota"}}'


async def test_a_credit_that_is_used_up_is_no_rate_limit(standin: Upstage, parser: Maker) -> None:
    standin.faults.append(Fault(429, body=SPENT))
    with pytest.raises(ParserUnavailableError, match="credit") as failed:
        await parser().parse(file(PNG))
    assert failed.value.fatal is True
    assert standin.calls["sync"] == 1


async def test_an_error_in_a_200_is_one(standin: Upstage, parser: Maker) -> None:
    standin.faults.append(Fault(body=b'{"error": {"message": "busy"}}', told=True))
    assert (await parser().parse(file(PNG))).blocks
    assert standin.calls["sync"] == 2

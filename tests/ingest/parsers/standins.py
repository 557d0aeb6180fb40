"""Upstage on loopback: its two APIs, their limits and their errors, and the faults of a bad day."""

from __future__ import annotations

import asyncio
import email
import itertools
import re
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.policy import HTTP
from typing import Any

import orjson
import pypdfium2
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.model.server import running
from tools.core.settings import Settings

KEY = "up_standin"
SYNC_PAGES, ASYNC_PAGES, BATCH_PAGES = 100, 2000, 10
_FORMATS = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\0", b"MM\0*", b"%PDF-", b"PK\x03\x04")
_EMPTY = {"html": "", "markdown": "", "text": ""}


class Memory:
    """A journal in memory; it dies after `lives` answers."""

    def __init__(self, lives: int = 1000) -> None:
        self.kept: dict[str, bytes] = {}
        self.lives = lives

    async def find(self, question: str) -> bytes | None:
        """As `ResponseJournal.find`."""
        return self.kept.get(question)

    async def forget(self, questions: Sequence[str]) -> None:
        """As `ResponseJournal.forget`."""
        for question in questions:
            del self.kept[question]

    async def record(self, question: str, answer: bytes) -> None:
        """As `ResponseJournal.record`."""
        if not self.lives:
            raise InterruptedError
        self.lives -= 1
        self.kept[question] = answer


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a request in place of an answer: `status` with `headers`, an answer that is `cut`,
    one that does not come before `hold` is set."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"error": {"code": "x", "message": "the stand-in fails"}}'
    told: bool = False
    """The body is the answer, whatever the status."""
    cut: bool = False
    hold: asyncio.Event | None = None


@dataclass(slots=True)
class Sent:
    """A file as it came: its media type, its content and the other fields of the form."""

    media_type: str
    content: bytes
    fields: dict[str, str]


def element(category: str, html: str, page: int = 1, **content: str) -> dict[str, Any]:
    """An element of an answer."""
    return {
        "id": 0,
        "page": page,
        "category": category,
        "content": {**_EMPTY, "html": html, **content},
        "coordinates": [],
    }


POSTING = [
    element("heading1", "<h1 id='0' style='font-size:22px'>백엔드 개발자 채용</h1>"),
    element("paragraph", "<p id='1' style='font-size:14px'>주식회사 예시는 결제 서비스를 만듭니다.</p>"),
    element(
        "table",
        "<table id='2' style='font-size:14px'><thead><tr><th>모집부문</th><th>담당업무</th><th>자격요건</th>"
        "<th>우대사항</th></tr></thead><tbody><tr><td>백엔드 개발자</td>"
        "<td>결제 API 개발<br>정산 배치 운영</td><td>Java 3년 이상</td><td>Kafka 운영 경험</td></tr>"
        "</tbody></table>",
    ),
]
"""What is read in every file unless the test says something else."""


class Upstage:
    """The stand-in. Its attributes steer it; `calls` counts requests by kind, `paid_pages` what a bill
    would say."""

    def __init__(self) -> None:
        self.url = ""
        self.reset()

    def reset(self) -> None:
        """Back to a good day on which nothing has been asked yet."""
        self.calls: Counter[str] = Counter()
        self.paid_pages = 0
        self.sent: list[Sent] = []
        self.faults: deque[Fault] = deque()
        """For the next requests that carry a file, in turn."""
        self.webp_refused = False
        self.gone_downloads = 0
        """How many of the next downloads find their address expired."""
        self.polls_until_done = 1
        self.fail_requests = 0
        """How many of the next asynchronous requests fail."""
        self.pages_of_batches_begin_anew = False
        self.key_was_leaked = False
        self.read: Callable[[Sent, int], list[dict[str, Any]]] = lambda _, page: [
            {**part, "page": page} for part in POSTING
        ]
        self._requests: dict[str, dict[str, Any]] = {}
        self._numbers = itertools.count(1)

    def settings(self, settings: Settings, **update: Any) -> Settings:
        """Settings under which this stand-in is Upstage, asked as fast as one likes."""
        own = {
            "upstage_base_url": self.url,
            "upstage_api_key": SecretStr(KEY),
            "upstage_per_second": 10_000.0,
            "parsers": ("upstage",),
        }
        return settings.model_copy(update={**own, **update})

    async def sync(self, request: Request) -> Response:
        """`POST /document-digitization`."""
        self.calls["sync"] += 1
        sent, refusal = await self._taken(request, SYNC_PAGES)
        if sent is None:
            return refusal
        pages = _pages(sent.content)
        self.paid_pages += pages
        answer = _json(self._answer(sent, range(1, pages + 1)))
        if refusal.headers.get("x-cut"):
            return Response(answer.body[: len(answer.body) // 2], media_type="application/json")
        return answer

    async def submit(self, request: Request) -> Response:
        """`POST /document-digitization/async`."""
        self.calls["async"] += 1
        sent, refusal = await self._taken(request, ASYNC_PAGES)
        if sent is None:
            return refusal
        request_id = f"request-{next(self._numbers)}"
        fails = self.fail_requests > 0
        self.fail_requests -= fails
        if not fails:
            self.paid_pages += _pages(sent.content)
        self._requests[request_id] = {"sent": sent, "polls": 0, "fails": fails}
        return _json({"request_id": request_id})

    async def status(self, request: Request) -> Response:
        """`GET /document-digitization/requests/{id}`."""
        self.calls["status"] += 1
        if (wrong := self._unauthorised(request)) is not None:
            return wrong
        request_id = request.path_params["request_id"]
        known = self._requests.get(request_id)
        if known is None:
            return _error(404, "no such request")
        known["polls"] += 1
        done = known["polls"] > self.polls_until_done
        state = ("failed" if known["fails"] else "completed") if done else "started"
        pages = _pages(known["sent"].content)
        batches = [
            {
                "id": number,
                "model": "document-parse-260930",
                "status": state if done else "scheduled",
                "failure_message": "",
                "download_url": f"{self.url}/results/{request_id}/{start}" if state == "completed" else "",
                "start_page": start,
                "end_page": min(start + BATCH_PAGES - 1, pages),
            }
            for number, start in enumerate(range(1, pages + 1, BATCH_PAGES))
        ]
        return _json(
            {
                "id": request_id,
                "status": state,
                "model": "document-parse-260930",
                "failure_message": "the stand-in cannot read it" if state == "failed" else "",
                "total_pages": pages,
                "completed_pages": pages if done else 0,
                # Out of order, as nothing promises otherwise.
                "batches": batches[::-1],
            }
        )

    async def download(self, request: Request) -> Response:
        """The address of a batch, on a server that must not see the key."""
        self.calls["download"] += 1
        self.key_was_leaked |= "authorization" in request.headers
        if self.gone_downloads:
            self.gone_downloads -= 1
            return _error(403, "Request has expired")
        known, start = self._requests[request.path_params["request_id"]], int(request.path_params["start"])
        pages = range(start, min(start + BATCH_PAGES - 1, _pages(known["sent"].content)) + 1)
        answer = self._answer(known["sent"], pages)
        if self.pages_of_batches_begin_anew:
            for part in answer["elements"]:
                part["page"] -= start - 1
        return _json(answer)

    def _answer(self, sent: Sent, pages: range) -> dict[str, Any]:
        elements = [part for page in pages for part in self.read(sent, page)]
        return {
            "api": "2.0",
            "model": "document-parse-260930",
            "usage": {"pages": len(pages)},
            "content": {**_EMPTY, "html": "\n".join(part["content"]["html"] for part in elements)},
            "elements": elements,
        }

    async def _taken(self, request: Request, most_pages: int) -> tuple[Sent | None, Response]:
        """Returns the file and an empty response, or None and what refuses it."""
        body = await request.body()
        if (wrong := self._unauthorised(request)) is not None:
            return None, wrong
        fault = self.faults.popleft() if self.faults else Fault()
        if fault.hold is not None:
            await fault.hold.wait()
        if fault.told or fault.status != 200:
            return None, Response(fault.body, fault.status, fault.headers, media_type="application/json")
        sent = _form(request.headers["content-type"], body)
        if sent is None:
            return None, _error(400, "no document in the request")
        if sent.fields.get("model") != "document-parse":
            return None, _error(400, "invalid model name")
        is_webp = sent.content[:4] == b"RIFF"
        if (is_webp and self.webp_refused) or not (is_webp or sent.content.startswith(_FORMATS)):
            return None, _error(415, "unsupported document format")
        if _pages(sent.content) > most_pages:
            return None, _error(413, f"the document has more than {most_pages} pages")
        self.sent.append(sent)
        return sent, Response(headers={"x-cut": "1"} if fault.cut else {})

    def _unauthorised(self, request: Request) -> Response | None:
        if request.headers.get("authorization") == f"Bearer {KEY}":
            return None
        return _error(401, "invalid API key")


@asynccontextmanager
async def upstage() -> AsyncIterator[Upstage]:
    """Yields a running stand-in."""
    standin = Upstage()
    app = Starlette(
        routes=[
            Route("/v1/document-digitization", standin.sync, methods=["POST"]),
            Route("/v1/document-digitization/async", standin.submit, methods=["POST"]),
            Route("/v1/document-digitization/requests/{request_id}", standin.status),
            Route("/v1/results/{request_id}/{start}", standin.download),
        ]
    )
    async with running(app) as url:
        standin.url = f"{url}/v1" if not url.endswith("/v1") else url
        yield standin


def _form(content_type: str, body: bytes) -> Sent | None:
    head = b"Content-Type: " + content_type.encode() + b"\r\n\r\n"
    message = email.message_from_bytes(head + body, policy=HTTP)
    fields: dict[str, str] = {}
    document: tuple[str, bytes] | None = None
    for part in message.iter_parts():
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        name = part.get_param("name", header="content-disposition")
        if name == "document":
            document = (part.get_content_type(), content)
        else:
            fields[str(name)] = content.decode()
    return None if document is None else Sent(*document, fields)


def _pages(content: bytes) -> int:
    if not content.startswith(b"%PDF-"):
        return 1
    counted = re.search(rb"/Count (\d+)", content)
    return int(counted[1]) if counted else len(pypdfium2.PdfDocument(content))


def _json(told: Any) -> Response:
    return Response(orjson.dumps(told), media_type="application/json")


def _error(status: int, message: str) -> Response:
    body = orjson.dumps({"error": {"code": str(status), "message": message, "type": "invalid_request_error"}})
    return Response(body, status, media_type="application/json")

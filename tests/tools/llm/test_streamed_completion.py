"""Answers that are streamed: put together as if they were not, however gateways bend or break the stream."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from local.model.server import running
from nodes.filter_jobs import JobVerdicts
from tests.offline import FOR_EVER, Offline
from tests.pace import scaled, time_limit
from tests.tools.llm.test_chat import BLOCKS, GOOD, PROMPT
from tests.tools.llm.test_gateways import ANSWERS, bent, choice, message
from tools.core.errors import ModelUnavailableError
from tools.core.settings import Settings
from tools.llm.chat import ChatModel, Reply
from tools.llm.model_answers import Usage, read_completion
from tools.llm.openai_client import connection_of, open_http_client
from tools.llm.streamed_completion import StreamedCompletion

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def chunk(delta: Any, finish_reason: str | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
        **more,
    }


END = [chunk({}, "stop"), {"choices": [], "usage": USAGE}]
WRITTEN = [chunk({"content": GOOD[:20]}), chunk({"content": GOOD[20:]})]


def events(*chunks: Any, done: bool = True) -> bytes:
    data = [*(orjson.dumps(each) for each in chunks), *([b"[DONE]"] if done else [])]
    return b"".join(b"data: " + each + b"\n\n" for each in data)


def stream(*pieces: bytes, status: int = 200, hold: float = 0.0) -> Response:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
        await asyncio.sleep(hold)

    return StreamingResponse(body(), status, media_type="text/event-stream")


class Listening:
    """A chat model that is heard, and the gateway's requests."""

    def __init__(self, chat: ChatModel) -> None:
        self._chat = chat
        self.bodies: list[dict[str, Any]] = []
        self.heard: list[str] = []

    async def ask(self) -> Reply[JobVerdicts]:
        return await self._chat.ask(PROMPT, BLOCKS, JobVerdicts, lambda _: [], heard=self.heard.append)


@asynccontextmanager
async def listening(settings: Settings, *answers: Response, **update: Any) -> AsyncIterator[Listening]:
    """Asks a gateway that gives `answers` in turn, the last again and again."""
    left = list(answers)
    bodies: list[dict[str, Any]] = []

    async def complete(request: Request) -> Response:
        bodies.append(orjson.loads(await request.body()))
        return left.pop(0) if len(left) > 1 else left[0]

    app = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])
    async with running(app) as url:
        own = settings.model_copy(update={"openai_base_url": url, **update})
        async with open_http_client(own) as http_client:
            opened = Listening(ChatModel(own, http_client))
            opened.bodies = bodies
            yield opened


async def test_an_answer_is_heard_while_it_is_written_and_comes_back_whole(embedded: Settings) -> None:
    written = stream(events(chunk({"role": "assistant", "content": ""}), *WRITTEN, *END))
    async with listening(embedded, written) as chat:
        reply = await chat.ask()
    assert reply.value.verdicts[0].posting_id == "p-1"
    assert reply.usage == Usage(3, 2)
    assert chat.heard == ["", GOOD]
    assert chat.bodies[0]["stream"] is True
    assert chat.bodies[0]["stream_options"] == {"include_usage": True}


async def test_the_connection_is_found_that_is_not_read_between_two_looks(embedded: Settings) -> None:
    """Else each event is read alone, at twice the price."""
    app = Starlette(routes=[Route("/", lambda _: stream(b"data: 1", hold=FOR_EVER))])
    async with running(app) as url, open_http_client(embedded) as http_client:
        request = http_client.build_request("GET", url.removesuffix("/v1"))
        response = await http_client.send(request, stream=True)
        connection = connection_of(response)
        assert connection is not None
        assert connection.is_reading()
        await response.aclose()


async def test_a_beginning_is_heard_before_the_end_is_there(embedded: Settings) -> None:
    wait = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield events(WRITTEN[0], done=False)
        await wait.wait()
        yield events(WRITTEN[1], *END)

    async with listening(embedded, StreamingResponse(body())) as chat:
        asking = asyncio.create_task(chat.ask())
        async with asyncio.timeout(time_limit()):
            while chat.heard[-1:] != [GOOD[:20]]:
                await asyncio.sleep(0.01)
        wait.set()
        assert (await asking).value.verdicts
    assert chat.heard == ["", GOOD[:20], GOOD]


BENT = {
    "plain": events(*WRITTEN, *END),
    "no empty lines": b"\n".join(b"data:" + orjson.dumps(each) for each in (*WRITTEN, *END)),
    "returns": events(*WRITTEN, *END).replace(b"\n", b"\r\n"),
    "comments and names": b": PROCESSING\n\nevent: chunk\nid: 7\nretry: 10\n" + events(*WRITTEN, *END),
    "no end": events(*WRITTEN, *END, done=False),
    "no reason": events(*WRITTEN, END[1]),
    "usage in the last chunk": events(*WRITTEN, chunk({}, "stop", usage=USAGE)),
    "usage in every chunk": events(*({**each, "usage": USAGE} for each in (*WRITTEN, chunk({}, "stop")))),
    "usage as Groq": events(*WRITTEN, chunk({}, "stop", x_groq={"id": "r", "usage": USAGE})),
    "nothing asked for": events(chunk({}, None), chunk({"content": None}), *WRITTEN, *END),
    "blocks": events(chunk({"content": [{"type": "text", "text": GOOD}]}), *END),
    "thoughts": events(chunk({"reasoning_content": "{hm"}), chunk({"reasoning": "}"}), *WRITTEN, *END),
    "a message in the end": events(*WRITTEN, chunk({}, "stop") | {"usage": USAGE}),
    "several lines": b"data: "
    + json.dumps(chunk({"content": GOOD}), indent=1).encode().replace(b"\n", b"\ndata: ")
    + b"\n\n"
    + events(*END),
    "text": events({"choices": [{"text": GOOD, "finish_reason": "stop"}], "usage": USAGE}),
    "a whole message": events(choice(message(GOOD))),
    "a tool call": events(
        chunk({"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": GOOD[:9]}}]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": GOOD[9:]}}]}),
        *END,
    ),
    "another choice": events(
        *WRITTEN, {"choices": [{"index": 1, "delta": {"content": "x"}, "finish_reason": None}]}, *END
    ),
    "one piece": orjson.dumps(choice(message(GOOD))),
}


@pytest.mark.parametrize("body", BENT.values(), ids=BENT.keys())
async def test_a_stream_in_another_form_is_one_paid_call(embedded: Settings, body: bytes) -> None:
    async with listening(embedded, stream(body)) as chat:
        reply = await chat.ask()
    assert [verdict.posting_id for verdict in reply.value.verdicts] == ["p-1"]
    assert reply.usage == Usage(3, 2)
    assert len(chat.bodies) == 1


@pytest.mark.parametrize("body", ANSWERS.values(), ids=ANSWERS.keys())
async def test_a_gateway_that_does_not_stream_is_read_as_ever(
    embedded: Settings, body: dict[str, Any]
) -> None:
    async with listening(embedded, bent(body)) as chat:
        reply = await chat.ask()
    assert reply.value.verdicts[0].posting_id == "p-1"
    assert len(chat.bodies) == 1


@pytest.mark.parametrize(
    "broken",
    [
        events(WRITTEN[0], done=False),
        events(*WRITTEN, done=False)[:-40],
        events(WRITTEN[0], {"error": {"message": "overloaded", "code": 503}}),
        events(WRITTEN[0], {"choices": [{"index": 0, "delta": {}, "error": {"code": 502}}]}),
        b"",
    ],
    ids=["between events", "within one", "an error", "an error of the choice", "nothing"],
)
async def test_a_stream_that_breaks_off_is_asked_for_again_and_heard_anew(
    embedded: Settings, broken: bytes
) -> None:
    async with listening(embedded, stream(broken), stream(events(*WRITTEN, *END))) as chat:
        reply = await chat.ask()
    assert reply.value.verdicts
    assert chat.heard[-2:] == ["", GOOD]
    assert chat.heard.count("") == len(chat.bodies) == 2


async def test_a_stream_that_always_breaks_off_is_a_connection_error(embedded: Settings) -> None:
    async with listening(embedded, stream(events(WRITTEN[0], done=False)), model_retries=0) as chat:
        with pytest.raises(ModelUnavailableError) as failed:
            await chat.ask()
    assert failed.value.cause == "connection"


async def test_an_error_in_mid_stream_has_the_cause_it_names(embedded: Settings) -> None:
    spent = {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}
    async with listening(embedded, stream(events(WRITTEN[0], spent))) as chat:
        with pytest.raises(ModelUnavailableError) as failed:
            await chat.ask()
    assert failed.value.cause == "quota"
    assert len(chat.bodies) == 1


async def test_a_stream_that_falls_silent_is_given_up(embedded: Settings) -> None:
    silent = stream(events(WRITTEN[0], done=False), hold=FOR_EVER)
    limits = {"model_timeout_seconds": scaled(0.5), "model_retries": 0}
    async with listening(embedded, silent, **limits) as chat:
        async with asyncio.timeout(time_limit()):
            with pytest.raises(ModelUnavailableError) as failed:
                await chat.ask()
    assert failed.value.cause == "timeout"


async def test_a_connection_that_stays_open_behind_the_end_is_not_waited_for(embedded: Settings) -> None:
    async with listening(embedded, stream(events(*WRITTEN, *END), hold=FOR_EVER)) as chat:
        async with asyncio.timeout(time_limit()):
            assert (await chat.ask()).value.verdicts


def refusing(parameter: str) -> Response:
    return JSONResponse({"error": {"message": f"Unrecognized request argument: {parameter}"}}, 400)


async def test_a_gateway_without_usage_in_streams_is_streamed_without_it(embedded: Settings) -> None:
    written = [stream(events(*WRITTEN, END[0])) for _ in range(2)]
    async with listening(embedded, refusing("stream_options"), *written) as chat:
        reply = await chat.ask()
        await chat.ask()
    assert reply.usage == Usage()
    assert ["stream_options" in body for body in chat.bodies] == [True, False, False]
    assert all(body["stream"] for body in chat.bodies)


async def test_a_gateway_without_streams_is_asked_without_them(embedded: Settings) -> None:
    whole = bent(choice(message(GOOD)))
    async with listening(embedded, refusing("stream_options"), refusing("stream"), whole) as chat:
        assert (await chat.ask()).usage == Usage(3, 2)
        await chat.ask()
    assert [body.get("stream", False) for body in chat.bodies] == [True, True, False, False]


async def test_an_error_upstream_is_no_refusal_of_streams(embedded: Settings) -> None:
    failing = JSONResponse({"error": {"message": "bad request to upstream"}}, 400)
    async with listening(embedded, failing) as chat:
        with pytest.raises(ModelUnavailableError):
            await chat.ask()
    assert len(chat.bodies) == 1


async def test_who_is_cancelled_stops_the_model(embedded: Settings, offline: Offline) -> None:
    await offline.behave(chunk_seconds=0.2)
    heard = asyncio.Event()

    def hear(text: str) -> None:
        if text:
            heard.set()

    async with open_http_client(embedded) as http_client:
        chat = ChatModel(embedded, http_client)
        asking = asyncio.create_task(chat.ask(PROMPT, BLOCKS, JobVerdicts, lambda _: [], heard=hear))
        async with asyncio.timeout(time_limit()):
            await heard.wait()
        asking.cancel()
        assert (await offline.in_flight(0))["cancelled"] == 1


async def test_an_answer_out_of_the_journal_is_not_heard(embedded: Settings, offline: Offline) -> None:
    class Journal:
        answers: dict[str, bytes] = {}  # noqa: RUF012

        async def find(self, question: str) -> bytes | None:
            return self.answers.get(question)

        async def record(self, question: str, answer: bytes) -> None:
            self.answers[question] = answer

        async def forget(self, questions: Sequence[str]) -> None: ...

    async with open_http_client(embedded) as http_client:
        chat = ChatModel(embedded, http_client).for_run(Journal())
        heard: list[str] = []
        first = await chat.ask(PROMPT, BLOCKS, JobVerdicts, lambda _: [], heard=heard.append)
        assert heard
        heard.clear()
        second = await chat.ask(PROMPT, BLOCKS, JobVerdicts, lambda _: [])
        assert second == await chat.ask(PROMPT, BLOCKS, JobVerdicts, lambda _: [], heard=heard.append)
    assert heard == []
    assert second.value == first.value
    assert (await offline.calls())["total"] == 1


@given(
    text=st.text(alphabet=st.characters(codec="utf-8"), max_size=60),
    sizes=st.lists(st.integers(1, 9), min_size=1),
    cuts=st.lists(st.integers(1, 40), min_size=1),
    escaped=st.booleans(),
    line_end=st.sampled_from([b"\n", b"\r\n"]),
)
def test_wherever_chunks_and_bytes_are_cut_the_text_is_the_same(
    text: str, sizes: list[int], cuts: list[int], escaped: bool, line_end: bytes
) -> None:
    """In the middle of a letter's bytes, of an escape, between the halves of a surrogate pair."""
    units = text.encode("utf-16-le") if escaped else b""
    letters = [
        units[place : place + 2].decode("utf-16-le", "surrogatepass") for place in range(0, len(units), 2)
    ] or list(text)
    chunks = [chunk({"content": "".join(piece)}) for piece in pieces_of(letters, sizes)]
    dumped = [json.dumps(each, ensure_ascii=escaped).encode() for each in (*chunks, *END)]
    body = b"".join(b"data: " + each + line_end * 2 for each in (*dumped, b"[DONE]"))
    answer, heard = StreamedCompletion(), [""]
    for piece in pieces_of(body, cuts):
        answer.feed(piece)
        heard.append(answer.text)
    answer.close()
    assert answer.is_whole
    assert answer.ended
    whole = read_completion(orjson.loads(answer.body()))
    assert whole.text == text
    assert whole.usage == Usage(3, 2)
    if not escaped:  # half a pair is a question mark until the other comes
        assert all(text.startswith(beginning) for beginning in heard)


def pieces_of(whole: Any, sizes: list[int]) -> list[Any]:
    pieces, place = [], 0
    while place < len(whole):
        size = sizes[len(pieces) % len(sizes)]
        pieces.append(whole[place : place + size])
        place += size
    return pieces

"""What a run asks of models: the response journal, which keeps the answers, and a list of the calls.

A checkpoint is written when a run ends. A worker that is killed before leaves none, but the answers are in
the journal, by a hash of what was asked; another worker that runs the same turn asks the same questions
and finds them answered.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

import orjson

from tools.core import metrics, spans
from tools.core.errors import ServiceError
from tools.core.slots import WorkSlot
from tools.llm.token_estimates import usd

Tokens = tuple[int, int]
"""Of the input and of the output of a call."""
Counted = tuple[Tokens | None, str | None]
"""What is counted of an answer: its tokens, None where the API did not say; and the model that gave it in the
place of the one that was asked, None where that one did."""


class ResponseJournal(Protocol):
    """Keeps answers by the hash of their question. It is durable, unlike a cache."""

    async def find(self, question: str) -> bytes | None:
        """Returns the answer that was recorded for a question.

        Raises:
            redis.exceptions.RedisError, psycopg.Error: the journal does not answer.
        """

    async def record(self, question: str, answer: bytes) -> None:
        """Records an answer.

        Raises:
            redis.exceptions.RedisError, psycopg.Error: it could not be written.
        """

    async def forget(self, questions: Sequence[str]) -> None:
        """Deletes answers, so that their questions are asked anew.

        Raises:
            redis.exceptions.RedisError, psycopg.Error: they could not be deleted.
        """


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a model. `replayed`: the answer was found in the journal and cost nothing again.
    `tokens` are as the API counted them, None where it did not say."""

    purpose: str
    model: str
    question: str
    """The hash of what was asked: two calls of one run with the same, both paid, were paid twice."""
    seconds: float
    replayed: bool
    input_tokens: int | None
    output_tokens: int | None
    fallback: bool = False
    """Whether the model answered in the place of one that was down."""


_in_flight: dict[tuple[int, str], asyncio.Future[None]] = {}
"""Questions of this process that are being asked, by journal: who asks the same waits for the answer."""


def question_hash(question: object) -> str:
    """Returns the name of a question (JSON) in the journal."""
    return hashlib.blake2b(orjson.dumps(question), digest_size=16).hexdigest()


async def recorded_call(
    journal: ResponseJournal | None, question: object, ask: Callable[[], Awaitable[bytes]]
) -> bytes:
    """Returns the recorded answer to `question` (JSON), or else what `ask` gets, which is recorded.
    Without a journal every question is asked.

    Raises:
        redis.exceptions.RedisError, psycopg.Error: the answer could not be recorded. It is lost, and the
            run ends: going on would pay for answers that a crash would lose.
    """
    if journal is None:
        return await ask()
    key = question_hash(question)
    while (other := _in_flight.get((id(journal), key))) is not None:
        # Whatever becomes of it: its answer is found below, or it is asked again here.
        await asyncio.wait([other])
    done = _in_flight[id(journal), key] = asyncio.get_running_loop().create_future()
    try:
        answer = await journal.find(key)
        if answer is None:
            answer = await ask()
            await journal.record(key, answer)
        return answer
    finally:
        del _in_flight[id(journal), key]
        done.cancel()


class RecordedModel:
    """A client of a model that can record what it is asked: the base of `ChatModel` and `Embedder`."""

    operation = "chat"
    """What is asked for, by OpenTelemetry's conventions."""
    _journal: ResponseJournal | None = None
    _calls: list[Call] | None = None
    _slot: WorkSlot | None = None

    def for_run(
        self,
        journal: ResponseJournal | None,
        calls: list[Call] | None = None,
        slot: WorkSlot | None = None,
    ) -> Self:
        """Returns this client for one run: it takes answers from `journal`, records new ones there, appends
        each call to `calls`, and gives `slot` up while the model is at work."""
        own = copy.copy(self)
        own._journal, own._calls, own._slot = journal, calls, slot
        return own

    async def _recorded(
        self,
        purpose: str,
        model: str,
        question: object,
        ask: Callable[[], Awaitable[bytes]],
        *,
        count: Callable[[bytes], Counted],
        prompt: str = "",
    ) -> bytes:
        """As `recorded_call`. `count` reads what is counted of an answer; `prompt` is the version of the
        prompt that asks."""
        paid = False

        async def asked() -> bytes:
            nonlocal paid
            paid = True
            if self._slot is None:
                return await traced()
            async with self._slot.given_up():
                return await traced()

        async def in_span() -> bytes:
            assert spans.tracer is not None  # noqa: S101 - it is on where this is called
            with spans.of_call(spans.tracer, self.operation, model, purpose, prompt) as span:
                answer = await ask()
                tokens, instead = count(answer)
                span.set_attribute("gen_ai.response.model", instead or model)
                for direction, number in zip(("input", "output"), tokens or (), strict=False):
                    span.set_attribute(f"gen_ai.usage.{direction}_tokens", number)
                return answer

        traced = ask if spans.tracer is None else in_span

        began = time.monotonic()
        try:
            answer = await recorded_call(self._journal, question, asked)
        except ServiceError as error:
            metrics.MODEL_CALLS.labels(purpose, model, error.code).inc()
            raise
        seconds = time.monotonic() - began
        tokens, instead = count(answer)
        model = instead or model
        if self._calls is not None:
            tokens_in, tokens_out = tokens or (None, None)
            call = Call(
                purpose,
                model,
                question_hash(question),
                seconds,
                not paid,
                tokens_in,
                tokens_out,
                instead is not None,
            )
            self._calls.append(call)
        metrics.MODEL_CALLS.labels(purpose, model, "answered" if paid else "replayed").inc()
        if paid:
            metrics.MODEL_SECONDS.labels(purpose, model).observe(seconds)
            if tokens is not None:
                _count_tokens(purpose, model, prompt, tokens)
        return answer


def _count_tokens(purpose: str, model: str, prompt: str, tokens: Tokens) -> None:
    for direction, number in zip(("input", "output"), tokens, strict=True):
        metrics.MODEL_TOKENS.labels(purpose, model, prompt, direction).inc(number)
    if (cost := usd(model, *tokens)) is not None:
        metrics.MODEL_COST.labels(purpose, model, prompt).inc(cost)

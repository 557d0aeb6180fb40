"""The Batch API: the calls of many documents in one file, answered within a day, at half the price.

requests = [r for key, parsed, hints in documents for r in batch.requests(key, parsed, hints)]
batch_id = await batch.submit(requests)      # record it: the batch is paid for
collected = await batch.collect(batch_id)    # now, or after a restart
tagged = await batch.tag(key, parsed, hints, collected)
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from ingest.documents import Cost, Hints, Parsed, Tagged
from ingest.errors import TaggingError
from ingest.tagging.positions import PostingPositions, TaggingTask
from ingest.tagging.tagger import PURPOSE, MadeBy, Tagger, fences
from tools.core.contracts import Language
from tools.core.errors import ModelUnavailableError
from tools.core.settings import Settings
from tools.llm.chat import ChatModel
from tools.llm.model_answers import ModelAnswer, NoAnswerError, read_completion
from tools.llm.model_errors import model_errors, unreadable_answer
from tools.llm.openai_client import chat_endpoint, open_client
from tools.llm.structured_output import refusal_error, validated
from tools.prompts.registry import PromptSet

logger = logging.getLogger(__name__)
T = TypeVar("T", bound=BaseModel)

MAX_REQUESTS = 50_000
MAX_BYTES = 200_000_000
"""OpenAI's limits of one batch (API reference, `POST /v1/batches`, November 2026)."""
_ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
_DIGEST = "checkerboard_requests"
"""The metadata with the hash of a batch's requests, by which a batch is recognised."""
_PROMPT, _MODEL = "prompt_", "model"
"""The metadata with the prompt and the model of the answers: newer ones may be active when they come."""
_UPLOAD_SECONDS = 600.0
_LONGEST_PAUSE_SECONDS = 300.0
_GIVEN_UP_SECONDS = 26 * 3600.0
"""A batch ends within 24 hours."""
_ENDED = ("completed", "failed", "expired", "cancelled")


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One call: the body of a chat request, and the name under which its answer comes back."""

    custom_id: str
    body: dict[str, Any]
    made_by: tuple[Language, MadeBy]
    """The language of its prompt, and the prompt and the model of its answer."""

    def line(self) -> bytes:
        """Returns its line in the batch's file."""
        row = {"custom_id": self.custom_id, "method": "POST", "url": _ENDPOINT, "body": self.body}
        return orjson.dumps(row) + b"\n"


class _BatchError(BaseModel):
    message: str | None = None
    code: str | None = None


class _BatchErrors(BaseModel):
    data: list[_BatchError] | None = None


class _Batch(BaseModel):
    """The fields of a batch that are read."""

    id: str
    status: str
    created_at: float = 0
    metadata: dict[str, str] | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: _BatchErrors | None = None


class _File(BaseModel):
    id: str


@dataclass(frozen=True, slots=True)
class CollectedBatch:
    """The answers of a batch by custom id. An `expired` or `cancelled` one has answered a part, which is paid
    for; `errors` has the reason of each other request."""

    status: Literal["completed", "expired", "cancelled"]
    metadata: dict[str, str] = field(default_factory=dict)
    """The metadata of the batch: the prompts and the model of its answers."""
    answers: dict[str, ModelAnswer] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)


def within_limits(documents: Iterable[Sequence[BatchRequest]]) -> Iterator[list[Sequence[BatchRequest]]]:
    """Yields the requests of documents in groups that are one batch each; those of one document stay
    together."""
    group: list[Sequence[BatchRequest]] = []
    number = size = 0
    for requests in documents:
        length = sum(len(request.line()) for request in requests)
        if group and (number + len(requests) > MAX_REQUESTS or size + length > MAX_BYTES):
            yield group
            group, number, size = [], 0, 0
        group.append(requests)
        number += len(requests)
        size += length
    if group:
        yield group


class BatchTagger:
    """Tags by batches. A batch is polled after `first_pause_seconds`, and then after pauses that grow by a
    half, up to five minutes."""

    def __init__(
        self, tagger: Tagger, settings: Settings, http_client: Any, first_pause_seconds: float = 10.0
    ) -> None:
        self._tagger = tagger
        self._first_pause = first_pause_seconds
        self._endpoint = chat_endpoint(settings)
        self._client = open_client(settings, http_client, self._endpoint)

    def requests(
        self, key: str, parsed: Parsed, hints: Hints, prompts: PromptSet | None = None
    ) -> list[BatchRequest]:
        """Returns the calls for one document with its prompt of `prompts`, or of the active ones; `key` names
        it in the batch. A document without text has none."""
        task = TaggingTask(parsed, hints)
        prompt = self._tagger.prompt(task, prompts)
        made_by = self._tagger.made_by(prompt)
        return [
            BatchRequest(
                _custom_id(key, number),
                self._tagger.chat.request(prompt, fences(task.parts, number, hints), PostingPositions),
                (task.language, made_by),
            )
            for number in range(len(task.parts))
        ]

    async def submit(self, requests: Sequence[BatchRequest]) -> str:
        """Sends one batch and returns its id.

        Submitting the same requests again, as after a kill before the id could be kept, finds the
        batch that is there instead of paying for a second one.

        Raises:
            ValueError: the requests are none, or more than one batch may have (`within_limits`).
            ModelUnavailableError: the API did not take them.
        """
        content = await asyncio.to_thread(lambda: b"".join(request.line() for request in requests))
        if not 0 < len(requests) <= MAX_REQUESTS or len(content) > MAX_BYTES:
            raise ValueError(f"a batch has 1 to {MAX_REQUESTS} requests and at most {MAX_BYTES} bytes")
        digest = hashlib.sha256(content).hexdigest()
        with model_errors(PURPOSE, self._endpoint):
            known = await self._known(digest)
            if known is not None:
                logger.info("batch found again", extra={"batch": known})
                return known
            uploaded = await self._client.files.with_raw_response.create(
                file=("postings.jsonl", content, "application/jsonl"),
                purpose="batch",
                timeout=_UPLOAD_SECONDS,
            )
            answer = await self._client.batches.with_raw_response.create(
                input_file_id=self._as(_File, uploaded.content).id,
                endpoint=_ENDPOINT,
                completion_window="24h",
                metadata={_DIGEST: digest, **_made_by(requests)},
            )
            batch = self._as(_Batch, answer.content)
        logger.info("batch submitted", extra={"batch": batch.id, "requests": len(requests)})
        return batch.id

    async def collect(self, batch_id: str) -> CollectedBatch:
        """Waits for a batch to end, and returns what it has answered. It costs nothing to collect
        again.

        Raises:
            ModelUnavailableError: the API did not answer, or has not ended the batch in 26 hours
                (`cause` is `batch_timeout`), or has refused it as a whole, unpaid
                (`batch_failed`, with `problems`).
        """
        with model_errors(PURPOSE, self._endpoint):
            batch = await self._ended(batch_id)
            if batch.status == "failed":
                problems = [
                    error.message or error.code or "" for error in (batch.errors and batch.errors.data) or []
                ]
                raise ModelUnavailableError(
                    "The model's API refused the batch. Nothing of it is paid for.",
                    purpose=PURPOSE,
                    cause="batch_failed",
                    problems=problems,
                )
            status: Literal["completed", "expired", "cancelled"] = batch.status  # type: ignore[assignment]
            collected = CollectedBatch(status, batch.metadata or {})
            for file_id in (batch.output_file_id, batch.error_file_id):
                if file_id is not None:
                    await self._read(file_id, collected)
        logger.info(
            "batch collected",
            extra={
                "batch": batch_id,
                "status": status,
                "answers": len(collected.answers),
                "errors": len(collected.errors),
            },
        )
        return collected

    async def tag(self, key: str, parsed: Parsed, hints: Hints, collected: CollectedBatch) -> Tagged:
        """Returns the positions of a document whose calls were in a batch.

        An answer that is missing, no valid one, or has lines that the document has not is asked for
        once more, singly and at the full price; a refusal is not.

        Raises:
            NotAPostingError, ModelUnavailableError, ModelOutputError: as `Tagger.tag`.
        """
        async with self._tagger.recorded_chat() as chat:
            return await self._tag(chat, key, parsed, hints, collected)

    async def _tag(
        self, chat: ChatModel, key: str, parsed: Parsed, hints: Hints, collected: CollectedBatch
    ) -> Tagged:
        task = await asyncio.to_thread(TaggingTask, parsed, hints)
        prompt = self._tagger.prompt(task)
        now = self._tagger.made_by(prompt)
        then = MadeBy(
            collected.metadata.get(f"{_PROMPT}{task.language}", now.prompt),
            collected.metadata.get(_MODEL, now.model),
        )
        made_by = now
        answers: list[PostingPositions] = []
        cost = Cost()
        for number in range(len(task.parts)):
            answer = collected.answers.get(_custom_id(key, number))
            value = None
            if answer is not None:
                cost += self._tagger.cost(then.model, answer.usage, batch=True)
                value, problems = validated(answer, PostingPositions)
                if value is None and (refused := refusal_error(answer, purpose=PURPOSE)):
                    raise TaggingError.of(refused, cost)
                problems = problems if value is None else task.problems(value)
                if problems:
                    value = None
            if value is None:
                wrong = len(problems) if answer is not None else None
                logger.warning("batch answer asked for singly", extra={"document": key, "problems": wrong})
                reply = await self._tagger.ask(chat, prompt, task, hints, number)
                cost += self._tagger.cost(now.model, reply.usage)
                value = reply.value
            else:
                made_by = then
            answers.append(value)
        return await asyncio.to_thread(self._tagger.tagged, task, answers, cost, made_by)

    async def _known(self, digest: str) -> str | None:
        """Returns the batch with these requests that has not failed; None where there is none."""
        oldest = time.time() - _GIVEN_UP_SECONDS
        async for listed in self._client.batches.list(limit=100):
            batch = self._as(_Batch, listed.to_dict())
            if batch.created_at < oldest:
                return None
            same = (batch.metadata or {}).get(_DIGEST) == digest
            if same and batch.status not in ("failed", "expired", "cancelling", "cancelled"):
                return batch.id
        return None

    async def _ended(self, batch_id: str) -> _Batch:
        pause = self._first_pause
        try:
            async with asyncio.timeout(_GIVEN_UP_SECONDS):
                while True:
                    answer = await self._client.batches.with_raw_response.retrieve(batch_id)
                    batch = self._as(_Batch, answer.content)
                    if batch.status in _ENDED:
                        return batch
                    await asyncio.sleep(pause)
                    pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
        except TimeoutError as error:
            raise ModelUnavailableError(
                "The batch has not ended in 26 hours.", purpose=PURPOSE, cause="batch_timeout"
            ) from error

    async def _read(self, file_id: str, collected: CollectedBatch) -> None:
        async with self._client.files.with_streaming_response.content(file_id) as response:
            async for line in response.iter_lines():
                if line.strip() and not _sort(line, collected):
                    raise unreadable_answer(PURPOSE, self._endpoint)

    def _as(self, kind: type[T], body: dict[str, Any] | bytes) -> T:
        """Returns an answer as `kind`. Raises ModelUnavailableError where it is none: this is no Batch
        API."""
        try:
            return kind.model_validate(orjson.loads(body) if isinstance(body, bytes) else body)
        except ValidationError as error:
            raise unreadable_answer(PURPOSE, self._endpoint) from error


def _made_by(requests: Sequence[BatchRequest]) -> dict[str, str]:
    """Returns the metadata of a batch with the prompts and the model of its answers."""
    metadata: dict[str, str] = {}
    for request in requests:
        language, made_by = request.made_by
        metadata[f"{_PROMPT}{language}"] = made_by.prompt
        metadata[_MODEL] = made_by.model
    return metadata


def _custom_id(key: str, number: int) -> str:
    return f"{key}/{number}"


def _sort(line: str, collected: CollectedBatch) -> bool:
    """Puts a line of a batch's file into `collected`; returns whether it is such a line."""
    try:
        row = orjson.loads(line)
        custom_id, response = row["custom_id"], row.get("response") or {}
        status, body = response.get("status_code"), response.get("body") or {}
    except (ValueError, LookupError, TypeError, AttributeError):
        return False
    try:
        if status == 200:  # noqa: PLR2004 - an HTTP status
            collected.answers[custom_id] = read_completion(body)
            return True
        reason = ""
    except NoAnswerError as error:
        reason = f"no answer: {error}"
    collected.errors[custom_id] = (
        _error_text(row.get("error")) or _error_text(body) or reason or str(response)[:200]
    )
    return True


def _error_text(error: Any) -> str:
    """Returns the text of an error: `{"message"}`, `{"code"}`, either in an `error`, or bare."""
    if isinstance(error, dict):
        texts = (_error_text(error.get(key)) for key in ("error", "message", "code"))
        return next(filter(None, texts), "")
    return str(error) if isinstance(error, str | int) else ""

"""Upstage Document Parse as a parser: which API, which form of an image, and what it cost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import orjson
from pydantic import ValidationError

from ingest.documents import Cost, Parsed, RawFile
from ingest.errors import DocumentUnreadableError, ParserUnavailableError
from ingest.parsers.media import Kind
from ingest.parsers.pictures import as_png
from ingest.parsers.upstage.api import MODEL, GoneError, Limits, RefusedError, TooLargeError, UpstageApi
from ingest.parsers.upstage.elements import Answer, blocks_of
from tools.core.logs import cause
from tools.llm.journal import ResponseJournal, recorded_call

logger = logging.getLogger(__name__)

USD_PER_PAGE = 0.01
"""The standard mode's price on Upstage's pricing page (upstage.ai/pricing), November 2026."""
_SUBMISSIONS = 2
"""How often a file is handed in to the asynchronous API when the request fails there."""
_DOWNLOADS = 5
"""How often a batch's address, which is valid for 15 minutes, is asked for anew."""


class UpstageParser:
    """Reads images and PDFs with Upstage. Every answer is paid for once (`tools.llm.journal`)."""

    name = "upstage"

    def __init__(self, api: UpstageApi, limits: Limits, journal: ResponseJournal | None = None) -> None:
        self._api = api
        self._limits = limits
        self._journal = journal
        self._webp_refused = False

    async def parse(self, file: RawFile) -> Parsed:
        """As `Parser.parse`. Upstage tells no confidence, so none is given.

        Raises:
            DocumentUnreadableError: Upstage does not take the file; the message is in its words.
            ParserUnavailableError: Upstage does not answer, or refuses the key (`fatal`).
        """
        try:
            # The file's own hash, whatever form of it is sent.
            answer = await recorded_call(
                self._journal, self._question(file, "sync"), lambda: self._sync(file)
            )
            return _parsed([(_answer(answer), 1)])
        except TooLargeError:
            logger.info("upstage takes it asynchronously", extra={"file": file.name})
        except RefusedError as error:
            raise self._unreadable(file, error) from error
        try:
            return _parsed(await self._asynchronously(file))
        except (RefusedError, TooLargeError) as error:
            raise self._unreadable(file, error) from error

    async def _sync(self, file: RawFile) -> bytes:
        if file.media_type == Kind.GIF:
            # Upstage does not know it, so it need not be asked.
            return await self._api.parse(await asyncio.to_thread(as_png, file))
        if file.media_type != Kind.WEBP:
            return await self._api.parse(file)
        if not self._webp_refused:
            try:
                return await self._api.parse(file)
            except RefusedError as error:
                # WebP is on one page of Upstage's and missing on another.
                logger.info("upstage refused WebP; PNG is sent", extra={"cause": cause(error)})
        answer = await self._api.parse(await asyncio.to_thread(as_png, file))
        self._webp_refused = True
        return answer

    async def _asynchronously(self, file: RawFile) -> list[tuple[Answer, int]]:
        if file.media_type == Kind.GIF or (file.media_type == Kind.WEBP and self._webp_refused):
            file = await asyncio.to_thread(as_png, file)
        for submission in range(_SUBMISSIONS):
            question = self._question(file, "async", submission)
            told = orjson.loads(await recorded_call(self._journal, question, lambda: self._api.submit(file)))
            request_id = told.get("request_id")
            if not isinstance(request_id, str) or not request_id.replace("-", "").isalnum():
                raise ParserUnavailableError("Upstage gave no request_id.", parser=self.name, cause="answer")
            try:
                async with asyncio.timeout(self._limits.async_seconds):
                    return await self._batches(file, request_id, submission)
            except TimeoutError as error:
                raise ParserUnavailableError(
                    f"Upstage has not completed the request {request_id} in {self._limits.async_seconds:g} "
                    "seconds; it is asked for again later.",
                    parser=self.name,
                    cause="timeout",
                ) from error
            except (RefusedError, GoneError) as error:
                problem = str(error) or "the request is gone"
                logger.warning(
                    "upstage failed a request", extra={"request": request_id, "cause": cause(error)}
                )
        raise DocumentUnreadableError(f"Upstage cannot read {file.name}: {problem}", file=file.name)

    async def _batches(self, file: RawFile, request_id: str, submission: int) -> list[tuple[Answer, int]]:
        status = await self._completed(request_id)
        answers = []
        for number, batch in enumerate(_in_order(status)):
            question = self._question(file, "batch", submission, request_id, number)
            content = await recorded_call(self._journal, question, partial(self._batch, request_id, number))
            answers.append((_answer(content), _whole(batch.get("start_page"), 1)))
        return answers

    async def _completed(self, request_id: str) -> dict[str, Any]:
        """Waits until a request is completed.

        Raises:
            RefusedError: it failed.
        """
        wait = self._limits.poll_seconds
        while True:
            status = await self._api.status(request_id)
            batches = [batch for batch in status.get("batches") or [] if isinstance(batch, dict)]
            failed = next((told for told in (status, *batches) if told.get("status") == "failed"), None)
            if failed is not None:
                raise RefusedError(str(failed.get("failure_message") or "it gave no reason"), 200)
            if status.get("status") == "completed":
                return status
            await asyncio.sleep(wait)
            wait = min(2 * wait, 5 * self._limits.poll_seconds)

    async def _batch(self, request_id: str, number: int) -> bytes:
        """Downloads a batch, from a new address where the one it has has expired."""
        for _ in range(_DOWNLOADS):
            batches = _in_order(await self._completed(request_id))
            try:
                return await self._api.download(str(batches[number]["download_url"]))
            except (GoneError, LookupError):
                logger.info("upstage's address has expired", extra={"request": request_id, "batch": number})
                await asyncio.sleep(self._limits.poll_seconds)
        raise ParserUnavailableError(
            f"Upstage gives no valid address for the request {request_id}.", parser=self.name, cause="answer"
        )

    def _question(self, file: RawFile, *what: object) -> list[object]:
        return ["upstage", MODEL, file.content_hash, *what]

    def _unreadable(self, file: RawFile, error: Exception) -> DocumentUnreadableError:
        return DocumentUnreadableError(f"Upstage does not take {file.name}: {error}", file=file.name)


def _parsed(answers: Sequence[tuple[Answer, int]]) -> Parsed:
    pages = sum(answer.pages for answer, _ in answers)
    return Parsed(
        blocks=blocks_of(answers),
        parser=f"upstage/{answers[0][0].model if answers else MODEL}",
        cost=Cost(pages=pages, usd=pages * USD_PER_PAGE),
    )


def _answer(content: bytes) -> Answer:
    try:
        return Answer.model_validate_json(content)
    except ValidationError as error:
        raise ParserUnavailableError(
            f"Upstage's answer cannot be read: {error.errors(include_url=False)[0]['msg']}",
            parser="upstage",
            cause="answer",
        ) from error


def _in_order(status: dict[str, Any]) -> list[dict[str, Any]]:
    batches = [batch for batch in status.get("batches") or [] if isinstance(batch, dict)]
    return sorted(batches, key=lambda batch: _whole(batch.get("start_page"), 1))


def _whole(value: object, default: int) -> int:
    return value if isinstance(value, int) and value >= 1 else default

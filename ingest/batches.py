"""Tagging by the Batch API: every document that waits for it in a few large batches, at half the price.

A batch takes up to a day. Its id is kept with its documents before it is waited for, so a run that is
killed meanwhile is followed by one that waits for the same batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from ingest.pipeline import IN_FLIGHT, Outcome, Step
from ingest.progress import Counts
from ingest.run import Ingest
from ingest.store import Document, Wanted
from ingest.tagging.batch import MAX_BYTES, MAX_REQUESTS, BatchRequest, Collected
from tools.errors import ModelUnavailableError

DOCUMENTS = 2_000
"""Documents of one batch: so many requests are in memory while it is sent, some 10 kB each."""


async def run_by_batches(ingest: Ingest, counts: Counts) -> None:
    """Collects the sources and takes every unfinished document to its end, tagging by batches.

    Raises:
        ModelUnavailableError: the API has refused a batch, or did not answer. The next run goes on.
        CheckerboardError: as `Pipeline.run`.
    """
    parse, tag, *rest = ingest.steps()
    await ingest.collect_and_work([parse], counts)
    ingest.sources.clear()
    for chunk in _chunks(await ingest.store.structured()):
        # What is structured already needs no model.
        await ingest.collect_and_work([tag], counts, ids=chunk)
    for chunk in _chunks(await _send(ingest)):
        await ingest.collect_and_work([tag], counts, ids=chunk)
    sent = await ingest.store.sent()
    await asyncio.gather(*(_fetch(ingest, batch_id, ids, counts) for batch_id, ids in sent))
    await ingest.collect_and_work(rest, counts)


async def _send(ingest: Ingest) -> list[int]:
    """Sends what is parsed and in no batch yet; returns the documents without text, which need no answer."""
    waiting = _Group()
    silent: list[int] = []
    for chunk in _chunks(await ingest.store.unsent()):
        documents = await ingest.store.claim(Wanted(("parsed",), tuple(chunk)), len(chunk))
        for document in sorted(documents, key=lambda document: document.id):
            assert document.parsed is not None  # noqa: S101 - `unsent` names those that are parsed
            requests = ingest.batches.requests(str(document.id), document.parsed, document.hints)
            if waiting.full_with(requests):
                await waiting.send(ingest)
            if requests:
                waiting.add(document.id, requests)
            else:
                silent.append(document.id)
    await waiting.send(ingest)
    await ingest.store.give_back(silent)
    return silent


class _Group:
    """Documents that go into one batch."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._requests: list[BatchRequest] = []
        self._bytes = 0

    def full_with(self, requests: list[BatchRequest]) -> bool:
        """Whether these requests are too many for the batch."""
        return (
            len(self._ids) == DOCUMENTS
            or len(self._requests) + len(requests) > MAX_REQUESTS
            or self._bytes + _length(requests) > MAX_BYTES
        )

    def add(self, number: int, requests: list[BatchRequest]) -> None:
        """Takes a document's requests."""
        self._ids.append(number)
        self._requests += requests
        self._bytes += _length(requests)

    async def send(self, ingest: Ingest) -> None:
        """Sends the batch and keeps its id with its documents, which are given back."""
        if self._requests:
            await ingest.store.keep_batch(self._ids, await ingest.batches.submit(self._requests))
        self._ids, self._requests, self._bytes = [], [], 0


async def _fetch(ingest: Ingest, batch_id: str, ids: Sequence[int], counts: Counts) -> None:
    try:
        collected = await ingest.batches.collect(batch_id)
    except ModelUnavailableError as error:
        if error.details.get("cause") == "batch_failed":
            # Nothing of it is paid: the next run sends its documents again.
            await ingest.store.forget_batch(batch_id)
        raise
    for chunk in _chunks(ids):
        await ingest.collect_and_work([_step(ingest, collected)], counts, ids=chunk, in_batches=True)


def _step(ingest: Ingest, collected: Collected) -> Step:
    """The tag step, out of what a batch has answered."""

    async def work(documents: list[Document]) -> list[Outcome]:
        [document] = documents
        assert document.parsed is not None  # noqa: S101 - `sent` names those that are parsed
        key = str(document.id)
        document.tagged = await ingest.batches.tag(key, document.parsed, document.hints, collected)
        return [Outcome(document.tagged.cost)]

    return Step("tagged", work, workers=ingest.services.settings.ingest_workers)


def _length(requests: Sequence[BatchRequest]) -> int:
    return sum(len(request.line()) for request in requests)


def _chunks(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + IN_FLIGHT] for start in range(0, len(ids), IN_FLIGHT)]

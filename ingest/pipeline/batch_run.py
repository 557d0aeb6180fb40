"""A run that tags by the Batch API: the waiting documents in a few large batches, at half the price.

A batch takes up to a day. Its id is recorded with its documents before it is waited for, so after a kill
the next run waits for the same batch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain, islice

from ingest.pipeline.local_engine import IN_FLIGHT, Counts, Outcome, StageRunner
from ingest.pipeline.run import Ingest
from ingest.pipeline.store import Document, Selection
from ingest.tagging.batch_api import BatchRequest, BatchTagger, CollectedBatch, within_limits
from tools.core.errors import ModelUnavailableError
from tools.llm.openai_client import open_http_client
from tools.prompts.registry import PromptSet

DOCUMENTS = 2_000
"""Documents of one batch: so many requests are in memory while it is sent, some 10 kB each."""


async def run_by_batches(ingest: Ingest, counts: Counts) -> None:
    """Collects the sources and takes every unfinished document through the stages, tagging by batches.

    Raises:
        ModelUnavailableError: the API has refused a batch, or did not answer. The next run goes on.
        CheckerboardError: as `LocalEngine.run`.
    """
    parse, tag, *rest = ingest.runners()
    await ingest.collect_and_work([parse], counts)
    ingest.sources.clear()
    for chunk in _chunks(await ingest.store.structured()):
        # What is structured already needs no model.
        await ingest.collect_and_work([tag], counts, ids=chunk)
    settings = ingest.services.settings
    async with open_http_client(settings) as http:
        api = BatchTagger(ingest.tagger, settings, http)
        for chunk in _chunks(await _send(ingest, api)):
            await ingest.collect_and_work([tag], counts, ids=chunk)
        batches = await ingest.store.pending_batches()
        await asyncio.gather(*(_collect(ingest, api, batch_id, ids, counts) for batch_id, ids in batches))
    await ingest.collect_and_work(rest, counts)


async def _send(ingest: Ingest, api: BatchTagger) -> list[int]:
    """Sends what is parsed and in no batch yet; returns the documents without text, which need no call."""
    waiting = await ingest.store.not_in_batch()
    # One batch is asked with one set of prompts, though others become active meanwhile.
    prompts = ingest.services.prompts.current
    without_text: list[int] = []
    for start in range(0, len(waiting), DOCUMENTS):
        by_document = await _requests(ingest, api, waiting[start : start + DOCUMENTS], prompts)
        without_text += [number for number, requests in by_document.items() if not requests]
        with_text = {number: requests for number, requests in by_document.items() if requests}
        numbers = iter(with_text)
        for group in within_limits(with_text.values()):
            batch_id = await api.submit(list(chain.from_iterable(group)))
            await ingest.store.record_batch(list(islice(numbers, len(group))), batch_id)
    await ingest.store.release(without_text)
    return without_text


async def _requests(
    ingest: Ingest, api: BatchTagger, ids: Sequence[int], prompts: PromptSet
) -> dict[int, list[BatchRequest]]:
    """Claims documents; returns the calls for each, in the order of their numbers, so that the same
    documents make the same batch."""
    requests: dict[int, list[BatchRequest]] = {}
    for chunk in _chunks(ids):
        documents = await ingest.store.claim(Selection(("parsed",), tuple(chunk)), len(chunk))
        for document in sorted(documents, key=lambda document: document.id):
            assert document.parsed is not None  # noqa: S101 - `not_in_batch` returns parsed ones
            requests[document.id] = api.requests(str(document.id), document.parsed, document.hints, prompts)
    return requests


async def _collect(
    ingest: Ingest, api: BatchTagger, batch_id: str, ids: Sequence[int], counts: Counts
) -> None:
    try:
        collected = await api.collect(batch_id)
    except ModelUnavailableError as error:
        if error.cause == "batch_failed":
            # Nothing of it is paid for: the next run sends its documents again.
            await ingest.store.forget_batch(batch_id)
        raise
    tag = _runner(ingest, api, collected)
    for chunk in _chunks(ids):
        await ingest.collect_and_work([tag], counts, ids=chunk, in_batches=True)


def _runner(ingest: Ingest, api: BatchTagger, collected: CollectedBatch) -> StageRunner:
    async def work(documents: list[Document]) -> list[Outcome]:
        [document] = documents
        assert document.parsed is not None  # noqa: S101 - documents in a batch are parsed
        document.tagged = await api.tag(str(document.id), document.parsed, document.hints, collected)
        return [Outcome(document.tagged.cost)]

    return StageRunner("tagged", work, tasks=ingest.services.settings.ingest_workers)


def _chunks(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + IN_FLIGHT] for start in range(0, len(ids), IN_FLIGHT)]

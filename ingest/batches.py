"""Tagging by the Batch API: every document that waits for it in a few large batches, at half the price.

A batch takes up to a day. Its id is kept with its documents before it is waited for, so a run that is
killed meanwhile is followed by one that waits for the same batch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain, islice

from ingest.pipeline import IN_FLIGHT, Outcome, Step
from ingest.progress import Counts
from ingest.run import Ingest
from ingest.store import Document, Wanted
from ingest.tagging.batch import BatchRequest, Collected, within_limits
from tools.core.errors import ModelUnavailableError
from tools.prompts.registry import PromptSet

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
    unsent = await ingest.store.unsent()
    # What is asked together is asked with the same prompts, though others come into force meanwhile.
    prompts = ingest.services.prompts.current
    silent: list[int] = []
    for start in range(0, len(unsent), DOCUMENTS):
        asked = await _requests(ingest, unsent[start : start + DOCUMENTS], prompts)
        silent += [number for number, requests in asked.items() if not requests]
        spoken = {number: requests for number, requests in asked.items() if requests}
        numbers = iter(spoken)
        for group in within_limits(spoken.values()):
            batch_id = await ingest.batches.submit(list(chain.from_iterable(group)))
            await ingest.store.keep_batch(list(islice(numbers, len(group))), batch_id)
    await ingest.store.give_back(silent)
    return silent


async def _requests(ingest: Ingest, ids: Sequence[int], prompts: PromptSet) -> dict[int, list[BatchRequest]]:
    """Claims documents; returns the calls for each, in the order of their numbers, so that the same
    documents make the same batch."""
    asked: dict[int, list[BatchRequest]] = {}
    for chunk in _chunks(ids):
        documents = await ingest.store.claim(Wanted(("parsed",), tuple(chunk)), len(chunk))
        for document in sorted(documents, key=lambda document: document.id):
            assert document.parsed is not None  # noqa: S101 - `unsent` names those that are parsed
            asked[document.id] = ingest.batches.requests(
                str(document.id), document.parsed, document.hints, prompts
            )
    return asked


async def _fetch(ingest: Ingest, batch_id: str, ids: Sequence[int], counts: Counts) -> None:
    try:
        collected = await ingest.batches.collect(batch_id)
    except ModelUnavailableError as error:
        if error.cause == "batch_failed":
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


def _chunks(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[start : start + IN_FLIGHT] for start in range(0, len(ids), IN_FLIGHT)]

"""Structured postings from JSONL or CSV files into the store, and the vectors of postings."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from ingest.structured.files import RefusedRow, UnreadCell, read_postings
from tools.llm.embeddings import BATCH as AT_ONCE
from tools.postings.contracts import Posting
from tools.services import Services

logger = logging.getLogger(__name__)

SAMPLES = Path(str(files("samples") / "postings.jsonl"))
"""The sample postings, written for this project: fictional companies, twelve job families."""


@dataclass(slots=True)
class Loaded:
    """The result of a load."""

    postings: int = 0
    revision: int | None = None
    refused: list[RefusedRow] = field(default_factory=list)
    unread: list[UnreadCell] = field(default_factory=list)


async def load(
    services: Services, paths: Iterable[Path], progress: Callable[[int], None] = lambda _: None
) -> Loaded:
    """Embeds and upserts the postings of `paths`, some at a time; calls `progress` with the number of rows.

    Raises:
        InvalidRequestError: a file cannot be read.
        ModelUnavailableError, EmbeddingMismatchError, StoreUnavailableError: nothing more is loaded. What was
            written stays, and loading again does no harm.
    """
    loaded = Loaded()
    await renew(services)
    rows = itertools.chain.from_iterable(read_postings(path) for path in paths)
    while read := list(itertools.islice(rows, AT_ONCE)):
        loaded.refused += [row for row in read if isinstance(row, RefusedRow)]
        loaded.unread += [row for row in read if isinstance(row, UnreadCell)]
        postings = [row for row in read if isinstance(row, Posting)]
        if postings:
            await services.vectors.embed(postings, services.embedder)
            await services.terms.add(postings)
            loaded.revision = await services.writer.upsert(postings)
            loaded.postings += len({(p.source, p.source_id, p.position) for p in postings})
        progress(len(read))
    logger.info("postings loaded", extra={"postings": loaded.postings, "refused": len(loaded.refused)})
    return loaded


async def load_samples_where_empty(services: Services) -> None:
    """Loads the sample postings when no others are loaded and some of them are missing.

    Raises:
        ModelUnavailableError, StoreUnavailableError: they could not be loaded. What was loaded stays, and
            the next call loads the rest."""
    samples = [row for row in read_postings(SAMPLES) if isinstance(row, Posting)]
    sources = await services.postings.sources()
    if set(sources) <= {samples[0].source} and sum(sources.values()) < len(samples):
        await load(services, [SAMPLES])


async def renew(services: Services) -> int:
    """Normalizes the postings that an earlier version wrote, and embeds those whose text is another by that.

    Until then they are searched by their literal text. Stopped, it goes on where it was; where there are
    none, nothing is asked and nothing written. Returns the number of postings.

    Raises:
        EmbeddingMismatchError: the loaded postings were embedded by another model.
        ModelUnavailableError: the model did not answer.
    """
    renewed = 0
    while outdated := await services.writer.outdated(AT_ONCE):
        # First their vectors: a posting without one is not found.
        await services.vectors.embed(list(outdated.values()), services.embedder)
        await services.terms.add(list(outdated.values()))
        await services.writer.renew(outdated)
        renewed += len(outdated)
    if renewed:
        logger.info("postings normalized", extra={"postings": renewed})
    return renewed


async def reembed(services: Services, progress: Callable[[int, int], None] = lambda *_: None) -> int:
    """Embeds every posting that has no vector of the configured embedding; then that embedding serves.

    With the embedding that serves already, postings of an earlier version are normalized too (`renew`);
    beside another one they stay as the vectors of both know them, until the next load.

    Workers that are configured for the former embedding go on with it meanwhile, and loads into it go on
    too: what they add is embedded before the new one is made ready. Stopped, it goes on where it was.
    `progress` is called with the texts and the tokens of each request. Returns the number of texts.

    Raises:
        ModelUnavailableError: the model did not answer. What was embedded is stored.
    """
    embedded = after = 0
    if await services.vectors.is_ready():
        embedded += await renew(services)
    while True:
        numbered = await services.vectors.lacking_of_all(after=after, count=AT_ONCE)
        if numbered:
            after = numbered[-1][0]
            # One posting for each text: several may have the same.
            texts = list({posting.search_text(): posting for _, posting in numbered}.values())
            answer = await services.embedder.postings(texts)
            await services.vectors.save(texts, answer.vectors)
            embedded += len(numbered)
            progress(len(numbered), answer.tokens)
        elif await services.vectors.finish():
            after = 0
        else:
            return embedded

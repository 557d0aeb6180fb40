"""load: structured postings from JSONL or CSV files into the store."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from ingest.embedding import embed_lacking
from ingest.rows import Refused, Unread, read
from tools.llm.embeddings import BATCH
from tools.postings.contracts import Posting
from tools.services import Services

logger = logging.getLogger(__name__)

SAMPLES = Path(str(files("samples") / "postings.jsonl"))
"""The sample postings, written for this project: fictional companies, twelve job families."""


@dataclass(slots=True)
class Loaded:
    """What a load did."""

    postings: int = 0
    revision: int | None = None
    refused: list[Refused] = field(default_factory=list)
    unread: list[Unread] = field(default_factory=list)


async def load(
    services: Services, paths: Iterable[Path], progress: Callable[[int], None] = lambda _: None
) -> Loaded:
    """Embeds and upserts the postings of `paths`, in batches; calls `progress` with how many rows
    each had. Refused rows are passed over and listed in the result, as are fields that were left empty.

    Raises:
        InvalidRequestError: a file cannot be read.
        ModelUnavailableError, EmbeddingMismatchError, StoreUnavailableError: nothing more is loaded;
            what was written stays, and loading again goes over it without harm.
    """
    loaded = Loaded()
    rows = itertools.chain.from_iterable(read(path) for path in paths)
    while batch := list(itertools.islice(rows, BATCH)):
        loaded.refused += [row for row in batch if isinstance(row, Refused)]
        loaded.unread += [row for row in batch if isinstance(row, Unread)]
        postings = [row for row in batch if isinstance(row, Posting)]
        if postings:
            await embed_lacking(services, postings)
            loaded.revision = await services.writer.upsert(postings)
            loaded.postings += len({(p.source, p.source_id, p.position) for p in postings})
        progress(len(batch))
    logger.info("postings loaded", extra={"postings": loaded.postings, "refused": len(loaded.refused)})
    return loaded


async def load_samples_where_empty(services: Services) -> None:
    """Loads the sample postings when nothing else is loaded and they are not all there.

    Raises:
        ModelUnavailableError, StoreUnavailableError: they could not be loaded. What was loaded stays,
            and the next call loads the rest.
    """
    samples = [row for row in read(SAMPLES) if isinstance(row, Posting)]
    sources = await services.postings.sources()
    if set(sources) <= {samples[0].source} and sum(sources.values()) < len(samples):
        await load(services, [SAMPLES])

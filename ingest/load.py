"""Structured postings from JSONL or CSV files into the store, and the vectors of postings."""

from __future__ import annotations

import asyncio
import functools
import itertools
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import numpy as np

from ingest.structured.files import RefusedRow, UnreadCell, read_postings
from tools.core.database import Vector
from tools.llm.embeddings import BATCH as AT_ONCE
from tools.llm.embeddings import Embedded
from tools.postings.contracts import Posting
from tools.postings.embedding_choice import Embedding
from tools.postings.repository import text_hash
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
            await embed(services, postings)
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
        await embed(services, list(outdated.values()))
        await services.terms.add(list(outdated.values()))
        await services.writer.renew(outdated)
        renewed += len(outdated)
    if renewed:
        logger.info("postings normalized", extra={"postings": renewed})
    return renewed


async def reembed(services: Services, progress: Callable[[int, int], None] = lambda *_: None) -> int:
    """Embeds every posting that has no vector of the wanted embedding; then that embedding serves.

    With the embedding that serves already, postings of an earlier version are normalized too (`renew`);
    beside another one they stay as the vectors of both know them, until the next load.

    Workers that are configured for the former embedding go on with it meanwhile, and loads into it go on
    too: what they add is embedded before the new one is made ready. Stopped, it goes on where it was.
    `progress` is called with the texts and the tokens of each request. Returns the number of texts.

    Raises:
        ModelUnavailableError: the model did not answer. What was embedded is stored.
    """
    embedded = after = 0
    wanted = services.embeddings.wanted
    if services.embeddings.settled and await wanted.vectors.is_ready():
        embedded += await renew(services)
    while True:
        numbered = await wanted.vectors.lacking_of_all(after=after, count=AT_ONCE)
        if numbered:
            after = numbered[-1][0]
            # One posting for each text: several may have the same.
            texts = list({posting.search_text(): posting for _, posting in numbered}.values())
            tokens = await _embed_lacking(wanted, texts)
            embedded += len(numbered)
            progress(len(numbered), tokens)
        elif await wanted.vectors.finish():
            after = 0
        else:
            await services.embeddings.settle()
            return embedded


async def embed(services: Services, postings: Sequence[Posting]) -> int:
    """Embeds those of `postings` whose text has no vector yet, by the embedding that serves; returns the
    tokens that it took.

    Raises:
        EmbeddingMismatchError: the loaded postings have vectors of other models only.
        ModelUnavailableError: the model did not answer.
    """
    if not services.embeddings.settled:
        # Another process may have finished the wanted one: what is embedded by the former is not found then.
        await services.embeddings.settle()
    embedding = services.embeddings.serving
    return await _embed_lacking(embedding, await embedding.vectors.lacking(postings))


async def _embed_lacking(embedding: Embedding, postings: Sequence[Posting]) -> int:
    shipped = await asyncio.to_thread(sample_vectors, embedding.name)
    keys = {text_hash(posting): posting for posting in postings}
    known = {key: posting for key, posting in keys.items() if key in shipped}
    asked = [posting for key, posting in keys.items() if key not in known]
    answer = await embedding.embedder.postings(asked) if asked else Embedded([], 0)
    vectors = [*answer.vectors, *(shipped[key] for key in known)]
    await embedding.vectors.save([*asked, *known.values()], vectors)
    return answer.tokens


@functools.cache
def sample_vectors(model: str) -> Mapping[str, Vector]:
    """Returns the vectors of the sample postings that are shipped with them, by the hash of their text: so a
    first start computes none. There are none for models that answer in an instant, or for money. Blocks."""
    file = SAMPLES.with_name(f"vectors.{model}.npz")
    if not file.is_file():
        return {}
    with np.load(file) as stored:
        return dict(zip(stored["text_hashes"].tolist(), stored["vectors"].astype(np.float32), strict=True))

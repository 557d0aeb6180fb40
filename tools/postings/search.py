"""Searching postings by a text: what the same text found before, or its embedding and a search.

Kept of a text are its vector and the numbers and scores of the postings, under the corpus's version: whatever
has been written since, or has closed with the day, the text is searched for anew, and its vector still holds.
The text itself is not kept, nor what postings say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import orjson
from redis.asyncio import Redis

from tools.core.cache import SLOT_OVERHEAD, Cache
from tools.core.database import Vector
from tools.core.settings import Settings
from tools.core.slots import WorkSlot
from tools.llm.embeddings import Embedder
from tools.postings.contracts import FoundPosting
from tools.postings.repository import STATEMENT, Corpus, PostingStore

_FORMAT = 1
"""Of what is kept: to be raised when that changes, or what the same text finds."""
_FLOAT_BYTES = 4
_FOUND_BYTES = 3_072
"""The most that is kept of the postings: those of the longest search that the API offers."""


def search_cache(settings: Settings, redis: Redis) -> Cache:
    """Returns the cache of searches: as many as have room in the memory that the settings give it. They live
    no longer than an unused session."""
    value_bytes = settings.embedding_dimensions * _FLOAT_BYTES + _FOUND_BYTES
    return Cache(
        redis,
        "search",
        slots=(settings.cache_megabytes << 20) // (value_bytes + SLOT_OVERHEAD),
        value_bytes=value_bytes,
        ttl_seconds=max(1, round(settings.session_ttl_minutes * 60)),
    )


@dataclass(frozen=True, slots=True)
class Search:
    """The search of a process, or of one run of it."""

    cache: Cache
    postings: PostingStore
    embedder: Embedder
    slot: WorkSlot | None = None
    """Given up while another's search for the same is waited for."""

    async def nearest(self, text: str, *, k: int) -> tuple[Corpus, list[FoundPosting]]:
        """Returns the corpus, and the `k` open postings that `PostingStore.nearest` finds for a text.

        Raises:
            NoPostingsError, EmbeddingMismatchError: as `PostingStore.corpus`. It is asked first: without
                postings, or with postings of another embedding, no embedding is paid for.
            ModelUnavailableError: the embedding did not come.
        """
        # Read before the search: what is written in between is found, and kept under a version that is past.
        corpus = await self.postings.corpus()
        searched: list[FoundPosting] | None = None

        async def search(stale: bytes | None) -> bytes:
            nonlocal searched
            vector = await self.embedder.query(text) if stale is None else self._vector(stale)
            searched = await self.postings.nearest(vector, k=k)
            return self._packed(vector, searched)

        key = [_FORMAT, STATEMENT, self.embedder.model_name, self.embedder.dimensions, k, text]
        kept = await self.cache.get_or_make(key, corpus.version, search, self.slot)
        return corpus, await self._read(kept) if searched is None else searched

    def _packed(self, vector: Vector, found: list[FoundPosting]) -> bytes:
        hits = [[posting.posting_id, posting.score] for posting in found]
        return np.asarray(vector, dtype=np.float32).tobytes() + orjson.dumps(hits)

    def _vector(self, kept: bytes) -> Vector:
        return np.frombuffer(kept, dtype=np.float32, count=self.embedder.dimensions)

    async def _read(self, kept: bytes) -> list[FoundPosting]:
        hits = orjson.loads(memoryview(kept)[self.embedder.dimensions * _FLOAT_BYTES :])
        postings = await self.postings.by_ids([posting_id for posting_id, _ in hits])
        return [
            FoundPosting.model_construct(**postings[posting_id].__dict__, score=score)
            for posting_id, score in hits
            if posting_id in postings  # removed since the corpus was read
        ]

"""The one way to search postings: a text in, postings out, by meaning, words and the family of jobs.

The text is understood in the analyser's process, embedded by the model, and searched for in one statement of
SQL; no connection is held while a model is asked. Where the analyser does not answer, the search goes on by
meaning alone: that is logged, and `/readyz` shows it.

Kept of a text are its vector, and of the postings their ids and why they are where they are, under the
corpus's version: whatever has been written since, or has closed with the day, the text is searched for anew,
and its vector still holds. The text itself is not kept, nor what postings say.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import yaml
from redis.asyncio import Redis

from tools.core.cache import SLOT_OVERHEAD, Cache, Passing
from tools.core.database import Vector
from tools.core.settings import Settings
from tools.core.slots import WorkSlot
from tools.lexicon.families import FAMILIES
from tools.llm.embedding_models import embedding_models, width
from tools.llm.embeddings import Embedder
from tools.postings.contracts import FoundPosting
from tools.postings.question import MOST_OF_A_COMPANY, OPEN, Filters, Question, Weights
from tools.postings.repository import STATEMENT, Corpus, PostingStore
from tools.retrieval.analyser import Analyser, AnalyserError
from tools.retrieval.terms import place
from tools.retrieval.understanding import WISH, Understood

logger = logging.getLogger(__name__)

_FORMAT = 2
"""Of what is kept: to be raised when that changes, or what the same text finds."""
_FLOAT_BYTES = 4
_FOUND_BYTES = 2_048
"""The most that is kept of the postings of a run's search: its 20 take some 1,300 bytes."""
_INSIDE = tuple(key for key, family in FAMILIES.items() if family.it)


def search_cache(settings: Settings, redis: Redis) -> Cache:
    """Returns the cache of searches: as many as have room in the memory that the settings give it. They live
    no longer than an unused session."""
    widest = max(width(model, settings) for model in embedding_models(settings))
    value_bytes = widest * _FLOAT_BYTES + _FOUND_BYTES
    return Cache(
        redis,
        "search",
        slots=(settings.cache_megabytes << 20) // (value_bytes + SLOT_OVERHEAD),
        value_bytes=value_bytes,
        ttl_seconds=max(1, round(settings.session_ttl_minutes * 60)),
    )


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, in which corpus, and what its text wishes for; nothing, where it was searched by
    meaning alone."""

    postings: list[FoundPosting]
    corpus: Corpus
    families: Sequence[str] = ()
    """Keys of the families of jobs that the wish names."""
    outside_it: bool = False
    """The wish names a job, and none of IT."""


@dataclass(frozen=True, slots=True)
class PostingSearch:
    """The search of a process, or of one run of it."""

    postings: PostingStore
    embedder: Embedder
    analyser: Analyser
    cache: Cache
    slot: WorkSlot | None = None
    """Given up while another's search for the same is waited for."""

    async def find(self, text: str, *, k: int, filters: Filters = OPEN, explained: bool = False) -> Found:
        """Returns the `k` postings that fit `text` best (how it is read: `tools/retrieval/understanding.py`),
        at most three of a company before all others, and none that is another's copy before all others. A
        search that is `explained` is made anew: its reasons quote the text, which is not kept.

        Raises:
            NoPostingsError, EmbeddingMismatchError: there is nothing to search; then nothing was paid for.
            ModelUnavailableError: the embedding did not come.
        """
        # Read before the search: what is written in between is found, and kept under a version that is past.
        corpus = await self.postings.corpus()
        if explained:
            found, _ = await self._search(corpus, text, None, k=k, filters=filters, explained=True)
            return found
        searched: Found | None = None

        async def search(stale: bytes | None) -> bytes:
            nonlocal searched
            vector = None if stale is None else self._vector(stale)
            searched, kept = await self._search(corpus, text, vector, k=k, filters=filters)
            return kept

        weights = weights_of(self.embedder.model_name)
        model = [self.embedder.model_name, self.embedder.dimensions]
        key = [_FORMAT, STATEMENT, asdict(weights), *model, k, asdict(filters), text]
        kept = await self.cache.get_or_make(key, corpus.version, search, self.slot)
        return searched or await self._read(kept, corpus)

    async def _search(
        self,
        corpus: Corpus,
        text: str,
        vector: Vector | None,
        *,
        k: int,
        filters: Filters,
        explained: bool = False,
    ) -> tuple[Found, bytes]:
        """Returns what is found, and that as it is kept. `vector` is the text's, where that is known."""
        understood = await self._understood(text)
        if vector is None:
            vector = await self.embedder.blend(understood["parts"] if understood else [(text, WISH)])
        question = self._question(understood, filters, explained=explained)
        postings = await self.postings.nearest(vector, k=k, question=question)
        if understood is None:
            # The analyser may be back with the next text.
            found = Found(postings, corpus)
            return found, Passing(self._packed(vector, found))
        found = Found(postings, corpus, understood["families"], understood["outside_it"])
        return found, self._packed(vector, found)

    def _packed(self, vector: Vector, found: Found) -> bytes:
        hits = [[hit.posting_id, hit.score, hit.fused, hit.families, hit.capped] for hit in found.postings]
        kept = orjson.dumps([hits, found.families, found.outside_it])
        return np.asarray(vector, dtype=np.float32).tobytes() + kept

    def _vector(self, kept: bytes) -> Vector:
        return np.frombuffer(kept, dtype=np.float32, count=self.embedder.dimensions)

    async def _read(self, kept: bytes, corpus: Corpus) -> Found:
        hits, families, outside_it = orjson.loads(memoryview(kept)[self.embedder.dimensions * _FLOAT_BYTES :])
        postings = await self.postings.by_ids([posting_id for posting_id, *_ in hits])
        found = [
            FoundPosting.model_construct(
                **postings[posting_id].__dict__, score=score, fused=fused, families=of_it, capped=capped
            )
            for posting_id, score, fused, of_it, capped in hits
            if posting_id in postings  # removed since the corpus was read
        ]
        return Found(found, corpus, families, outside_it)

    async def _understood(self, text: str) -> Understood | None:
        try:
            return await self.analyser.understand(text)
        except AnalyserError:
            logger.exception("the analyser does not answer: searched by meaning alone")
            return None

    def _question(self, understood: Understood | None, filters: Filters, *, explained: bool) -> Question:
        if understood is None:
            return Question(filters=filters, most_of_a_company=MOST_OF_A_COMPANY)
        heaviest = sorted(understood["terms"].items(), key=lambda item: -item[1]) if explained else []
        return Question(
            weights=weights_of(self.embedder.model_name),
            terms=understood["sparse"] or None,
            families=understood["families"],
            near=understood["near"],
            inside=_INSIDE if understood["inside_it"] else None,
            filters=filters,
            most_of_a_company=MOST_OF_A_COMPANY,
            named_places={place(term): term for term, _ in heaviest} if explained else None,
        )


@cache
def weights_of(model: str) -> Weights:
    """Returns what counts how much beside the vectors of an embedding model."""
    listed: dict[str, Any] = yaml.load(
        (Path(__file__).parent / "ranking.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
    )
    return Weights(**listed.get(model, listed["others"]))

"""The one way to search postings: a text in, postings out, by meaning, words and the family of jobs.

The text is understood in the analyser's process, embedded by the model, and searched for in one statement of
SQL; no connection is held while a model is asked. Where the analyser does not answer, the search goes on by
meaning alone: that is logged, and `/readyz` shows it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tools.core.cache import Cache
from tools.core.slots import WorkSlot
from tools.lexicon.families import FAMILIES
from tools.llm.embeddings import Embedder
from tools.postings.contracts import FoundPosting
from tools.postings.question import MOST_OF_A_COMPANY, OPEN, Filters, Question, Weights
from tools.postings.repository import Corpus, PostingStore
from tools.retrieval import kept_searches
from tools.retrieval.analyser import Analyser, AnalyserError
from tools.retrieval.terms import place
from tools.retrieval.understanding import WISH, Understood

logger = logging.getLogger(__name__)

_INSIDE = tuple(key for key, family in FAMILIES.items() if family.it)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, in which corpus, and what its text wishes, as far as it was understood."""

    corpus: Corpus
    postings: list[FoundPosting]
    families: list[str] = field(default_factory=list)
    """Families of jobs."""
    outside_it: bool = False
    """It names a job, and none of IT."""


class PostingSearch:
    """Searches the postings of a store with an embedder and the analyser."""

    def __init__(
        self,
        postings: PostingStore,
        embedder: Embedder,
        analyser: Analyser,
        kept: Cache,
        slot: WorkSlot | None = None,
    ) -> None:
        """`kept` has what was found before (`tools/retrieval/kept_searches.py`); `slot` is a run's, given up
        while another's search for the same is waited for."""
        self._postings = postings
        self._embedder = embedder
        self._analyser = analyser
        self._kept = kept
        self._slot = slot

    async def find(self, text: str, *, k: int, filters: Filters = OPEN, explained: bool = False) -> Found:
        """Returns the `k` postings that fit `text` best (how it is read: `tools/retrieval/understanding.py`), at
        most three of a company before all others, and none that is another's copy before all others.

        Raises:
            NoPostingsError, EmbeddingMismatchError: there is nothing to search; then nothing was paid for.
            ModelUnavailableError: the embedding did not come.
        """
        # Read before the search: what is written in between is found, and kept under a version that is past.
        corpus = await self._postings.corpus()
        searched: Found | None = None

        async def search(stale: bytes | None) -> bytes:
            nonlocal searched
            understood = await self._understood(text)
            parts = understood["parts"] if understood else [(text, WISH)]
            known = None if stale is None else kept_searches.vector_of(stale, self._embedder.dimensions)
            vector = await self._embedder.blend(parts) if known is None else known
            question = self._question(understood, filters, explained=explained)
            postings = await self._postings.nearest(vector, k=k, question=question)
            if understood is None:
                searched = Found(corpus, postings)
                return b""  # the next search may be better
            searched = Found(corpus, postings, understood["families"], understood["outside_it"])
            return kept_searches.packed(vector, postings, searched.families, outside_it=searched.outside_it)

        kept = b""
        if not explained:  # with words of the text, which are not to be kept
            embedding = [self._embedder.model_name, self._embedder.dimensions]
            key = [*embedding, weights_of(self._embedder.model_name), filters, k, text]
            kept = await self._kept.get_or_make(
                kept_searches.versioned(key), corpus.version, search, self._slot
            )
        if searched is None and kept:
            return await self._found(corpus, kept)
        if searched is None:
            await search(None)
        assert searched is not None  # noqa: S101 - `search` has set it
        return searched

    async def _found(self, corpus: Corpus, kept: bytes) -> Found:
        """Returns what was found before, of the postings as they are."""
        hits, families, outside_it = kept_searches.unpacked(kept, self._embedder.dimensions)
        postings = await self._postings.by_ids([hit["posting_id"] for hit in hits])
        found = [
            FoundPosting.model_construct(**{**postings[hit["posting_id"]].__dict__, **hit})
            for hit in hits
            if hit["posting_id"] in postings  # removed since the corpus was read
        ]
        return Found(corpus, found, families, outside_it)

    async def _understood(self, text: str) -> Understood | None:
        try:
            return await self._analyser.understand(text)
        except AnalyserError:
            logger.exception("the analyser does not answer: searched by meaning alone")
            return None

    def _question(self, understood: Understood | None, filters: Filters, *, explained: bool) -> Question:
        if understood is None:
            return Question(filters=filters, most_of_a_company=MOST_OF_A_COMPANY)
        heaviest = sorted(understood["terms"].items(), key=lambda item: -item[1]) if explained else []
        return Question(
            weights=weights_of(self._embedder.model_name),
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

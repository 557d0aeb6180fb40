"""The one way to search postings: a text in, postings out, by meaning, words and the family of jobs.

The text is understood in the analyser's process, embedded by the model, and searched for in one statement of
SQL; no connection is held while a model is asked. Where the analyser does not answer, the search goes on by
meaning alone: that is logged, and `/readyz` shows it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tools.lexicon.families import FAMILIES
from tools.llm.embeddings import Embedder
from tools.postings.contracts import FoundPosting
from tools.postings.question import MOST_OF_A_COMPANY, OPEN, Filters, Question, Weights
from tools.postings.repository import Corpus, PostingStore
from tools.retrieval.analyser import Analyser, AnalyserError
from tools.retrieval.terms import place
from tools.retrieval.understanding import WISH, Understood

logger = logging.getLogger(__name__)

_INSIDE = tuple(key for key, family in FAMILIES.items() if family.it)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found, in which corpus, and how its text was understood (None: by meaning alone)."""

    postings: list[FoundPosting]
    corpus: Corpus
    understood: Understood | None


class PostingSearch:
    """Searches the postings of a store with an embedder and the analyser."""

    def __init__(self, postings: PostingStore, embedder: Embedder, analyser: Analyser) -> None:
        self._postings = postings
        self._embedder = embedder
        self._analyser = analyser

    async def find(self, text: str, *, k: int, filters: Filters = OPEN, explained: bool = False) -> Found:
        """Returns the `k` postings that fit `text` best (`tools/retrieval/understanding.py`), at most
        three of a company before all others, and none that is another's copy before all others.

        Raises:
            NoPostingsError, EmbeddingMismatchError: there is nothing to search; then nothing was paid for.
            ModelUnavailableError: the embedding did not come.
        """
        corpus = await self._postings.corpus()
        understood = await self._understood(text)
        parts = understood["parts"] if understood else [(text, WISH)]
        vector = await self._embedder.blend(parts)
        postings = await self._postings.nearest(
            vector, k=k, question=self._question(understood, filters, explained=explained)
        )
        return Found(postings, corpus, understood)

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

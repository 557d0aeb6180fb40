"""retrieve: the postings nearest to the query."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.runtime import Runtime

from tools.contracts import Language
from tools.services import Services

RETRIEVED = 20
"""Postings an answer rests on, as in the service's contract."""


class Reads(TypedDict):
    """What this node reads of the state."""

    query: str
    language: Language


async def retrieve(state: Reads, runtime: Runtime[Services]) -> dict[str, Any]:
    """Embeds the query and takes the 20 nearest postings.

    Reads `query`; writes `retrieved` and `versions`.

    Raises:
        NoPostingsError: nothing is loaded.
        EmbeddingMismatchError: the corpus was embedded by another model.
        ModelUnavailableError: the embedding did not come.
    """
    services = runtime.context
    # Asked first: without postings no embedding is paid for.
    corpus = await services.postings.corpus()
    model = services.embedder.model_name
    vector = await services.embedder.query(state["query"])
    postings = await services.postings.nearest(vector, model=model, k=RETRIEVED)
    rows = [
        {
            "posting_id": posting.posting_id,
            "source": posting.source,
            "source_id": posting.source_id,
            "company": posting.company,
            "job_title": posting.job_title,
            "score": round(posting.score, 4),
        }
        for posting in postings
    ]
    version = {"embedding_model": model, "corpus_revision": corpus.revision}
    return {"retrieved": rows, "versions": {"retrieve": version}}


def found(update: dict[str, Any], language: str) -> str:
    """Says in one line what the node found."""
    count = len(update["retrieved"])
    return f"공고 {count}건" if language == "ko" else f"{count} postings"

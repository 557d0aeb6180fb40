"""retrieve: the postings nearest to the query."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from nodes.state import Retrieved
from tools.context import RunContext
from tools.core.contracts import Language
from tools.core.errors import NoPostingsError

RETRIEVED = 20
"""Postings an answer rests on, as in the service's contract."""


class Reads(TypedDict):
    """What this node reads of the state."""

    query: str
    language: Language


async def retrieve(state: Reads, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Takes the 20 postings nearest to the query.

    Reads `query`; writes `retrieved` and `versions`.

    Raises:
        NoPostingsError: nothing is loaded, or nothing that is still open.
        EmbeddingMismatchError: the corpus was embedded by another model.
        ModelUnavailableError: the embedding did not come.
    """
    context = runtime.context
    corpus, postings = await context.search.nearest(state["query"], k=RETRIEVED)
    if not postings:
        raise NoPostingsError(
            f"Each of the {corpus.postings} loaded postings is past its deadline. Load newer ones with "
            "`checkerboard ingest load FILE…`."
        )
    rows: list[Retrieved] = [
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
    version = {"embedding_model": context.embedder.model_name, "corpus_revision": corpus.revision}
    return {"retrieved": rows, "versions": {"retrieve": version}}


def progress_message(update: dict[str, Any], language: Language) -> str:
    """Returns one line about what the node found."""
    count = len(update["retrieved"])
    return f"공고 {count}건" if language == "ko" else f"{count} postings"

"""retrieve: the postings that fit the query best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph.runtime import Runtime
from typing_extensions import TypedDict

from nodes.findings import Finding
from nodes.state import ProfileDict, Retrieved
from tools.context import RunContext
from tools.core.contracts import Language
from tools.core.errors import NoPostingsError
from tools.postings.contracts import FoundPosting

RETRIEVED = 20
"""Postings an answer rests on, as in the service's contract."""


class Reads(TypedDict):
    """What this node reads of the state."""

    query: str
    profile: ProfileDict
    language: Language


async def retrieve(state: Reads, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Takes the 20 postings that fit the query best (`tools/retrieval/search.py`).

    Reads `query`, `profile`, `language`; writes `retrieved`, `warnings` and `versions`. A desired job outside
    of IT that none of the found postings is for is a warning: the answer rests on the nearest.

    Raises:
        NoPostingsError: nothing is loaded, or nothing that is still open.
        EmbeddingMismatchError: the corpus was embedded by another model.
        ModelUnavailableError: the embedding did not come.
    """
    context = runtime.context
    found = await context.search.find(state["query"], k=RETRIEVED)
    corpus, postings = found.corpus, found.postings
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
    warnings = []
    if found.outside_it and not _any_is_for(found.families, postings):
        job = state["profile"]["desired_job"]
        warnings = [Finding("job_outside_it", "profile", job).warning("retrieve", state["language"])]
    return {
        "retrieved": rows,
        "warnings": {"retrieve": warnings},
        "versions": {"retrieve": version},
    }


def _any_is_for(families: Sequence[str], postings: Sequence[FoundPosting]) -> bool:
    return any(key in posting.families for posting in postings for key in families)


def progress_message(update: dict[str, Any], language: Language) -> str:
    """Returns one line about what the node found."""
    count = len(update["retrieved"])
    return f"공고 {count}건" if language == "ko" else f"{count} postings"

"""embed: vectors for the texts that have none yet."""

from __future__ import annotations

from collections.abc import Sequence

from tools.postings.contracts import Posting
from tools.services import Services


async def embed_lacking(services: Services, postings: Sequence[Posting]) -> int:
    """Embeds those of `postings` whose text has no vector yet; returns the tokens that it took.

    Raises:
        EmbeddingMismatchError: the loaded postings were embedded by another model.
        ModelUnavailableError: the model did not answer.
    """
    missing = await services.vectors.lacking(postings)
    if not missing:
        return 0
    embedded = await services.embedder.postings(missing)
    await services.vectors.keep(missing, embedded.vectors)
    return embedded.tokens

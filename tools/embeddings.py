"""Embeddings of queries and postings, through langchain-openai."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from langchain_openai import OpenAIEmbeddings
from numpy.typing import NDArray

from tools.contracts import Posting
from tools.ledger import paid_once
from tools.model_errors import model_errors
from tools.openai_client import connection, embedding_model_name
from tools.settings import Settings

Vector = Sequence[float] | NDArray[np.float32]
"""An embedding: `settings.embedding_dimensions` floats."""

MAX_CHARS = 6_000
"""Text beyond this is not embedded. OpenAI's models read 8,191 tokens, and Korean text takes up to
about 1.3 tokens a character."""
BATCH = 128
"""Texts in one request."""


class Embedder:
    """Turns texts into vectors."""

    def __init__(self, settings: Settings, http_client: Any) -> None:
        self.model_name = embedding_model_name(settings)
        self.dimensions = settings.embedding_dimensions
        # Token counting is switched off because it would fetch a vocabulary from the network.
        self._embeddings = OpenAIEmbeddings(
            model=self.model_name,
            dimensions=settings.embedding_dimensions,
            check_embedding_ctx_length=False,
            chunk_size=BATCH,
            **connection(settings, http_client),
        )

    async def query(self, text: str) -> Vector:
        """Returns the vector of one text.

        Raises:
            ModelUnavailableError: the model did not answer.
        """

        async def ask() -> bytes:
            with model_errors("embeddings"):
                vector = await self._embeddings.aembed_query(text[:MAX_CHARS])
            return np.asarray(vector, dtype=np.float32).tobytes()

        question = [self.model_name, self.dimensions, text]
        return np.frombuffer(await paid_once(question, ask), dtype=np.float32)

    async def postings(self, postings: Sequence[Posting]) -> list[Vector]:
        """Returns a vector for each posting.

        Raises:
            ModelUnavailableError: the model did not answer.
        """
        with model_errors("embeddings"):
            return list(await self._embeddings.aembed_documents([p.text()[:MAX_CHARS] for p in postings]))

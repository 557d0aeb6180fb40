"""Embeddings of queries and postings, through langchain-openai."""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from langchain_openai import OpenAIEmbeddings
from numpy.typing import NDArray

from tools import metering
from tools.contracts import Posting
from tools.ledger import paid_once
from tools.model_errors import model_errors
from tools.openai_client import connection, embedding_model_name
from tools.settings import Settings

Vector = Sequence[float] | NDArray[np.float32]
"""An embedding: `settings.embedding_dimensions` floats."""

FINGERPRINT_DIMENSIONS = 256
"""Enough to tell two subjects apart: at 256 dimensions the offline embeddings find .53 of the wanted
postings among the first twenty, at 1,536 .58."""
MAX_CHARS = 6_000
"""Text beyond this is not embedded. OpenAI's models read 8,191 tokens, and Korean text takes up to
about 1.3 tokens a character."""
BATCH = 128
"""Texts in one request."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors, and the tokens of the texts as the API counted them."""

    vectors: list[Vector]
    tokens: int


class Embedder:
    """Turns texts into vectors."""

    def __init__(self, settings: Settings, http_client: Any) -> None:
        self.model_name = embedding_model_name(settings)
        self.dimensions = settings.embedding_dimensions
        self._embeddings = _client(self.model_name, self.dimensions, settings, http_client)
        self._small = _client(self.model_name, FINGERPRINT_DIMENSIONS, settings, http_client)

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
        return np.frombuffer(await self._paid_once(question, ask), dtype=np.float32)

    async def fingerprints(self, texts: Sequence[str]) -> list[str]:
        """Returns a small vector for each text, as base64 of FINGERPRINT_DIMENSIONS signed bytes:
        344 characters, small enough to be kept in a session's state.

        Raises:
            ModelUnavailableError: the model did not answer.
        """

        async def ask() -> bytes:
            with model_errors("embeddings"):
                vectors = await self._small.aembed_documents([text[:MAX_CHARS] for text in texts])
            return orjson.dumps([_packed(vector) for vector in vectors])

        question = [self.model_name, FINGERPRINT_DIMENSIONS, *texts]
        return list(orjson.loads(await self._paid_once(question, ask)))

    async def postings(self, postings: Sequence[Posting]) -> Embedded:
        """Returns a vector for each posting, and the tokens that were counted.

        The title stands first in what is embedded: without it the offline embeddings find .47 of the
        wanted postings among the first twenty instead of .59 (16 profiles, 1,269 Korean postings).

        Raises:
            ModelUnavailableError: the model did not answer.
        """
        texts = [posting.text()[:MAX_CHARS] for posting in postings]
        vectors: list[Vector] = []
        tokens = 0
        for start in range(0, len(texts), BATCH):
            with model_errors("embeddings"):
                # Not `aembed_documents`, which does not say what was counted.
                answer = await self._embeddings.async_client.create(
                    model=self.model_name, dimensions=self.dimensions, input=texts[start : start + BATCH]
                )
            vectors += [np.asarray(row.embedding, dtype=np.float32) for row in answer.data]
            tokens += answer.usage.prompt_tokens if answer.usage else 0
        return Embedded(vectors, tokens)

    async def _paid_once(self, question: list[Any], ask: Callable[[], Awaitable[bytes]]) -> bytes:
        paid = False

        async def asked() -> bytes:
            nonlocal paid
            paid = True
            return await ask()

        began = time.monotonic()
        answer = await paid_once(question, asked)
        # The client does not say what was counted.
        metering.note("embedding", self.model_name, question, began, paid=paid, tokens=None)
        return answer


def similarity(one: str, other: str) -> float:
    """Returns the cosine of two fingerprints, from -1 to 1."""
    a, b = _unpacked(one), _unpacked(other)
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))


def _packed(vector: Sequence[float]) -> str:
    array = np.asarray(vector, dtype=np.float32)
    scaled = np.rint(array * (127 / max(float(np.abs(array).max()), 1e-9)))
    return base64.b64encode(scaled.astype(np.int8).tobytes()).decode()


def _unpacked(fingerprint: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(fingerprint), dtype=np.int8).astype(np.float32)


def _client(model: str, dimensions: int, settings: Settings, http_client: Any) -> OpenAIEmbeddings:
    # Token counting is switched off because it would fetch a vocabulary from the network.
    return OpenAIEmbeddings(
        model=model,
        dimensions=dimensions,
        check_embedding_ctx_length=False,
        chunk_size=BATCH,
        **connection(settings, http_client),
    )

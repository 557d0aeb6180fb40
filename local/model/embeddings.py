"""Embeddings without a model: hashed Korean morphemes, and OpenAI's request and answer for them.

A text becomes its morphemes (`tools/lexicon/morphemes.py`), each weighted and then hashed with a sign into
the vector, which is scaled to length 1. Two texts are near when they share morphemes.

Measured with 1,536 dimensions and 1,269 Korean postings, of which 533 are of software: the share of
the 20 nearest in the wanted field, and from outside software. "Profiles" are 16 that look for
software jobs, "titles" those of the 533, which is the larger set and the rougher one.

                                                      profiles      titles
    morphemes by 1 + log(count), one place each       .47   .03     .44   .18
    + two places each                                 .49   .03     .45   .17
    + everyday and common words count less            .50   .07     .47   .14
    + the first line counts double                    .57   .12     .53   .13
    + one spelling for loanwords                      .59   .10     .58   .11

Left out because they changed nothing or made it worse: verbs, pairs of neighbouring nouns, inverse
document frequency.
"""

from __future__ import annotations

import asyncio
import base64
import math
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from functools import cache, lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from local.model.child import end_with_the_server
from local.model.protocol import ApiError, count_tokens
from tools.lexicon.morphemes import load_kiwi, morpheme_weights

if TYPE_CHECKING:
    from kiwipiepy import Kiwi

DEFAULT_DIMENSIONS = 1536
MAX_DIMENSIONS = 4_000
"""As many as an index on pgvector's `halfvec` takes."""
MAX_INPUTS = 2_048
"""OpenAI's own limit for one request."""
BATCH = 32
"""Texts tokenised at a time. A query waits for one batch of somebody else's postings, about 0.3 s."""
WORKERS = 2
PLACES = 2
"""Places of a morpheme in the vector: with two, one collision spoils half of it."""
Matrix = NDArray[np.float32]


class Embedded(NamedTuple):
    """Vectors, a row for each text, and the tokens of the texts."""

    vectors: Matrix
    tokens: int


class EmbeddingRequest(BaseModel):
    """The body of `POST /v1/embeddings`."""

    model_config = ConfigDict(extra="ignore")

    model: str = Field(min_length=1)
    input: str | list[Any]
    dimensions: int | None = Field(None, ge=1, le=MAX_DIMENSIONS)
    encoding_format: Literal["float", "base64"] = "float"

    def texts(self) -> list[str]:
        """Returns the texts to embed.

        Raises:
            ApiError: 400 for token arrays, empty texts, and no or more than 2,048 texts.
        """
        texts = [self.input] if isinstance(self.input, str) else self.input
        if not 0 < len(texts) <= MAX_INPUTS:
            raise ApiError(f"`input` takes 1 to {MAX_INPUTS} texts.", param="input")
        for text in texts:
            if not isinstance(text, str):
                raise ApiError(
                    "The offline model embeds texts, not token arrays: send strings (with langchain-openai, "
                    "check_embedding_ctx_length=False).",
                    param="input",
                    code="token_arrays_unsupported",
                )
            if not text:
                raise ApiError("An empty text has no embedding.", param="input")
        return texts


def embedding_body(request: EmbeddingRequest, embedded: Embedded) -> bytes:
    """Returns the answer as JSON; base64 holds little-endian float32, and floats are equal to it."""
    vectors = embedded.vectors
    rows: list[Any]
    if request.encoding_format == "base64":
        rows = [base64.b64encode(row.tobytes()).decode() for row in vectors.astype("<f4")]
    else:
        rows = vectors.tolist()
    data = [{"object": "embedding", "index": place, "embedding": row} for place, row in enumerate(rows)]
    usage = {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens}
    return orjson.dumps({"object": "list", "data": data, "model": request.model, "usage": usage})


class Embedder:
    """Embeds texts in one process of its own, where Kiwi is loaded first.

    In a thread Kiwi would hold the interpreter's lock while it loads: four to six seconds without answers.
    """

    def __init__(self) -> None:
        self._process: ProcessPoolExecutor | None = None
        self._loaded: Future[None] | None = None

    @property
    def ready(self) -> bool:
        """Whether Kiwi is loaded."""
        return self._loaded is not None and self._loaded.done() and self._loaded.exception() is None

    def start(self) -> None:
        """Starts to load Kiwi and returns at once."""
        self._process = ProcessPoolExecutor(
            max_workers=1, mp_context=multiprocessing.get_context("spawn"), initializer=end_with_the_server
        )
        self._loaded = self._process.submit(_load)

    def close(self) -> None:
        """Drops what is queued; the process ends after the batch it is at."""
        if self._process is not None:
            self._process.shutdown(wait=False, cancel_futures=True)

    async def embed(self, texts: Sequence[str], dimensions: int | None) -> Embedded:
        """Returns one row of length 1 for each text, shape `(len(texts), dimensions)`, and their tokens by an
        estimate.

        The rows depend on the texts alone: not on their batch, the process or the version of Python.
        """
        if self._process is None:
            self.start()
        loop = asyncio.get_running_loop()
        batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
        width = dimensions or DEFAULT_DIMENSIONS
        rows = [await loop.run_in_executor(self._process, _vectors, batch, width) for batch in batches]
        return Embedded(np.concatenate(rows), sum(map(count_tokens, texts)))


def _load() -> None:
    _kiwi()


@cache
def _kiwi() -> Kiwi:
    return load_kiwi(threads=WORKERS)


def _vectors(texts: Sequence[str], dimensions: int) -> Matrix:
    return np.stack([_vector(weights, dimensions) for weights in morpheme_weights(_kiwi(), texts)])


def _vector(weights: dict[str, float], dimensions: int) -> Matrix:
    # A text without a content morpheme still needs a direction: length 0 has no cosine.
    weights = weights or {"": 1.0}
    hashes = np.array([_hashes(morpheme) for morpheme in weights], dtype=np.uint64)
    signs = 1.0 - 2.0 * (hashes & np.uint64(1))
    values = signs * np.fromiter(weights.values(), float)[:, np.newaxis]
    places = ((hashes >> np.uint64(1)) % np.uint64(dimensions)).astype(np.intp)
    vector = np.bincount(places.ravel(), weights=values.ravel(), minlength=dimensions)
    # fsum rounds once, so the length does not depend on how a processor's vector unit adds.
    length = math.sqrt(math.fsum((vector * vector).tolist()))
    if length == 0:
        # Opposite signs in one place, which takes very few dimensions or very few morphemes.
        vector[0] = length = 1.0
    return (vector / length).astype(np.float32)


@lru_cache(maxsize=200_000)
def _hashes(morpheme: str) -> tuple[int, ...]:
    # Python's own hash() differs from process to process.
    digest = blake2b(morpheme.encode(), digest_size=8 * PLACES).digest()
    return tuple(int.from_bytes(digest[start : start + 8], "little") for start in range(0, 8 * PLACES, 8))

"""Embeddings of queries and postings."""

from __future__ import annotations

import base64
import binascii
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from tools.core.database import Vector
from tools.core.errors import ModelUnavailableError
from tools.core.settings import Settings
from tools.llm.circuit_breaker import CircuitBreaker
from tools.llm.embedding_models import EmbeddingModel, embedding_models, width
from tools.llm.journal import Counted, RecordedModel
from tools.llm.model_answers import read_usage
from tools.llm.model_api import ModelApi
from tools.llm.model_errors import model_errors
from tools.llm.novelty import calibrated, calibration_texts
from tools.llm.openai_client import embedding_endpoint
from tools.llm.pauses import Pauses
from tools.postings.contracts import Posting

logger = logging.getLogger(__name__)

FINGERPRINT_DIMENSIONS = 256
"""Enough to tell two subjects apart: at 256 dimensions the offline embeddings find .53 of the wanted
postings among the first twenty, at 1,536 .58."""
_MARK_LENGTH = 4
_FINGERPRINT_LENGTH = _MARK_LENGTH + 4 * -(-FINGERPRINT_DIMENSIONS // 3)

BATCH = 128
"""Postings that are embedded and kept at a time; an API may take fewer in one request."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors, and the tokens of the texts as the API counted them."""

    vectors: list[Vector]
    tokens: int


class _BadVectorsError(Exception):
    """These are not the vectors that were asked for; the message says why.

    Attributes:
        width: their dimensions, where nothing else is wrong with them.
    """

    def __init__(self, why: str, width: int | None = None) -> None:
        super().__init__(why)
        self.width = width


class Embedder(RecordedModel):
    """Turns texts into vectors."""

    operation = "embeddings"

    def __init__(
        self,
        settings: Settings,
        http_client: Any,
        model: EmbeddingModel | None = None,
        pauses: Pauses | None = None,
    ) -> None:
        """`model` is the one that the settings name, unless another is given; `pauses` are those of the
        process."""
        self.when_missing: Callable[[str], None] = lambda _: None
        """Called with the model's name where the API says that it has no such model."""
        self.model = model or embedding_models(settings)[0]
        self.model_name = self.model.name
        self.dimensions = width(self.model, settings)
        name = f"{self.model_name}/{self.dimensions}".encode()
        self._mark = base64.b64encode(hashlib.blake2b(name, digest_size=3).digest()).decode()
        # One that has its own width takes no wish for it.
        self._sends_dimensions = settings.embedding_send_dimensions and self.model.dimensions is None
        self._batch = min(settings.embedding_batch, self.model.batch or settings.embedding_batch)
        self._novelty = settings.novelty_similarity or self.model.novelty_similarity
        self._calibration: list[float] = []
        """The calibrated threshold, once it is known; shared by the copies for runs."""
        self._endpoint = embedding_endpoint(settings)
        self._api = ModelApi(settings, http_client, self._endpoint, pauses)
        self._encoding = {"encoding_format": "base64"}
        """A fourth of the CPU of numbers in JSON; left out once an API has refused it."""

    def circuits(self) -> dict[str, CircuitBreaker]:
        """Returns the circuits of the models that were asked, by their names."""
        return self._api.circuits()

    async def query(self, text: str) -> Vector:
        """Returns the vector of one text.

        Raises:
            ModelUnavailableError: the model did not answer.
        """
        question = [self.model_name, self.dimensions, text]
        answer = await self._embed_once(
            question, [self.model.query_prefix + text], lambda vectors: vectors[0].tobytes()
        )
        return np.frombuffer(answer, dtype=np.float32)

    async def blend(self, parts: Sequence[tuple[str, float]]) -> Vector:
        """Returns one vector for several texts: the sum of theirs, each scaled to length 1 and then by its
        weight. They are embedded in one request.

        Raises:
            ModelUnavailableError: the model did not answer.
        """
        texts = [self.model.query_prefix + text for text, _ in parts]
        weights = [weight for _, weight in parts]

        def summed(vectors: list[NDArray[np.float32]]) -> bytes:
            units = [vector / np.linalg.norm(vector) for vector in vectors]
            return np.average(units, axis=0, weights=weights).astype(np.float32).tobytes()

        question = ["blend", self.model_name, self.dimensions, *map(list, parts)]
        return np.frombuffer(await self._embed_once(question, texts, summed), dtype=np.float32)

    async def fingerprints(self, texts: Sequence[str]) -> list[str]:
        """Returns a small vector for each text, as base64 of FINGERPRINT_DIMENSIONS signed bytes after four
        characters for the model: 348, few enough to be kept in a session's state. They are made here of whole
        vectors, so that no model has to know how to shorten them.

        Raises:
            ModelUnavailableError: the model did not answer.
        """
        question = ["fingerprints", self.model_name, self.dimensions, *texts]
        # Texts that are alike are all asked as queries.
        asked = [self.model.query_prefix + text for text in texts]
        answer = await self._embed_once(
            question,
            asked,
            lambda vectors: orjson.dumps([self._mark + _packed(vector) for vector in vectors]),
        )
        return list(orjson.loads(answer))

    def made(self, fingerprint: str) -> bool:
        """Whether a fingerprint is of this model, in these dimensions: others cannot be compared with it."""
        return fingerprint.startswith(self._mark) and len(fingerprint) == _FINGERPRINT_LENGTH

    async def novelty_similarity(self) -> float:
        """Returns the cosine of two fingerprints from which they are one subject: that of the settings, or
        the model's, or for a model that nobody has measured a calibrated one, by one request a process.

        Raises:
            ModelUnavailableError: the model did not answer.
        """
        if self._novelty is not None:
            return self._novelty
        if not self._calibration:
            texts = calibration_texts()
            vectors, _ = await self._embed([self.model.query_prefix + text for text in texts])
            packed = {text: self._mark + _packed(vector) for text, vector in zip(texts, vectors, strict=True)}
            self._calibration.append(calibrated(lambda one, other: similarity(packed[one], packed[other])))
            logger.warning(
                "nobody has measured from which cosine on this model two subjects are one: it was calibrated",
                extra={"model": self.model_name, "cosine": round(self._calibration[0], 3)},
            )
        return self._calibration[0]

    def novelty_warning(self) -> str | None:
        """Returns what is not known of the threshold of `novelty_similarity`; None where it was measured or
        set."""
        if self._novelty is None:
            known = (
                f"it is calibrated, as {self._calibration[0]:.2f}"
                if self._calibration
                else "to be calibrated"
            )
        elif self._novelty == self.model.novelty_similarity and not self.model.measured:
            known = f"{self._novelty} is a guess"
        else:
            return None
        return f"from which cosine two subjects are one was not measured for {self.model_name}: {known}"

    async def postings(self, postings: Sequence[Posting]) -> Embedded:
        """Returns a vector for each posting, and the tokens that were counted.

        The title stands first in what is embedded: without it the offline embeddings find .47 of the
        wanted postings among the first twenty instead of .59 (16 profiles, 1,269 Korean postings).

        Raises:
            ModelUnavailableError: the model did not answer.
        """
        prefix = self.model.passage_prefix
        vectors, tokens = await self._embed([prefix + posting.search_text() for posting in postings])
        return Embedded(list(vectors), tokens or 0)

    async def _embed(self, texts: Sequence[str]) -> tuple[list[NDArray[np.float32]], int | None]:
        """Returns the vectors, and the tokens as the API counted them, None where it did not."""
        cut = [text[: self.model.max_chars] for text in texts]
        vectors: list[NDArray[np.float32]] = []
        tokens: int | None = 0
        for start in range(0, len(cut), self._batch):
            batch = cut[start : start + self._batch]
            answer = await self._request(batch)
            try:
                vectors += _vectors_of(answer, len(batch), self.dimensions)
            except _BadVectorsError as error:
                raise self._bad_vectors(error) from error
            counted = read_usage(answer).input_tokens
            # No text is without tokens: 0 is an API that does not say.
            tokens = tokens + counted if tokens is not None and counted else None
        return vectors, tokens

    async def _request(self, texts: Sequence[str]) -> Any:
        """Returns the body of the API's answer."""
        body: dict[str, Any] = {"model": self.model_name, "input": texts, **self._encoding}
        if self._sends_dimensions:
            body["dimensions"] = self.dimensions
        try:
            with model_errors("embeddings", self._endpoint):
                return await self._api.post("/embeddings", body)
        except ModelUnavailableError as error:
            if error.cause == "model_not_found":
                self.when_missing(self.model_name)
            if error.cause != "encoding" or not self._encoding:
                raise
            logger.info("the embedding model's API takes no base64: asked for numbers from now on")
            self._encoding = {}
            return await self._request(texts)

    def _bad_vectors(self, error: _BadVectorsError) -> ModelUnavailableError:
        if error.width is None:
            message = f"The embedding model's API answered with no embeddings: {error}. The operator has to "
            message += f"check {self._endpoint.url_setting} and {self._endpoint.model_setting}."
            return ModelUnavailableError(message, purpose="embeddings", cause="unreadable")
        unsent = " and CHECKERBOARD_EMBEDDING_SEND_DIMENSIONS=false" if self._sends_dimensions else ""
        return ModelUnavailableError(
            f"The embedding model gives {error.width} dimensions, and {self.dimensions} are configured. The "
            f"operator has to set CHECKERBOARD_EMBEDDING_DIMENSIONS={error.width}{unsent}.",
            purpose="embeddings",
            cause="dimensions",
            dimensions=error.width,
            configured=self.dimensions,
        )

    async def _embed_once(
        self, question: object, texts: Sequence[str], pack: Callable[[list[NDArray[np.float32]]], bytes]
    ) -> bytes:
        """Returns the packed vectors of `texts`: the recorded ones, or those of a new request."""
        tokens: int | None = 0

        async def ask() -> bytes:
            nonlocal tokens
            vectors, tokens = await self._embed(texts)
            return pack(vectors)

        def count(_: bytes) -> Counted:
            return (None if tokens is None else (tokens, 0)), None

        return await self._recorded("embedding", self.model_name, question, ask, count=count)


def _vectors_of(body: Any, count: int, dimensions: int) -> list[NDArray[np.float32]]:
    """Returns the vectors of `count` texts in the order of the texts, which `index` tells: the rows
    may come in any order. They are numbers, or their float32 bytes (little-endian) in base64.

    Raises:
        _BadVectorsError: a vector is missing, twice there, of another width, not finite or zero.
    """
    rows = body.get("data") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _BadVectorsError("it has no list `data`")
    if len(rows) != count:
        raise _BadVectorsError(f"there are {len(rows)} vectors for {count} texts")
    places = [row.get("index") for row in rows]
    if all(place is None for place in places):
        places = list(range(count))
    if {*map(str, places)} != {*map(str, range(count))} or not all(type(place) is int for place in places):
        raise _BadVectorsError(f"the `index` of its vectors is not 0 to {count - 1}, each once")
    by_place = {place: _vector(row.get("embedding")) for place, row in zip(places, rows, strict=True)}
    widths = {len(vector) for vector in by_place.values()}
    if len(widths) != 1:
        raise _BadVectorsError("its vectors are not of one width")
    if not all(np.isfinite(vector).all() for vector in by_place.values()):
        raise _BadVectorsError("a vector has values that are not finite")
    if not all(vector.any() for vector in by_place.values()):
        raise _BadVectorsError("a vector is zero")
    [width] = widths
    if width != dimensions:
        raise _BadVectorsError(f"its vectors have {width} dimensions", width)
    return [by_place[place] for place in range(count)]


def _vector(value: Any) -> NDArray[np.float32]:
    try:
        if isinstance(value, str):
            return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4").astype(np.float32)
        vector = np.asarray(value)
        if vector.ndim != 1 or not len(vector) or vector.dtype.kind not in "fiu":
            raise _BadVectorsError("a vector is no list of numbers")
        with np.errstate(over="ignore"):
            return vector.astype(np.float32)
    except (ValueError, binascii.Error) as error:
        raise _BadVectorsError("a vector is no list of numbers") from error


def similarity(one: str, other: str) -> float:
    """Returns the cosine of two fingerprints of one model, from -1 to 1."""
    a, b = _unpacked(one), _unpacked(other)
    return float(a @ b / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-9))


def _packed(vector: NDArray[np.float32]) -> str:
    """Folds a vector: place n is the sum of its places n, n + 256, n + 512 … Of hashed embeddings that is
    the same as hashing into fewer places; of others a projection that keeps a cosine of .92 to .01."""
    rows = -(-len(vector) // FINGERPRINT_DIMENSIONS)
    array = np.zeros(rows * FINGERPRINT_DIMENSIONS, dtype=np.float32)
    array[: len(vector)] = vector
    array = array.reshape(rows, FINGERPRINT_DIMENSIONS).sum(axis=0)
    scaled = np.rint(array * (127 / max(float(np.abs(array).max()), 1e-9)))
    return base64.b64encode(scaled.astype(np.int8).tobytes()).decode()


def _unpacked(fingerprint: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(fingerprint[_MARK_LENGTH:]), dtype=np.int8).astype(np.float32)

"""An answer of an embeddings API as vectors, each at the place of its text."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import numpy as np
from numpy.typing import NDArray


class BadVectorsError(Exception):
    """These are not the vectors that were asked for; the message says why.

    Attributes:
        width: their dimensions, where nothing else is wrong with them.
    """

    def __init__(self, why: str, width: int | None = None) -> None:
        super().__init__(why)
        self.width = width


def vectors_of(body: Any, count: int, dimensions: int) -> list[NDArray[np.float32]]:
    """Returns the vectors of `count` texts in the order of the texts, which `index` tells: the rows
    may come in any order. They are numbers, or their float32 bytes (little-endian) in base64.

    Raises:
        BadVectorsError: a vector is missing, twice there, of another width, not finite or zero.
    """
    rows = body.get("data") if isinstance(body, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BadVectorsError("it has no list `data`")
    if len(rows) != count:
        raise BadVectorsError(f"there are {len(rows)} vectors for {count} texts")
    places = [row.get("index") for row in rows]
    if all(place is None for place in places):
        places = list(range(count))
    if {*map(str, places)} != {*map(str, range(count))} or not all(type(place) is int for place in places):
        raise BadVectorsError(f"the `index` of its vectors is not 0 to {count - 1}, each once")
    by_place = {place: _vector(row.get("embedding")) for place, row in zip(places, rows, strict=True)}
    widths = {len(vector) for vector in by_place.values()}
    if len(widths) != 1:
        raise BadVectorsError("its vectors are not of one width")
    if not all(np.isfinite(vector).all() for vector in by_place.values()):
        raise BadVectorsError("a vector has values that are not finite")
    if not all(vector.any() for vector in by_place.values()):
        raise BadVectorsError("a vector is zero")
    [width] = widths
    if width != dimensions:
        raise BadVectorsError(f"its vectors have {width} dimensions", width)
    return [by_place[place] for place in range(count)]


def _vector(value: Any) -> NDArray[np.float32]:
    try:
        if isinstance(value, str):
            return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4").astype(np.float32)
        vector = np.asarray(value)
        if vector.ndim != 1 or not len(vector) or vector.dtype.kind not in "fiu":
            raise BadVectorsError("a vector is no list of numbers")
        with np.errstate(over="ignore"):
            return vector.astype(np.float32)
    except (ValueError, binascii.Error) as error:
        raise BadVectorsError("a vector is no list of numbers") from error

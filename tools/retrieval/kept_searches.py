"""What is cached of a search: the text's vector, and which postings it found, with why they come so.

It holds for one version of the corpus: whatever has been written since, or has closed with the day, the text
is searched for anew, and its vector still holds. Neither the text is kept, nor what postings say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from redis.asyncio import Redis

from tools.core.cache import SLOT_OVERHEAD, Cache
from tools.core.database import Vector
from tools.core.settings import Settings
from tools.postings.contracts import FoundPosting
from tools.postings.repository import STATEMENT
from tools.retrieval.terms import rules_version

_FORMAT = 1
"""To be raised when what is kept changes, or what the same text finds by the same SQL."""
_RULES = rules_version()
_FLOAT_BYTES = 4
_FOUND_BYTES = 4_096
"""The most that is kept of the postings; those of a run take half."""
_HIT = ("posting_id", "score", "fused", "families", "capped")


def search_cache(settings: Settings, redis: Redis) -> Cache:
    """Returns the cache of searches: as many as have room in the memory that the settings give it. They live
    no longer than an unused session."""
    value_bytes = settings.embedding_dimensions * _FLOAT_BYTES + _FOUND_BYTES
    return Cache(
        redis,
        "search",
        slots=(settings.cache_megabytes << 20) // (value_bytes + SLOT_OVERHEAD),
        value_bytes=value_bytes,
        ttl_seconds=max(1, round(settings.session_ttl_minutes * 60)),
    )


def versioned(key: Sequence[object]) -> list[object]:
    """Returns a search's key, which another version of the service does not have."""
    return [_FORMAT, STATEMENT, _RULES, *key]


def packed(
    vector: Vector, postings: Sequence[FoundPosting], families: Sequence[str], *, outside_it: bool
) -> bytes:
    """Returns what is kept."""
    hits = [{name: getattr(posting, name) for name in _HIT} for posting in postings]
    return np.asarray(vector, dtype=np.float32).tobytes() + orjson.dumps([hits, families, outside_it])


def vector_of(kept: bytes, dimensions: int) -> Vector:
    """Returns the vector."""
    return np.frombuffer(kept, dtype=np.float32, count=dimensions)


def unpacked(kept: bytes, dimensions: int) -> tuple[list[dict[str, Any]], list[str], bool]:
    """Returns what is known of each hit, the families that the text wishes, and whether it wishes none of
    IT."""
    hits, families, outside_it = orjson.loads(memoryview(kept)[dimensions * _FLOAT_BYTES :])
    return hits, families, outside_it

"""Near-duplicates: what the bands find, so that texts are compared at all."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import orjson

from ingest.load import SAMPLES
from ingest.structured.files import read_postings
from tools.postings.contracts import Posting
from tools.postings.near_duplicates import bands


def postings() -> dict[str, Posting]:
    return {row.source_id: row for row in read_postings(SAMPLES) if isinstance(row, Posting)}


def test_every_posting_that_was_published_again_shares_a_band_with_its_first() -> None:
    known = (files("samples") / "truth.jsonl").read_text(encoding="utf-8")
    again = [row for row in map(orjson.loads, known.splitlines()) if row["near_duplicate_of"]]
    texts = {source_id: posting.text() for source_id, posting in postings().items()}
    apart = [
        row["source_id"]
        for row in again
        if not set(bands(texts[row["source_id"]])) & set(bands(texts[row["near_duplicate_of"]]))
    ]
    assert len(again) == 12
    assert apart == []


def test_texts_that_overlap_by_half_share_a_band_as_often_as_minhash_promises() -> None:
    """Of pairs that overlap by s, 1 - (1 - s^4)^16; minima that depend on each other find fewer."""
    random = np.random.default_rng(7)
    found, shares = 0, []
    for _ in range(300):
        words = [f"w{number}" for number in random.integers(0, 1 << 40, size=152)]
        one, other = " ".join(words[:102]), " ".join(words[34:136])
        shares.append(len(_triples(one) & _triples(other)) / len(_triples(one) | _triples(other)))
        found += bool(set(bands(one)) & set(bands(other)))
    share = float(np.mean(shares))
    promised = 1 - (1 - share**4) ** 16
    assert abs(found / 300 - promised) < 0.1, (found / 300, promised)


def _triples(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}

"""Near-duplicates: which postings are one that was published twice. MinHash finds candidates, the texts
decide.

A posting's text is the set of its word triples. `bands` hashes 64 minima of that set (A. Broder,
"On the resemblance and containment of documents", 1997) in 16 bands of 4: two texts whose sets
overlap by .5, .7, .8 and .9 (Jaccard) share at least one band with a probability of .64, .99, 1.00
and 1.00 (1 - (1 - s^4)^16).

The bands are stored with each posting, so another hash family (that of rensa or datasketch) would find no
candidates among the postings of a loaded database until all were written anew; these lines need numpy and
hashlib only."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np

from tools.postings.normalization import normal_company

BANDS, ROWS = 16, 4
SAME_TEXT = 0.7
"""Jaccard similarity of two texts from which they are one posting, when title and company agree. Of the
sample postings, the twelve that were published again overlap by .72 to .94; sister positions of one company
(another team, another product) by .80 to .89, so the text alone does not tell them apart."""
_WORD = re.compile(r"\w+")
_BETWEEN_WORDS = re.compile(r"[\s.,()]")
_WORDS = (
    "재공고 추가 모집 채용 급구 상시 신입 경력 경력직 인턴 정규직 계약직 담당자 개발 개발자 "
    "엔지니어 프로그래머 hiring urgent the and of for engineer developer"
)
_SAYS_LITTLE = frozenset(_WORDS.split())
"""Words of a title that do not tell two positions apart."""
_ONE_WORD = {"서버": "백엔드", "backend": "백엔드", "frontend": "프론트엔드", "프런트엔드": "프론트엔드"}
_PRIME = np.uint64((1 << 32) - 5)
"""The largest prime below 2^32, the range of the hashes. With a much larger one the products would
hardly wrap, the order of the hashes would nearly stay, and the 64 minima would be those of few triples."""

_random = np.random.default_rng(1997)
_FACTORS = _random.integers(1, 1 << 31, size=(BANDS * ROWS, 1), dtype=np.uint64)
_OFFSETS = _random.integers(0, 1 << 31, size=(BANDS * ROWS, 1), dtype=np.uint64)


@dataclass(frozen=True, slots=True)
class Comparable:
    """The parts of a posting that are compared."""

    company: str
    job_title: str
    text: str


def bands(text: str) -> list[int]:
    """Returns 16 signed 64-bit numbers; texts that are nearly the same share some. Empty for a text of
    fewer than three words, which is too short to compare."""
    triples = _triples(text)
    if not triples:
        return []
    hashes = np.array([_hash32(triple) for triple in sorted(triples)], dtype=np.uint64)
    # Factors and hashes are below 2^32, so the products do not overflow 64 bits.
    minima = ((_FACTORS * hashes + _OFFSETS) % _PRIME).min(axis=1).reshape(BANDS, ROWS)
    digests = (hashlib.blake2b(bytes([i]) + row.tobytes(), digest_size=8) for i, row in enumerate(minima))
    return [int.from_bytes(digest.digest(), signed=True) for digest in digests]


def same_posting(one: Comparable, other: Comparable) -> bool:
    """Whether two postings are one: the companies agree (or one is missing), the words of one title are all
    in the other, and the texts overlap by SAME_TEXT."""
    mine, theirs = _company(one.company), _company(other.company)
    if mine and theirs and mine != theirs:
        return False
    if not _same_title(one.job_title, other.job_title):
        return False
    return _overlap(_triples(one.text), _triples(other.text)) >= SAME_TEXT


def _triples(text: str) -> set[str]:
    words = _WORD.findall(text.lower())
    return {" ".join(words[i : i + 3]) for i in range(len(words) - 2)}


def _overlap(one: set[str], other: set[str]) -> float:
    return len(one & other) / max(1, len(one | other))


def _same_title(one: str, other: str) -> bool:
    mine, theirs = _telling(one), _telling(other)
    if not mine or not theirs:
        return one.strip().lower() == other.strip().lower()
    # Compounds are written with and without spaces: 모의해킹, 모의 해킹.
    return set(mine) <= set(theirs) or set(theirs) <= set(mine) or "".join(mine) == "".join(theirs)


def _telling(title: str) -> list[str]:
    words = (_ONE_WORD.get(word, word) for word in _WORD.findall(title.lower()))
    return [word for word in words if word not in _SAYS_LITTLE]


def _company(name: str) -> str:
    return _BETWEEN_WORDS.sub("", normal_company(name)).lower()


def _hash32(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest())

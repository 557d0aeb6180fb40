"""The terms of a text, by which it is searched beside its vector.

A term is a morpheme (`tools/lexicon/morphemes.py`), one for all that say the same (서버 for 백엔드,
server and backend: `words.yaml`), or a skill by its usual name (리액트 is React: `skills.yaml`). The
weights of a text are scaled to length 1, so a long posting is not nearer for its length. They are a
sparse vector whose places are hashes of the terms: no list of all terms has to be kept, and two terms
meet in one of 10^9 places once in a million texts.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from tools.lexicon import find_skills, skills_in, spellings
from tools.lexicon.likeness import one_word
from tools.lexicon.morphemes import FIRST_LINE_WEIGHT, LOANWORDS, load_kiwi, morpheme_weights
from tools.lexicon.stems import WORDS

if TYPE_CHECKING:
    from kiwipiepy import Kiwi

PLACES = 1_000_000_000
"""The most dimensions of pgvector's `sparsevec`."""
MOST = 1_000
"""Terms kept of a text, the heaviest: as many as an index on `sparsevec` takes. A posting has some 150."""
SKILL = "#"
"""Begins a term that is a skill, so that none is a morpheme besides: `#React`."""
_SAYS_LITTLE = frozenset(LOANWORDS.get(word, word) for word in WORDS["empty"])
_LITTLE_WEIGHT = 0.5
"""Of words of every posting such as 개발자: over 1,498 real postings and 213 search texts, terms alone
find .59 of the wanted among the first twenty without it, and .62 with it."""
_RULES = 1
"""To be raised when these rules come to give other terms or families."""

Terms = dict[str, float]


def load_analyser() -> Kiwi:
    """Returns an analyser that knows the lexicon's Korean words as words of their own. Takes seconds."""
    same = (word for group in WORDS["same"] for word in group)
    return load_kiwi((*same, *spellings()), names=False)


def text_terms(kiwi: Kiwi, texts: Sequence[str]) -> list[Terms]:
    """Returns the terms of each text, whose first line is its title; empty for a text without any."""
    return [_terms(text, weights) for text, weights in zip(texts, morpheme_weights(kiwi, texts), strict=True)]


def _terms(text: str, morphemes: Mapping[str, float]) -> Terms:
    terms: Terms = {}
    for morpheme, weight in morphemes.items():
        term = one_word(morpheme)
        own = weight * _LITTLE_WEIGHT if morpheme in _SAYS_LITTLE else weight
        terms[term] = max(own, terms.get(term, 0.0))
    title = skills_in(text.partition("\n")[0])
    for skill in find_skills(text):
        terms[SKILL + skill] = FIRST_LINE_WEIGHT if skill in title else 1.0
    return _unit(terms)


def blended(parts: Iterable[tuple[Terms, float]]) -> Terms:
    """Returns the sum of several texts' terms, each text by its weight."""
    total: Terms = {}
    for terms, weight in parts:
        for term, own in terms.items():
            total[term] = total.get(term, 0.0) + weight * own
    return total


def sparse(terms: Mapping[str, float]) -> str:
    """Returns terms as pgvector reads a `sparsevec`."""
    heaviest = sorted(terms, key=lambda term: -terms[term])[:MOST]
    places = {place(term): terms[term] for term in heaviest}
    return f"{{{','.join(f'{at}:{places[at]:.5g}' for at in sorted(places))}}}/{PLACES}"


@lru_cache(maxsize=65_536)
def place(term: str) -> int:
    """Returns a term's place, from 1."""
    return int.from_bytes(hashlib.blake2b(term.encode(), digest_size=8).digest()) % PLACES + 1


def rules_version() -> str:
    """Returns what names these rules and their lists: postings that others have read are read again."""
    digest = hashlib.blake2b(str(_RULES).encode(), digest_size=8)
    for name in ("families.yaml", "morphemes.yaml", "skills.yaml", "words.yaml"):
        digest.update((files("tools.lexicon") / name).read_bytes())
    return digest.hexdigest()


def _unit(terms: Terms) -> Terms:
    length = math.sqrt(math.fsum(weight * weight for weight in terms.values()))
    return {term: weight / length for term, weight in terms.items()} if length else terms

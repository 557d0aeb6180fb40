"""What says the same in other words: names of tools and the topics they belong to, Korean and English words.

So a Korean line can be held against an English posting, and "RDBMS" against one that names MySQL. The lists
are in `words.yaml`; they hold what postings of software say most often, and no more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from tools.lexicon.stems import WORDS

_LATIN_WORD = re.compile(r"[a-z][a-z0-9.+#-]*[a-z0-9+#]")
_LATIN_ENDING = re.compile(r"(?<=[a-z]{3})(?:ings?|ed|es|s|e)$")
_DOUBLED = re.compile(r"([bdgmnprt])\1$")
_LONGEST_PLAIN = 3
_CACHED = 16_384
"""Words whose root is kept: those of the postings' trade are some thousands."""

TOPICS = frozenset(WORDS["topics"])
"""Skills that are fields and ways of working: a text may speak of one without its name."""
_SPOKEN_FOR: dict[str, frozenset[str]] = {}
for _name, _tools in WORDS["speak_for"].items():
    for _tool in _tools:
        _SPOKEN_FOR[_tool] = _SPOKEN_FOR.get(_tool, frozenset()) | {_name}


def spoken_for(skills: Iterable[str]) -> frozenset[str]:
    """Returns the skills and words that the named skills speak for: MySQL is an RDBMS, and 데이터베이스."""
    return frozenset().union(*(_SPOKEN_FOR.get(skill, ()) for skill in skills))


@lru_cache(maxsize=_CACHED)
def same_words(word: str) -> frozenset[str]:
    """Returns the words of either language that say what `word`, a stem in lower case, says: itself, as a
    root where it is Latin, and those of `words.yaml`."""
    own = word if word[0] >= "가" else root(word)
    return _SAME.get(own, frozenset()) | {own}


def roots_of(text: str) -> frozenset[str]:
    """Returns the Latin words of a text as roots; of one with hyphens its parts too."""
    words = _LATIN_WORD.findall(text.lower())
    return frozenset(root(part) for word in words for part in (word, *word.split("-")) if part)


@lru_cache(maxsize=_CACHED)
def root(word: str) -> str:
    """Returns a Latin word in lower case without its ending: "logging" and "logs" are "log"."""
    bare = _LATIN_ENDING.sub("", word)
    return _DOUBLED.sub(r"\1", bare) if bare != word and len(bare) > _LONGEST_PLAIN else bare


_SAME: dict[str, frozenset[str]] = {}
_ONE: dict[str, str] = {}
for _group in WORDS["same"]:
    _roots = frozenset(_word if _word[0] >= "가" else root(_word) for _word in _group)
    for _word in _roots:
        _SAME[_word] = _SAME.get(_word, frozenset()) | _roots
        _ONE.setdefault(_word, _group[0])


def one_word(word: str) -> str:
    """Returns one word for all that say what `word`, in lower case, says: 서버 for 백엔드, server and
    backends; a word of no group is its own."""
    return _ONE.get(word if word[0] >= "가" else root(word), word)

"""Whether two subjects are one project in other words, without a model and always with the same figure.

The similarity of two texts is the mean of two cosines: of their letters (pairs and triples inside words,
which see through endings and spelling) and of their content morphemes (Kiwi's for Korean, stems for
English). That of two subjects is the mean of the similarity of their titles and of their descriptions,
without what follows a dash in a title and sentences about how many postings ask.

SAME was chosen on `evals/datasets/subject_pairs.jsonl`: 53 labelled pairs in Korean and English, 24 of them
one project (another noun, other words) and 29 two (same trade or same frame of title, another problem). On
those, .36 has a precision of .96 and a recall of 1.00; with the threshold chosen without the pair that is
judged (leave one out), .92 and 1.00. On 599 pairs of candidates of the offline model, 53 of them the same,
1.00 and 1.00.

    F1, each with the threshold best on the labelled pairs    labelled    the 599
    title and description as one text (.43)                   1.00        .75
    titles only (.20)                                          .66        .87
    letters only (.43)                                         .86        .97
    morphemes only (.36)                                       .94        .95
    what is used (.36)                                         .98       1.00

Cannot see that a Korean and an English subject are one, nor that two are when they share no word.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

import numpy as np
from kiwipiepy import Kiwi

SAME = 0.36
"""Similarity from which two subjects count as one."""

_TAGS = frozenset(("NNG", "NNP", "NR", "XR", "SH", "SL", "SN", "VV", "VA"))
_NOUNS = frozenset(("NNG", "NNP", "SL"))
_SAYS_NOTHING = frozenset(
    """
    a an and are as at be before by each for from in is it its of on or so that the to until when while with
    build make 것 되 만들 수 위하 있 통하 하
    """.split()  # noqa: SIM905  (a list of quoted words is harder to read)
)
_ENGLISH_ENDING = re.compile(r"(?<=[a-z]{3})(?:ing|ed|es|s)$")
_ADDED = re.compile(r"\s[—–]\s.*$", re.DOTALL)
_OF_THE_MARKET = re.compile(r"[^.]*(?:공고\s*\d+\s*[건개]|\d+ of (?:the )?\d+ postings)[^.]*\.?")
_NOT_TEXT = re.compile(r"[^\w+#]+|_+")
_LOCK = threading.Lock()


def prepare() -> None:
    """Loads what compares texts, once a process: 1.3 s of CPU during which no other thread of the process
    runs, because Kiwi holds the interpreter's lock. To be called before anything is timed or under way."""
    morphemes("준비")


def similarity(one: Mapping[str, Any], other: Mapping[str, Any]) -> float:
    """Returns how like two subjects (each with `title` and `description`) are, from 0 to 1."""
    titles = [_ADDED.sub("", subject["title"]) for subject in (one, other)]
    descriptions = [_OF_THE_MARKET.sub("", subject["description"]).strip() for subject in (one, other)]
    return (text_similarity(*titles) + text_similarity(*descriptions)) / 2


def text_similarity(one: str, other: str) -> float:
    """Returns how like two texts are, from 0 to 1; 0 when either is empty."""
    return (_cosine(_letters(one), _letters(other)) + _cosine(morphemes(one), morphemes(other))) / 2


@lru_cache(maxsize=8192)
def morphemes(text: str) -> Counter[str]:
    """Returns the content morphemes of a text, in lower case. Not to be changed: it is cached."""
    return Counter(_stems(text, _TAGS))


def nouns(text: str) -> set[str]:
    """Returns those of the morphemes that are nouns, or English words of whatever kind."""
    return set(_stems(text, _NOUNS))


def _stems(text: str, tags: frozenset[str]) -> Iterator[str]:
    with _LOCK:
        tokens = kiwi().tokenize(text)
    words = (token.form.lower().strip(".") for token in tokens if token.tag in tags)
    stems = map(stem, words)
    return (one for one in stems if one and one not in _SAYS_NOTHING)


def stem(word: str) -> str:
    """Returns an English word without its ending, as the morphemes have it; a Korean one as it is."""
    return _ENGLISH_ENDING.sub("", word)


@cache
def kiwi() -> Kiwi:
    """Returns the analyser of Korean morphemes that this process has. It loads for 1.3 s of CPU."""
    # Without the dictionary of names of many words (titles, places), which takes half of the time.
    return Kiwi(load_multi_dict=False)


@lru_cache(maxsize=8192)
def _letters(text: str) -> Counter[str]:
    folded = _NOT_TEXT.sub(" ", unicodedata.normalize("NFKC", text).casefold())
    words = [f" {word} " for word in folded.split() if word not in _SAYS_NOTHING]
    return Counter(w[i : i + n] for w in words for n in (2, 3) for i in range(len(w) - n + 1))


def _cosine(one: Counter[str], other: Counter[str]) -> float:
    """Cosine of two counts, each as 1 + log(count)."""
    if not one or not other:
        return 0.0
    mine, theirs = (1 + np.log(np.array(list(c.values()), dtype=float)) for c in (one, other))
    shared = sum((1 + np.log(one[k])) * (1 + np.log(other[k])) for k in one.keys() & other.keys())
    return min(1.0, float(shared / (np.linalg.norm(mine) * np.linalg.norm(theirs))))

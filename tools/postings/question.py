"""What the store is asked for: a vector and terms, what each counts, and which postings are asked for at
all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

MOST_OF_A_COMPANY = 3
"""Postings of one company that come before others; what is more of it follows after all others."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What counts how much in the order of postings: cosine, terms and feedback by their standard scores
    (how many standard deviations above the mean of all that is searched), the family of jobs as it is."""

    dense: float = 1.0
    lexical: float = 0.0
    family: float = 0.0
    feedback: float = 0.0
    """Of the likeness to the mean vector of its own first hits (pseudo relevance feedback)."""


@dataclass(frozen=True, slots=True)
class Filters:
    """Which postings are asked for. What is None is not asked.

    `places` and `employment` are patterns of LIKE of which one has to fit: a posting that says nothing of
    it does not. A posting that names no years of experience fits everybody.
    """

    only_open: bool = True
    places: Sequence[str] | None = None
    employment: Sequence[str] | None = None
    years: int | None = None


OPEN = Filters()


@dataclass(frozen=True, slots=True)
class Question:
    """A search beside its vector. Without anything, postings are in the order of their cosines, one of
    near-duplicates and all of a company."""

    weights: Weights = Weights()
    terms: str | None = None
    """As pgvector reads a `sparsevec`."""
    families: Sequence[str] = ()
    near: Sequence[str] = ()
    """Families that count half."""
    inside: Sequence[str] | None = None
    """Families outside of which a posting counts less, as much as one of the families counts more; None:
    all are welcome."""
    filters: Filters = OPEN
    most_of_a_company: int | None = None
    named_places: Mapping[int, str] | None = None
    """The terms by their places in `terms`, the heaviest first, where hits are to be explained: their
    ranks cost some milliseconds."""


NEAREST = Question()

"""What a search text asks for: its parts and how much each counts, without what it refuses; the families of
jobs that it wishes for; its terms.

A text has its wish in the first line, what the person can and did in the lines below, and, after an empty
line, what else interests them (`nodes/build_query.py` writes it so).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypedDict

from tools.lexicon.families import GENERAL, NEAR, Family, read_posting
from tools.lexicon.negation import without_refused
from tools.lexicon.wishes import wish
from tools.retrieval.terms import blended, sparse, text_terms

if TYPE_CHECKING:
    from kiwipiepy import Kiwi

WISH, PROFILE, INTERESTS = 1.0, 0.5, 0.25
"""What the parts count. Over 622 real postings and 30 profiles the wish alone finds .720 of the wanted among
the first twenty, the profile alone .657, the wish and half the profile .733."""

_RANKS = frozenset(("office", "other"))
"""Families that a title's rank names (매니저, 담당자): they say nothing of the trade."""


class Understood(TypedDict):
    """A search text as it is searched."""

    parts: list[tuple[str, float]]
    """Texts to embed, and what each counts."""
    terms: dict[str, float]
    sparse: str
    """The terms as a `sparsevec`; empty where there are none."""
    families: list[str]
    """Keys of the families that the wish names: those of IT, where it names one."""
    near: list[str]
    """Families whose postings suit as well, half."""
    inside_it: bool
    """The wish is for a job in IT, though perhaps for none that has a name here."""
    outside_it: bool
    """The wish names a job, and none of IT."""
    refused: str
    """What the text says is not wished or not known."""


def understand(kiwi: Kiwi, text: str) -> Understood:
    """Returns what a search text asks for."""
    told, _, interests = text.strip().partition("\n\n")
    first, _, profile = told.partition("\n")
    wanted, *others = (without_refused(part) for part in (first, profile, interests))
    # A wish that only says what it is not is still the best that is known.
    kept = [(wanted.text or first, WISH)]
    kept += [
        (part.text, weight) for part, weight in zip(others, (PROFILE, INTERESTS), strict=True) if part.text
    ]
    terms = blended(
        (terms, weight)
        for terms, (_, weight) in zip(text_terms(kiwi, [part for part, _ in kept]), kept, strict=True)
    )
    wished = wish(kept[0][0], "\n".join(part for part, _ in kept[1:])).families
    named = _named(kept[0][0], wished)
    inside = [family.key for family in named if family.it]
    return Understood(
        parts=kept,
        terms=terms,
        sparse=sparse(terms) if terms else "",
        families=inside or [family.key for family in named],
        near=sorted({key for family in inside for key in NEAR.get(family, ())} - set(inside)),
        inside_it=wished[0].it,
        outside_it=not inside and any(family.key not in _RANKS for family in named),
        refused=" ".join(part.refused for part in (wanted, *others) if part.refused),
    )


def _named(job: str, wished: Sequence[Family]) -> list[Family]:
    """Returns the families that the wish itself names. One that is guessed from the profile or from a mere
    "developer" is not held against postings."""
    titled = read_posting(job, job).titled
    return [family for family in wished if family.key in titled and family is not GENERAL]

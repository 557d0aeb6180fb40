"""What the page's templates are shown of a session: reasons with their counts and quotes, the market against
the profile, and a posting's own text with the quoted words marked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tools.core.contracts import Evidence, Profile, Project, Summary, SummaryLine
from tools.core.text import texts
from tools.lexicon import canonical, skills_in
from tools.postings.contracts import TEXT_FIELDS, StoredPosting

Marked = list[tuple[str, bool]]
"""One line of a text in pieces, each with whether it is quoted."""
MAX_BARS = 12
"""Skills that the market shows: what fewer ask for says little, and nobody reads thirty bars."""
_MIN_WORD = 2
_RUN = re.compile(b"\0+|\1+")
_WORD = re.compile(r"\w[\w.+#-]*")


@dataclass(frozen=True)
class Reason:
    """Why a project is worth building: a claim, the quotes that speak for it and, where the claim names a
    skill that was counted, which skill and in which postings."""

    claim: str
    quotes: list[Evidence]
    counted: SummaryLine | None

    @property
    def quoted(self) -> int:
        """How many postings are quoted."""
        return len({quote.posting_id for quote in self.quotes})


@dataclass(frozen=True)
class Bar:
    """A skill of the market: how many postings ask for it, in percent of those kept, and what the profile
    has of it."""

    line: SummaryLine
    percent: int
    state: Literal["known", "trained", "open"]


def reasons(project: Project, summary: Summary | None) -> list[Reason]:
    """Returns a project's reasons: its quotes by the claim that they speak for, counted ones first."""
    by_claim: dict[str, list[Evidence]] = {}
    for quote in project.evidence:
        by_claim.setdefault(quote.claim, []).append(quote)
    lines = summary.skills if summary else []
    found = [Reason(claim, quotes, _counted(claim, lines)) for claim, quotes in by_claim.items()]
    return sorted(found, key=lambda reason: -(reason.counted.count if reason.counted else 0))


def _counted(claim: str, lines: Sequence[SummaryLine]) -> SummaryLine | None:
    """Returns the line of the skill that a claim names; of several, the one that most postings ask for."""
    named = skills_in(claim)
    return next((line for line in lines if canonical(line.text) in named or line.text in named), None)


def market(summary: Summary | None, profile: Profile, project: Project, kept: int) -> list[Bar]:
    """Returns the skills that the `kept` postings ask for, most wanted first, against a profile."""
    if summary is None or not kept:
        return []
    said = profile.model_dump(exclude={"desired_job", "desired_companies", "wishes"})
    known = {canonical(skill) for skill in profile.skills}.union(*map(skills_in, texts(said)))
    trained = {canonical(skill) for skill in project.skills}
    return [
        Bar(line, round(100 * line.count / kept), _state(canonical(line.text), known, trained))
        for line in summary.skills[:MAX_BARS]
    ]


def _state(skill: str, known: set[str], trained: set[str]) -> Literal["known", "trained", "open"]:
    if skill in known:
        return "known"
    return "trained" if skill in trained else "open"


def marked(text: str, quotes: Iterable[str]) -> list[Marked]:
    """Returns the lines of `text` in pieces, the quoted words marked. Quotes have their white space folded;
    a quote may go over several lines."""
    patterns = (r"\s+".join(map(re.escape, quote.split())) for quote in quotes if quote.strip())
    return _in_pieces(text, [match.span() for pattern in patterns for match in re.finditer(pattern, text)])


def found_words(text: str, query: str) -> tuple[list[Marked], list[str]]:
    """Returns the lines of `text` with the words of a search marked, and which of the words stand in it.
    Korean particles follow a word, so it counts where it begins one."""
    spans, found = [], []
    for word in dict.fromkeys(word for word in _WORD.findall(query) if len(word) >= _MIN_WORD):
        matches = list(re.finditer(rf"(?<!\w){re.escape(word)}", text, re.IGNORECASE))
        spans += [match.span() for match in matches]
        found += [word] if matches else []
    return _in_pieces(text, spans), found


def _in_pieces(text: str, spans: list[tuple[int, int]]) -> list[Marked]:
    quoted = bytearray(len(text))
    for start, end in spans:
        quoted[start:end] = b"\1" * (end - start)
    lines: list[Marked] = []
    at = 0
    for line in text.split("\n"):
        runs = _RUN.finditer(quoted, at, at + len(line))
        pieces = [(text[slice(*run.span())], run[0][0] == 1) for run in runs]
        lines += [pieces] if pieces else []
        at += len(line) + 1
    return lines


@dataclass(frozen=True)
class FoundByWords:
    """A search hit as it is shown: its text with the words of the search marked, and why it was found."""

    posting: StoredPosting
    title: list[Marked]
    parts: dict[str, list[Marked]]
    words: list[str]
    skills: list[str]


def found(posting: StoredPosting, query: str) -> FoundByWords:
    """Returns a search hit with what it has in common with `query`."""
    title, words = found_words(posting.job_title, query)
    parts: dict[str, list[Marked]] = {}
    for name in TEXT_FIELDS:
        parts[name], more = found_words(getattr(posting, name), query)
        words += more
    asked = skills_in(query)
    skills = [skill for skill in posting.normalized_skills if skill in asked]
    return FoundByWords(posting, title, parts, list(dict.fromkeys(words)), skills)


def quotes_by_posting(evidence: Iterable[Evidence]) -> Mapping[str, list[str]]:
    """Returns the quotes of each posting."""
    quotes: dict[str, list[str]] = {}
    for quote in evidence:
        quotes.setdefault(quote.posting_id, []).append(quote.quote)
    return quotes


def only_in(project: Project, other: Project) -> list[str]:
    """Returns the skills of `project` that `other` does not have."""
    others = {canonical(skill) for skill in other.skills}
    return [skill for skill in project.skills if canonical(skill) not in others]

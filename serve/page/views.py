"""What the page's templates are shown of a session: reasons with their counts and quotes, the market against
the profile, and a posting's own text with the quoted words marked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from tools.core.contracts import Evidence, Language, Profile, Project, Summary, SummaryLine
from tools.core.text import texts
from tools.lexicon import canonical, skills_in, spellings
from tools.lexicon.families import FAMILIES
from tools.lexicon.likeness import same_words
from tools.postings.contracts import TEXT_FIELDS, FoundPosting
from tools.retrieval.terms import SKILL

Marked = list[tuple[str, bool]]
"""One line of a text in pieces, each with whether it is quoted."""
MAX_BARS = 12
"""Skills that the market shows: what fewer ask for says little, and nobody reads thirty bars."""
_MIN_WORD = 2
_RUN = re.compile(b"\0+|\1+")
_WORD = re.compile(r"\w[\w.+#-]*")
_HANGUL = re.compile(r"[가-힣]")
_ENDING = r"(?:[bdgmnprt]?(?:ings?|ers?|ed)|e?s|e)?(?![a-z0-9])"


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
    known = shown_skills(profile)
    trained = {canonical(skill) for skill in project.skills}
    return [
        Bar(line, round(100 * line.count / kept), _state(canonical(line.text), known, trained))
        for line in summary.skills[:MAX_BARS]
    ]


def shown_skills(profile: Profile) -> set[str]:
    """Returns the skills that a profile lists and those that its texts name; a wish is no skill."""
    said = profile.model_dump(exclude={"desired_job", "desired_companies", "wishes"})
    return {canonical(skill) for skill in profile.skills}.union(*map(skills_in, texts(said)))


def _state(skill: str, known: set[str], trained: set[str]) -> Literal["known", "trained", "open"]:
    if skill in known:
        return "known"
    return "trained" if skill in trained else "open"


def marked(text: str, quotes: Iterable[str]) -> list[Marked]:
    """Returns the lines of `text` in pieces, the quoted words marked. Quotes have their white space folded;
    a quote may go over several lines."""
    patterns = (r"\s+".join(map(re.escape, quote.split())) for quote in quotes if quote.strip())
    return _in_pieces(text, [match.span() for pattern in patterns for match in re.finditer(pattern, text)])


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
class Hit:
    """A search hit as it is shown: its text with what speaks for it marked, and why it was found."""

    posting: FoundPosting
    title: list[Marked]
    parts: dict[str, list[Marked]]
    skills: list[str]
    words: list[str]
    """What it has in common with the search, one word for all that say the same."""
    families: list[str]
    """Names of the families of jobs that it is for."""


def hits(postings: Sequence[FoundPosting], query: str, language: Language) -> list[Hit]:
    """Returns what a search has found with its reasons, in a language. Marked are the words of the search and
    those by which the postings were found: a search for 백엔드 finds 서버."""
    searched = _spelled(
        {word.rstrip(".-").lower() for word in _WORD.findall(query)}.union(*map(_spelt, postings))
    )
    return [
        Hit(
            posting,
            _where(searched, posting.job_title),
            {name: _where(searched, getattr(posting, name)) for name in TEXT_FIELDS},
            [term.removeprefix(SKILL) for term in posting.terms if term.startswith(SKILL)],
            [
                term
                for term in posting.terms
                if term[0] != SKILL and SKILL + canonical(term) not in posting.terms
            ],
            [FAMILIES[key].name[language] for key in posting.families],
        )
        for posting in postings
    ]


def _where(searched: re.Pattern[str], text: str) -> list[Marked]:
    return _in_pieces(text, [match.span() for match in searched.finditer(text)])


def _spelt(posting: FoundPosting) -> Iterator[str]:
    """Yields the spellings, in lower case, of all that a posting was found by."""
    for term in posting.terms:
        if term.startswith(SKILL):
            name = term.removeprefix(SKILL)
            yield from (name.lower(), *_spellings().get(name, ()))
        else:
            yield from same_words(term)


@cache
def _spellings() -> Mapping[str, list[str]]:
    """Returns the spellings of each skill."""
    of: dict[str, list[str]] = {}
    for spelling in spellings():
        of.setdefault(canonical(spelling), []).append(spelling)
    return of


def _spelled(words: Iterable[str]) -> re.Pattern[str]:
    """Returns a pattern that finds words. Korean particles follow a word, so it counts where it begins one;
    of a Latin one endings are allowed, so that Java is not marked in JavaScript."""
    long = sorted((word for word in words if len(word) >= _MIN_WORD), key=lambda word: -len(word))
    each = (re.escape(word) + ("" if _HANGUL.search(word) else _ENDING) for word in long)
    return re.compile(rf"(?<!\w)(?:{'|'.join(each) or '(?!)'})", re.IGNORECASE)


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

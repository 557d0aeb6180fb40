"""What the postings ask for: the rules behind `MarketSummary`, and a summary indexed for the other rules.

Lines of different postings are one when they match the same concept (`data/concepts.yaml`), or else when
their words overlap. The text shown is a line of one of the postings, credited only to those that have a line
like it; in English it is the name of the concept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tools.lexicon import KIND_OF, canonical, find_skills
from tools.lexicon.stems import COMMON, EVERYDAY_SKILLS, stems

from .crafts import DOMAINS
from .person import Person
from .text import WORDS, is_order, lines, load_yaml, posting_lines, read, read_list, rows

Row = Mapping[str, Any]

CONCEPTS: dict[str, re.Pattern[str]] = {
    key: re.compile(pattern) for key, pattern in load_yaml("concepts.yaml").items()
}
"""What may be asked for, by key; the patterns are for lower case."""

_MAX_LINES = 8
_MAX_SKILLS = 15
_PER_POSTING = 15
_SHORT, _LONG = 12, 64
_OVERLAP = 0.5
_MIN_SHARED = 2
_RESTATED = 0.6
# Asked everywhere and closed by no project: they are shown after what a project can answer.
_SOFT = frozenset({"years", "degree", "foreign", "collaboration"})


@dataclass(frozen=True)
class _Line:
    posting_id: str
    text: str


@dataclass
class _Group:
    lines: list[_Line]
    soft: bool = False
    concept: str | None = None

    @property
    def ids(self) -> list[str]:
        return list(dict.fromkeys(line.posting_id for line in self.lines))


LABELS: dict[str, str] = load_yaml("labels.yaml")
"""What a concept is called in English."""
LABELLED = {label: key for key, label in LABELS.items()}
_HANGUL = re.compile("[가-힣]")
_CANDIDATES = 6
"""Lines of a group that are tried for the one to show."""


@lru_cache(maxsize=8192)
def concepts_of(line: str) -> tuple[str, ...]:
    """Returns the keys of the concepts that a line asks for."""
    if line in LABELLED:
        return (LABELLED[line],)
    lower = line.lower()  # much quicker than patterns that ignore case
    return tuple(key for key, pattern in CONCEPTS.items() if pattern.search(lower))


def summarize(postings: Sequence[Row], language: str = "ko") -> dict[str, Any]:
    """Returns a `MarketSummary` of the postings; every list is empty when there are none."""
    found = asked_for(postings, language)
    return {
        **found,
        "skills": [line["text"] for line in found["skills"]],
        "domains": [
            {"posting_id": read(posting, "posting_id"), "domain": domain}
            for posting in postings
            if (domain := _domain(posting, language))
        ],
    }


def asked_for(postings: Sequence[Row], language: str) -> dict[str, list[dict[str, Any]]]:
    """Returns the lists of a summary, the skills too with the ids of the postings that name them."""
    return {
        "responsibilities": _section(postings, "responsibilities", language),
        "qualifications": _section(postings, "requirements", language),
        "preferred": _section(postings, "preferred", language),
        "skills": _skills(postings),
    }


def _domain(posting: Row, language: str) -> str:
    """What a posting's company makes, by what its work speaks of most often; "" where no Korean word says."""
    text = "\n".join(read(posting, name) for name in ("company", "job_title", "responsibilities")).lower()
    named = [
        (domain, [word for word in domain.named.findall(text) if _HANGUL.search(word)])
        for domain in DOMAINS["service"]
    ]
    domain, words = max(named, key=lambda found: len(found[1]))
    if not words:
        return ""
    return domain.words["en"]["thing"] if language == "en" else f"{words[0]} 서비스"


def _section(postings: Sequence[Row], name: str, language: str) -> list[dict[str, Any]]:
    asked = [
        _Line(read(posting, "posting_id"), text)
        for posting in postings
        for text in lines(read(posting, name))[:_PER_POSTING]
        if stems(text)
    ]
    groups = _by_concept(asked) + _by_words([line for line in asked if not concepts_of(line.text)])
    groups.sort(key=lambda group: (group.soft, -len(group.ids)))
    shown = _labelled(groups) if language == "en" else _quoted(groups, asked)
    # The soft ones are taken last, but shown by how often they are asked.
    return sorted(shown[:_MAX_LINES], key=lambda line: -len(line["posting_ids"]))


def _labelled(groups: Sequence[_Group]) -> list[dict[str, Any]]:
    """Concepts by their English names; lines of no concept only when they are English already."""
    shown = []
    for group in groups:
        text = LABELS[group.concept] if group.concept else group.lines[0].text
        if not _HANGUL.search(text):
            shown.append({"text": text, "posting_ids": group.ids})
    return shown


def _quoted(groups: Sequence[_Group], asked: Sequence[_Line]) -> list[dict[str, Any]]:
    """A line of each group, credited to the postings that have a line like it."""
    having: dict[str, list[_Line]] = {}
    for line in asked:
        for word in stems(line.text):
            having.setdefault(word, []).append(line)
    shown: list[tuple[bool, dict[str, Any]]] = []
    used: list[frozenset[str]] = []
    for group in groups[: 3 * _MAX_LINES]:
        found = _spokesman(group, used, having)
        if found is not None:
            used.append(stems(found[0]))
            shown.append((group.soft, {"text": found[0], "posting_ids": found[1]}))
    return [line for _, line in sorted(shown, key=lambda row: (row[0], -len(row[1]["posting_ids"])))]


@lru_cache(maxsize=8192)
def _skill_words(line: str) -> tuple[frozenset[str], frozenset[str]]:
    """The skills a line names, and its stems that are no name of one."""
    skills = frozenset(find_skills(line))
    return skills, frozenset(word for word in stems(line) if not find_skills(word))


def alike(one: str, other: str) -> bool:
    """Whether two lines ask for the same: two stems in common, or a skill and a stem beside it.

    One of the stems is no word that every line uses.
    """
    shared = stems(one) & stems(other)
    if len(shared) >= _MIN_SHARED and shared - COMMON:
        return True
    (skills, words), (others, other_words) = _skill_words(one), _skill_words(other)
    return bool(skills & others and (words & other_words) - COMMON)


def _supporters(text: str, having: Mapping[str, Sequence[_Line]]) -> list[str]:
    near = dict.fromkeys(line for word in stems(text) - COMMON for line in having.get(word, ()))
    return list(dict.fromkeys(line.posting_id for line in near if alike(text, line.text)))


def _by_concept(asked: list[_Line]) -> list[_Group]:
    groups: dict[str, _Group] = {}
    for line in asked:
        for concept in concepts_of(line.text):
            groups.setdefault(concept, _Group([], soft=concept in _SOFT, concept=concept)).lines.append(line)
    return list(groups.values())


def _by_words(asked: list[_Line]) -> list[_Group]:
    groups: list[_Group] = []
    having: dict[str, list[int]] = {}
    for line in asked:
        words = stems(line.text)
        shared = Counter(at for word in words for at in having.get(word, ()))
        for at, count in shared.most_common(3):
            other = stems(groups[at].lines[0].text)
            if count >= _MIN_SHARED and count >= _OVERLAP * min(len(words), len(other)):
                groups[at].lines.append(line)
                break
        else:
            for word in words:
                having.setdefault(word, []).append(len(groups))
            groups.append(_Group([line]))
    return groups


def _spokesman(
    group: _Group, used: list[frozenset[str]], having: Mapping[str, Sequence[_Line]]
) -> tuple[str, list[str]] | None:
    """The line for which most postings speak, with their ids; None if all are said already."""
    weight = Counter(word for line in group.lines for word in stems(line.text))

    def typical(line: _Line) -> float:
        words = stems(line.text)
        fit = 1.0 if _SHORT <= len(line.text) <= _LONG else 0.3
        return fit * sum(weight[word] for word in words) / (len(words) + 1.5)

    found: list[tuple[str, list[str]]] = []
    for text in dict.fromkeys(line.text for line in sorted(group.lines, key=typical, reverse=True)):
        words = stems(text)
        if not any(len(words & said) > _RESTATED * min(len(words), len(said)) for said in used):
            # A line of a single word is like no other but itself.
            same = [line.posting_id for line in group.lines if line.text == text]
            found.append((text, list(dict.fromkeys([*_supporters(text, having), *same]))))
            if len(found) == _CANDIDATES:
                break
    return max(found, key=lambda row: len(row[1]), default=None)


def _skills(postings: Sequence[Row]) -> list[dict[str, Any]]:
    asked: dict[str, list[str]] = {}
    for posting in postings:
        fields = ("job_title", "skills", "requirements", "responsibilities", "preferred")
        for skill in find_skills("\n".join(read(posting, name) for name in fields)):
            ids = asked.setdefault(skill, [])
            if read(posting, "posting_id") not in ids:
                ids.append(read(posting, "posting_id"))
    ranked = sorted(asked.items(), key=lambda item: -len(item[1]))
    return [{"text": skill, "posting_ids": ids} for skill, ids in ranked[:_MAX_SKILLS]]


_SECTIONS = ("responsibilities", "qualifications", "preferred")
# One of these is enough to do a job with; the market's other choices of the kind are no gap.
_ONE_OF = ("language", "database", "cloud")
_FRAMEWORKS = frozenset(WORDS["frameworks"])
_HEAVY = frozenset({"container", "iac", "message"})
_MANY = 6
"""From so many postings on, what a single one asks for is no gap."""
_MIN_ADVANCED_WEEKS = 4


# Who shows the one on the right has the one on the left, though the profile does not say so.
_SHOWN_BY = {skill: frozenset(others) for skill, others in WORDS["shown_by"].items()}
_SHOWN_IN = {skill: re.compile(pattern) for skill, pattern in WORDS["shown_in"].items()}
TOPICS = frozenset(WORDS["topics"])
"""Fields and ways of working: one gets to know them, nothing is made with them."""


@dataclass(frozen=True)
class Gap:
    """A skill that `count` of the kept postings ask for and the profile does not show."""

    skill: str
    count: int


class Demand:
    """What the market asks for: the summary's counts, and what the kept postings themselves say.

    `total` is the number of postings that were kept, `skills` how many ask for each skill, `common` those
    that at least half ask for, the most wanted first. `closest` says that no posting is for the desired job:
    they are only the nearest.
    """

    def __init__(self, summary: Sequence[Row], request: Row, postings: Sequence[Row]) -> None:
        first = summary[0] if summary else {}
        self._counts = [
            (_count(row), frozenset(concepts_of(read(row, "text"))))
            for section in _SECTIONS
            for row in rows(first, section)
        ]
        self.skills = {
            canonical(text): _count(row)
            for row in rows(first, "skills")
            if (text := read(row, "text")) and not is_order(text)
        }
        self._texts: dict[str, str] = {}
        self._concepts: dict[str, frozenset[str]] = {}
        self._named: dict[str, frozenset[str]] = {}
        for row in postings:
            told, posting_id = posting_lines(row), read(row, "posting_id")
            whole = "\n".join([read(row, "job_title"), read(row, "domain"), read(row, "skills"), *told])
            self._texts[posting_id] = whole.lower()
            self._concepts[posting_id] = frozenset(key for line in told for key in concepts_of(line))
            self._named[posting_id] = frozenset(find_skills(whole))
        self.ids = tuple(self._texts)
        kept = request.get("kept_postings")
        counted = kept if isinstance(kept, int) and not isinstance(kept, bool) else 0
        self.total = counted or len(self.ids)
        self.common = [
            skill
            for skill, count in self.skills.items()
            if count * 2 >= self.total and skill not in EVERYDAY_SKILLS
        ]
        self.closest = request.get("closest_only") is True

    def asking(self, concepts: frozenset[str]) -> list[str]:
        """Returns the ids of the postings that ask for any of these concepts."""
        return [found for found, own in self._concepts.items() if own & concepts]

    def telling(self, named: re.Pattern[str]) -> list[str]:
        """Returns the ids of the postings in which the pattern is found."""
        return [found for found, text in self._texts.items() if named.search(text)]

    def naming(self, skill: str) -> list[str]:
        """Returns the ids of the postings that name a skill."""
        return [found for found, own in self._named.items() if skill in own]

    def count_of(self, concepts: frozenset[str]) -> int:
        """Returns how many postings ask for the most wanted of these concepts, as the summary has it; 0 where
        it has none of them."""
        return max((count for count, own in self._counts if own & concepts), default=0)

    def gaps(self, person: Person, kinds: frozenset[str]) -> list[Gap]:
        """Returns the skills of these kinds worth closing for this person, the most asked first."""
        few = 2 if self.total >= _MANY else 1
        return [
            Gap(skill, count)
            for skill, count in self.skills.items()
            if KIND_OF.get(skill) in kinds
            and _is_gap(skill, person)
            and (count >= few or skill in person.asked)
        ]


def _count(row: Row) -> int:
    count = row.get("count")
    return count if isinstance(count, int) else len(read_list(row, "posting_ids"))


def _is_gap(skill: str, person: Person) -> bool:
    if skill in person.has or skill in EVERYDAY_SKILLS or skill in person.feedback.unwanted_skills:
        return False
    if _SHOWN_BY.get(skill, frozenset()) & set(person.has):
        return False
    if skill in _SHOWN_IN and _SHOWN_IN[skill].search(person.text):
        return False
    if set(WORDS["builds_on"].get(skill, ())) & set(person.has):
        return True
    kind, weeks = KIND_OF[skill], person.time_limit
    if kind in _HEAVY and skill != "Docker" and person.difficulty == "beginner":
        return False
    brief = weeks is not None and weeks <= _MIN_ADVANCED_WEEKS
    if kind in _HEAVY and brief and person.difficulty != "advanced":
        return False
    return not any(is_choice(skill, known) for known in person.has)


def is_choice(skill: str, other: str) -> bool:
    """Whether one of these two is enough: two languages, databases, clouds or frameworks of a kind."""
    if skill == "SQL" or KIND_OF.get(skill) != KIND_OF.get(other):
        return False
    return KIND_OF.get(skill) in _ONE_OF or {skill, other} <= _FRAMEWORKS

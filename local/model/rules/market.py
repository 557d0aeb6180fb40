"""What the kept postings ask for: the rules behind `MarketSummary`.

Lines of different postings are one when they match the same concept (`data/concepts.yaml`), or else
when their words overlap. The text shown is a line of one of the postings, credited only to those that
have a line like it; in English it is the name of the concept.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tools.lexicon import find_skills

from .families import load_yaml
from .text import lines, read, stems

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
# Words that lines of every kind share: two of them do not make two lines alike.
COMMON = frozenset(
    """
    설계 구현 구축 서버 시스템 서비스 데이터 환경 개선 관리 처리 구조 로직 정책 기능 작성 대응
    최적화 활용해 솔루션 플랫폼 제품 프로젝트 기술 팀 api design develop development
    system systems service services data team build
    """.split()  # noqa: SIM905  (a list of quoted words is harder to read)
)
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
    return {
        "responsibilities": _section(postings, "responsibilities", language),
        "qualifications": _section(postings, "requirements", language),
        "preferred": _section(postings, "preferred", language),
        "skills": _skills(postings),
    }


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

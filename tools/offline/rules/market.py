"""What the kept postings ask for: the rules behind `MarketSummary`.

Lines of different postings are one when they match the same concept (`data/concepts.yaml`), or else
when their words overlap. The text shown is always a line of one of the postings.
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

    @property
    def ids(self) -> list[str]:
        return list(dict.fromkeys(line.posting_id for line in self.lines))


@lru_cache(maxsize=8192)
def concepts_of(line: str) -> tuple[str, ...]:
    """Returns the keys of the concepts that a line asks for."""
    lower = line.lower()  # much quicker than patterns that ignore case
    return tuple(key for key, pattern in CONCEPTS.items() if pattern.search(lower))


def summarize(postings: Sequence[Row]) -> dict[str, Any]:
    """Returns a `MarketSummary` of the postings; every list is empty when there are none."""
    return {
        "responsibilities": _section(postings, "responsibilities"),
        "qualifications": _section(postings, "requirements"),
        "preferred": _section(postings, "preferred"),
        "skills": _skills(postings),
    }


def _section(postings: Sequence[Row], name: str) -> list[dict[str, Any]]:
    asked = [
        _Line(read(posting, "posting_id"), text)
        for posting in postings
        for text in lines(read(posting, name))[:_PER_POSTING]
        if stems(text)
    ]
    shown: list[dict[str, Any]] = []
    used: list[frozenset[str]] = []
    groups = _by_concept(asked) + _by_words([line for line in asked if not concepts_of(line.text)])
    for group in sorted(groups, key=lambda group: (group.soft, -len(group.ids))):
        text = _spokesman(group, used)
        if text is None:
            continue
        used.append(stems(text))
        shown.append({"text": text, "posting_ids": group.ids})
        if len(shown) == _MAX_LINES:
            break
    return sorted(shown, key=lambda line: -len(line["posting_ids"]))


def _by_concept(asked: list[_Line]) -> list[_Group]:
    groups: dict[str, _Group] = {}
    for line in asked:
        for concept in concepts_of(line.text):
            groups.setdefault(concept, _Group([], soft=concept in _SOFT)).lines.append(line)
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


def _spokesman(group: _Group, used: list[frozenset[str]]) -> str | None:
    """The line that says best what the group has in common, None if all are said already."""
    weight = Counter(word for line in group.lines for word in stems(line.text))

    def typical(line: _Line) -> float:
        words = stems(line.text)
        fit = 1.0 if _SHORT <= len(line.text) <= _LONG else 0.3
        return fit * sum(weight[word] for word in words) / (len(words) + 1.5)

    for line in sorted(group.lines, key=typical, reverse=True):
        words = stems(line.text)
        if not any(len(words & said) > _RESTATED * min(len(words), len(said)) for said in used):
            return line.text
    return None


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

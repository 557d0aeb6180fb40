"""What a head or a label announces."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

LINE_KINDS = ("responsibilities", "requirements", "preferred")
FACT_KINDS = ("company", "employment_type", "experience", "location", "deadline")
_LONGEST = 45
_LONGEST_FACT = 150
_SHORT_WORD = 2
_FUZZY_LENGTH = 4
"""Shortest Hangul head in which one misread syllable is forgiven."""

_NOISE = re.compile(r"[\W_]+")
_ASIDE = re.compile(r"[(（\[【<「]([^)）\]】>」]*)[)）\]】>」]?")
_SPLIT = re.compile(r"\s*(?:[/|&+,·・ㆍ]|\s및\s|\band\b|\s-\s|–)\s*")
_NUMBERED = re.compile(r"^\s*[\[(]?\d{1,2}[.)\]]\s*")
_ENDINGS = ("은", "는", "이란", "안내", "상세", "요약")
_COMMON = re.compile(
    r"공통|전\s*직무|전\s*부문|모든\s*(?:직무|부문|포지션)|\ball (?:positions|roles)\b|\bgeneral\b",
    re.IGNORECASE,
)
_COMMON_PREFIX = re.compile(r"^(?:공통|전직무|전부문|모든직무|모든부문|모든포지션)(?:적용)?(?=.)")


@dataclass(frozen=True, slots=True)
class Head:
    """What stands under a head. `kinds` in the order named; `common`: it says it holds for all."""

    kinds: tuple[str, ...]
    common: bool = False

    @property
    def lines(self) -> bool:
        """Whether the lines of a position stand under it."""
        return self.kinds[0] in LINE_KINDS


def _load() -> tuple[dict[str, str], dict[str, str]]:
    path = Path(__file__).parent.parent / "data" / "heads.yaml"
    listed: dict[str, list[str]] = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    exact = {_key(head): kind for kind, lines in listed.items() for line in lines for head in line.split("|")}
    fuzzy: dict[str, set[str]] = {}
    for head, kind in exact.items():
        if len(head) >= _FUZZY_LENGTH and "가" <= head[0] <= "힣":
            for place in range(len(head)):
                fuzzy.setdefault(_without(head, place), set()).add(kind)
            # 지 and ㅣ before a head are taken for a bullet by those who read pictures.
            fuzzy.setdefault(head[1:], set()).add(kind)
    return exact, {pattern: kinds.pop() for pattern, kinds in fuzzy.items() if len(kinds) == 1}


def _key(text: str) -> str:
    return _NOISE.sub("", text).casefold()


def _without(word: str, place: int) -> str:
    return f"{word[:place]}?{word[place + 1 :]}"


_EXACT, _FUZZY = _load()


@lru_cache(maxsize=8192)
def head(text: str) -> Head | None:
    """Returns what a line announces when it is a head and nothing more, None otherwise."""
    bare = _NUMBERED.sub("", text.strip())
    if len(bare) > _LONGEST or "\n" in bare:
        return None
    common = _COMMON.search(bare) is not None
    if (kind := _kind(bare)) is not None:
        return Head((kind,), common)
    aside = _ASIDE.search(bare)
    if aside is not None:
        outside = _ASIDE.sub("", bare)
        inside = _kind(aside[1])
        kind = _kind(outside) if _key(outside) else inside
        if kind is not None:
            # 자격요건 (우대): the aside narrows it. 담당업무 (Duties): it repeats it.
            narrowed = inside if kind == "requirements" and inside == "preferred" else kind
            return Head((narrowed,), common)
    parts = [part for part in _SPLIT.split(bare) if _key(part)]
    kinds = tuple(dict.fromkeys(kind for part in parts if (kind := _kind(part)) is not None))
    unknown = [part for part in parts if _kind(part) is None]
    # 접수기간 및 방법: a word beside what is known takes nothing from it.
    told = kinds and _kind(parts[0]) is not None and all(len(_key(part)) <= _SHORT_WORD for part in unknown)
    return Head(kinds, common) if told else None


def label(text: str) -> tuple[Head, str] | None:
    """Splits `근무지: 서울` into what the label announces and its value, None when it is no such line."""
    for match in re.finditer(r"[:：|]|\s{2,}|\t", text[: _LONGEST + 1]):
        named = head(text[: match.start()]) if _key(text[: match.start()]) else None
        if named is not None:
            return named, text[match.end() :].strip(" :：|")
    bracketed = re.match(r"\s*[\[【<(]([^\]】>)]{2,20})[\]】>)]\s*(\S.*)$", text)
    if bracketed is not None and (named := head(bracketed[1])) is not None:
        return named, bracketed[2]
    spaced = re.match(r"[\W_]*(\S{3,})\s+((?!및|와|과)\S.*)$", text[:_LONGEST_FACT])
    kind = _EXACT.get(_key(spaced[1])) if spaced is not None else None
    if spaced is not None and kind in ("deadline", "location", "employment_type"):
        return Head((kind,)), spaced[2]
    return None


def _kind(text: str) -> str | None:
    key = _key(text)
    for candidate in (key, _COMMON_PREFIX.sub("", key)):
        for ending in ("", *_ENDINGS):
            stem = candidate.removesuffix(ending) if ending else candidate
            if stem in _EXACT:
                return _EXACT[stem]
    if len(key) >= _FUZZY_LENGTH - 1 and key in _FUZZY:
        return _FUZZY[key]
    if len(key) >= _FUZZY_LENGTH and all("가" <= letter <= "힣" for letter in key):
        near = {kind for place in range(len(key)) if (kind := _FUZZY.get(_without(key, place)))}
        if len(near) == 1:
            return near.pop()
    return None

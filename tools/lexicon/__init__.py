"""The skills that a text names, by dictionary: "React와 k8s 경험" names React and Kubernetes.

The dictionary is `skills.yaml` beside this file. Aliases are matched from the beginning of a word,
the longest first, and a Latin alias may be followed by a Korean particle but by no other letter, so
"JavaScript" is never Java and "React를" is React. A name that is an everyday English word too (React, Go,
CAN, Excel) counts where its surroundings make it one: "React, Vue" and "Go 언어", not "react quickly".
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from tools.core.text import clean, folded

__all__ = ["KIND_OF", "canonical", "find_skills", "skills_in", "skills_of_kind", "spellings"]

_END = ""
_FULL_WIDTH = {ord("！") + place: ord("!") + place for place in range(ord("~") - ord("!") + 1)}
_WORD_START = re.compile(r"(?<![a-z0-9.#+])[a-z0-9.]|(?<![가-힣])[가-힣]")
_MAX_CHARS = 20_000
# A short alias in Hangul ("자바", "도커") is a word of its own only with a particle or one of these
# behind it; a longer one ("쿠버네티스") is safe in front of anything.
_TAIL = re.compile(
    r"(?:[은는이가을를와과로의에도등및나]|으로|에서|이나|기반|환경|개발|활용|사용|언어|경험|서버|엔진|이미지|컨테이너|코드)|(?![가-힣])"
)
# "C" and "R" are letters first: they count between separators, or before 언어 and its like.
_LETTER_BEFORE = re.compile(r"(?:^|[,/·(]\s*|[,/·]\s?|\b(?:in|with|using)\s)$", re.I)
_LETTER_AFTER = re.compile(
    r"\s*(?:[,/·)]|언어|프로그래밍|개발|programming|language|등|기반|(?:나|또는|or|and)\s)", re.I
)
# What makes a name of an everyday word: items of a list on both sides, Korean, or its trade.
_LISTED_BEFORE = re.compile(r"(?:^|[\n,/·(|;:+&•\[]\s*|\s-\s)$")
_LISTED_AFTER = re.compile(r"\s*(?:$|[\n,/·)|;+&•\]]|\.(?![a-z]))")
_KOREAN_BEFORE = re.compile(r"[가-힣]\s?$")
_KOREAN_AFTER = re.compile(r"\s?[가-힣]")
_LATIN_AFTER = re.compile(r"\s+[a-z]", re.I)
_USED_BEFORE = re.compile(r"\b(?:(with|using)|in|use|like|via|over|on|know|knows)\s+$", re.I)
_TRADE_AFTER = re.compile(
    r"\s+(?:language|programming|develop(?:er|ment)|engineer|services?|back-?end|front-?end|server|code(?:base)?"
    r"|framework|library|components?|hooks?|apps?|applications?|APIs?|modules?|drivers?|bus|protocol|networks?"
    r"|sheets?|spreadsheets?|charts?|clusters?|experience|skills?|functions?|script(?:s|ing)?|platforms?"
    r"|knowledge|proficiency|preferred|required)\b",
    re.I,
)
_JOINED_AFTER = re.compile(r"\s+(?:and|or)\s+(?=[A-Z]|similar|other|equivalent)")
_SENTENCE_BEFORE = re.compile(r"(?:^|[\n.!?:;•]\s*|\s-\s)$")
_SENTENCE_AFTER = re.compile(r"\s+[a-z]")
_COMPOUND_AFTER = re.compile(r"-(?!based|native|powered|style)[a-z]", re.I)
_CONTEXT = 12


class _Match:
    """A dictionary entry at the end of a path of letters.

    `everyday` is its spelling if it is an English word besides.
    """

    __slots__ = ("everyday", "exact", "name")

    def __init__(self, name: str, exact: str | None, everyday: str | None) -> None:
        self.name = name
        self.exact = exact
        self.everyday = everyday


def _load() -> tuple[dict[str, str], dict[str, Any], dict[str, str]]:
    listed: dict[str, list[str]] = yaml.load(
        (Path(__file__).parent / "skills.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
    )
    kinds: dict[str, str] = {}
    trie: dict[str, Any] = {}
    names: dict[str, str] = {}
    for kind, lines in listed.items():
        for line in lines:
            aliases = [alias.strip() for alias in line.split("|")]
            name = aliases[0].lstrip("~=")
            kinds[name] = kind
            for alias in aliases:
                plain = alias.lstrip("~=")
                exact = plain if "=" in alias[:2] else None
                everyday = plain if alias.startswith("~") else None
                names.setdefault(_key(plain), name)
                for spelling in {plain, plain.replace(" ", ""), plain.replace(" ", "-")}:
                    node = trie
                    for letter in spelling.lower():
                        node = node.setdefault(letter, {})
                    node.setdefault(_END, []).append(_Match(name, exact, everyday))
    return kinds, trie, names


@lru_cache(maxsize=8192)
def _key(word: str) -> str:
    return re.sub(r"[\s\-_]", "", folded(word)).lower()


KIND_OF, _TRIE, _NAMES = _load()
"""KIND_OF: the kind of every skill (`language`, `backend`, `database`, …), by canonical name."""


def skills_of_kind(*kinds: str) -> list[str]:
    """Returns the canonical names of these kinds, in the dictionary's order."""
    return [name for name, kind in KIND_OF.items() if kind in kinds]


def spellings() -> list[str]:
    """Returns every spelling of every skill, in lower case and without spaces."""
    return list(_NAMES)


def canonical(word: str) -> str:
    """Returns the canonical name of a skill written alone ("k8s" gives Kubernetes), else the word."""
    return _NAMES.get(_key(word), word.strip())


def find_skills(text: str) -> list[str]:
    """Returns the canonical names of the skills that `text` names, in order of first appearance.

    Only the first 20,000 characters are read.
    """
    return list(_find(clean(text[:_MAX_CHARS]).translate(_FULL_WIDTH)))


@lru_cache(maxsize=16_384)
def skills_in(text: str) -> frozenset[str]:
    """Returns the skills that a text names, as `find_skills`; of a text that was asked for before without a
    call of Python."""
    return frozenset(find_skills(text))


@lru_cache(maxsize=4096)
def _find(text: str) -> tuple[str, ...]:
    lower = text.lower()
    if len(lower) != len(text):  # a few letters change length in lower case; keep the offsets true
        text = lower
    found: dict[str, None] = {}
    end = 0
    for start in _WORD_START.finditer(lower):
        at = start.start()
        if at < end:
            continue
        match, stop = _longest(text, lower, at)
        if match is not None:
            found[match] = None
            end = stop
    return tuple(found)


def _longest(text: str, lower: str, at: int) -> tuple[str | None, int]:
    node = _TRIE
    best: tuple[str | None, int] = (None, at)
    for position in range(at, len(lower)):
        if lower[position] not in node:
            break
        node = node[lower[position]]
        for match in node.get(_END, ()):
            if _bounded(text, lower, at, position + 1, match.exact) and (
                match.everyday is None or _is_name(text, at, position + 1, match.everyday)
            ):
                best = (match.name, position + 1)
                break
    return best


def _bounded(text: str, lower: str, start: int, end: int, exact: str | None) -> bool:
    if exact is not None and text[start:end] != exact:
        return False
    length = end - start
    after = lower[end] if end < len(lower) else " "
    if length == 1:
        alone = lower[start - 1 : start] in ("", "\n") and lower[end : end + 1] in ("", "\n")
        return bool(alone or _LETTER_AFTER.match(lower, end) or _ends_list(lower, start, after))
    if "가" <= lower[end - 1] <= "힣":
        return length > 2 or _TAIL.match(lower, end) is not None  # noqa: PLR2004
    if after.isascii() and after.isalnum():
        # "Java17" and "Vue3" are versions; "S3x" is another word.
        rest = lower[end : end + 4].rstrip(".,) ")
        return length > 2 and after.isdigit() and not re.match(r"\d+[a-z]", rest)  # noqa: PLR2004
    return after not in "+#"


def _is_name(text: str, start: int, end: int, spelling: str) -> bool:
    """Whether an everyday word stands for the skill: written as a name, or among names.

    A capital in the middle of a sentence makes a name, unless all letters are capitals, which may be stress.
    """
    before = text[max(0, start - _CONTEXT) : start]
    if _COMPOUND_AFTER.match(text, end):
        return False
    opens, closes = _LISTED_BEFORE.search(before) is not None, _LISTED_AFTER.match(text, end) is not None
    used = _USED_BEFORE.search(before)
    if (closes and (opens or (used and used[1] is not None))) or _KOREAN_AFTER.match(text, end):
        return True
    if _KOREAN_BEFORE.search(before) and not _LATIN_AFTER.match(text, end):
        return True
    if text[start:end] != spelling:
        return False
    if used or _TRADE_AFTER.match(text, end) or _JOINED_AFTER.match(text, end):
        return True
    if closes and before.rstrip().endswith((" and", " or")):
        return True
    begins = _SENTENCE_BEFORE.search(before) is not None
    return not spelling.isupper() and (not begins or _SENTENCE_AFTER.match(text, end) is None)


def _ends_list(lower: str, start: int, after: str) -> bool:
    return (
        after in "\n ,.)"
        and _LETTER_BEFORE.search(lower[max(0, start - 6) : start]) is not None
        and start > 0
    )

"""What a text says is not wished or not known: "DevOps 말고 백엔드", "React는 써 본 적이 없습니다", "no
React".

A text is read clause by clause. A clause that denies (cannot, does not want, has never used) is refused as a
whole; a clause that names something beside another ("X 말고 Y", "Y rather than X") loses that part alone.
What describes the work ("끊기지 않는", "without downtime") is no refusal. The words are in `negation.yaml`.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tools.lexicon import skills_in

_PATTERNS: dict[str, Any] = yaml.load(
    (Path(__file__).parent / "negation.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
)


def _joined(name: str) -> re.Pattern[str]:
    return re.compile("|".join(_PATTERNS[name]), re.I)


_CLAUSE_END = _joined("clause_ends")
_DENIED = _joined("denied")
_INSTEAD = _joined("instead")
_OF_NAMES = _joined("of_names")
_TRADES = _joined("trades")
_SPACES = re.compile(r"\s{2,}")


class Wanted(NamedTuple):
    """A text without what it refuses, and the refused words."""

    text: str
    refused: str


@lru_cache(maxsize=4096)
def without_refused(text: str) -> Wanted:
    """Returns the text without what it refuses: nothing, of a text that only refuses."""
    refused: list[str] = []

    def take(match: re.Match[str]) -> str:
        refused.append(match[0])
        return " "

    def take_names(match: re.Match[str]) -> str:
        # "without downtime" and "no meetings" say nothing of a trade.
        return take(match) if skills_in(match[0]) or _TRADES.search(match[0]) else match[0]

    lines = []
    for line in (_SPACES.sub(" ", line) for line in text.split("\n")):
        rest = _OF_NAMES.sub(take_names, _INSTEAD.sub(take, line))
        kept, start = [], 0
        for end in (*(match.end() for match in _CLAUSE_END.finditer(rest)), len(rest)):
            clause = rest[start:end]
            start = end
            if _DENIED.search(clause):
                refused.append(clause)
            else:
                kept.append(clause)
        lines.append(_SPACES.sub(" ", "".join(kept)).strip(" ,;("))
    return Wanted("\n".join(line for line in lines if line), " ".join(part.strip(" ,()") for part in refused))

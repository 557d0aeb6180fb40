"""The words of a line that say something, in Korean and English, without a morphological analyser.

Particles and endings are taken off by rule and words of every posting are left out. It is coarse, costs some
microseconds a line, and serves to find out whether two texts speak of the same.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import yaml

_TOKEN = re.compile(r"[a-z][a-z0-9.+#]*|[가-힣]+")
_ENDING = re.compile(
    r"(?:하(?:시는|신|는|며|고|여|실)|되는|된|할|한|을|를|은|는|이|가|에서|에게|에|으로|로|와|과|의|도|및|부터|까지|이나|들|이며|하기|해본)$"
)
WORDS = yaml.load((Path(__file__).parent / "words.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
"""The lists of `words.yaml`."""
_EMPTY = frozenset(WORDS["empty"])
COMMON = frozenset(WORDS["common"])
"""Words that lines of every kind share: two of them do not make two lines alike."""
EVERYDAY_SKILLS = frozenset(WORDS["everyday_skills"])
"""Skills that are asked for often, but that no project is done to show (Git, Jira)."""


@lru_cache(maxsize=16_384)
def stems(line: str) -> frozenset[str]:
    """Returns the content words of a line, in lower case, with Korean particles and endings taken off."""
    found = set()
    for token in _TOKEN.findall(line.lower()):
        stem = token.rstrip(".")
        if stem[0] >= "가":
            for _ in range(2):
                cut = _ENDING.sub("", stem)
                if len(cut) < 2 or cut == stem:  # noqa: PLR2004
                    break
                stem = cut
        if len(stem) > 1 and stem not in _EMPTY:
            found.add(stem)
    return frozenset(found)

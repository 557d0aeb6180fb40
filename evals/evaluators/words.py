"""The word lists of the evaluators (`words.yaml`), as they are and as patterns."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

_LISTS: dict[str, Any] = yaml.load(
    Path(__file__).with_name("words.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
)


def words(name: str) -> frozenset[str]:
    """Returns the words of a list; `filler.ko_what` is the list `ko_what` of `filler`."""
    return frozenset(_listed(name))


def implied(skill: str) -> list[str]:
    """Returns the skills that somebody has who has `skill`, in lower case."""
    return [name.replace("_", " ") for name in str(_LISTS["implied"].get(skill, "")).split()]


def one_of(name: str) -> str:
    """Returns a pattern for one of a list's words."""
    return "(?:" + "|".join(re.escape(word).replace("_", " ?") for word in _listed(name)) + ")"


@cache
def part(name: str) -> re.Pattern[str]:
    """Returns a list as a compiled pattern of any case, for words that may stand anywhere in a text."""
    return re.compile(one_of(name), re.IGNORECASE)


def _listed(name: str) -> list[str]:
    found: Any = _LISTS
    for key in name.split("."):
        found = found[key]
    return str(found).split()

"""The phrase banks under `bank/`, and how lines are chosen from them without repeating themselves."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeAlias

import yaml

BANK = Path(__file__).parent / "bank"

TOO_ALIKE = 0.3
"""Share of common letter pairs above which two lines say the same thing."""
MAX_SKILLS = 8

Sheet: TypeAlias = dict[str, Any]
"""A bank file as YAML gives it."""


def number_of(seed: str) -> int:
    """A number that depends on nothing but the seed."""
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big")


def _pairs(line: str) -> set[str]:
    letters = re.sub(r"[\s,.·()]|경험|Experience with", "", line)
    return {letters[i : i + 2] for i in range(len(letters) - 1)}


def _alike(a: str, b: str) -> bool:
    pairs_a, pairs_b = _pairs(a), _pairs(b)
    return len(pairs_a & pairs_b) > TOO_ALIKE * len(pairs_a | pairs_b)


def names_any(line: str, words: Iterable[str]) -> bool:
    """Whether the line contains one of the words; a word of one letter must stand alone."""
    return any(word in (line if len(word) > 1 else line.split()) for word in words)


class Picker:
    """Hands out lines so that all of a bank get used about equally often."""

    def __init__(self) -> None:
        self._uses: Counter[str] = Counter()

    def take(self, lines: Iterable[str], count: int, seed: str, taken: list[str]) -> None:
        """Append up to `count` lines to `taken`, none of them like one that is there already."""
        wanted = len(taken) + count
        for line in sorted(lines, key=lambda line: (self._uses[line], number_of(seed + line))):
            if len(taken) >= wanted:
                return
            if not any(_alike(line, other) for other in taken):
                taken.append(line)
                self._uses[line] += 1


class Bank:
    """The phrase banks, read once."""

    def __init__(self, folder: Path = BANK) -> None:
        families = [self._read(path) for path in sorted((folder / "families").glob("*.yaml"))]
        self.families: dict[str, Sheet] = {sheet["family"]: sheet for sheet in families}
        self.industries = {path.stem: self._read(path) for path in (folder / "industries").glob("*.yaml")}
        self._companies = [self._read(path) for path in sorted((folder / "companies").glob("*.yaml"))]
        self.newcomers = self._read(folder / "newcomers.yaml")
        self.overlaps = self._read(folder / "overlaps.yaml")
        self.reposts = self._read(folder / "reposts.yaml")
        self.tricky = self._read(folder / "tricky.yaml")
        stacks = [stack for sheet in families for stack in sheet["stacks"].values()]
        skills = {skill for stack in stacks for skill in stack["skills"] if skill.isascii()}
        self._vocabulary = sorted(skills, key=lambda skill: (-len(skill), skill))

    @staticmethod
    def _read(path: Path) -> Any:
        return yaml.safe_load(path.read_text(encoding="utf-8"))

    def companies_writing(self, language: str) -> list[Sheet]:
        """The company files whose postings are in that language."""
        return [sheet for sheet in self._companies if sheet.get("language", "ko") == language]

    def industry_of(self, company: str) -> str:
        """The industry of a company, named as its file under `bank/industries/`."""
        for sheet in self._companies:
            for entry in sheet["companies"]:
                if entry["name"] == company:
                    return str(entry.get("industry") or sheet["industry"])
        raise KeyError(company)

    def skills(self, stack: list[str], text: str) -> list[str]:
        """The stack's first skills, then those the text names, then the rest of the stack."""
        named = []
        for skill in self._vocabulary:
            pattern = rf"(?<![A-Za-z0-9]){re.escape(skill)}(?![A-Za-z0-9+#/])"
            text, hits = re.subn(pattern, " ", text)
            if hits:
                named.append(skill)
        return list(dict.fromkeys([*stack[:3], *sorted(named), *stack[3:]]))[:MAX_SKILLS]

"""Labelled pairs: two projects for one person, and which of them people find better."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from evals.judge.judge import Setting, Side
from tools.contracts import Language, Profile, Project

PAIRS = Path(__file__).resolve().parent.parent / "datasets" / "judge_pairs.jsonl"


class LabelledPair(BaseModel):
    """One pair. `trap` is what the worse project has that could take a judge in: more words, praise for
    itself, a list of fashionable names, a place."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    language: Language
    profile: dict[str, Any]
    wishes: dict[str, Any] = {}
    postings: dict[str, dict[str, Any]]
    a: dict[str, Any]
    b: dict[str, Any]
    better: Side
    why: str
    trap: Literal["verbosity", "praise", "names", "injection", "position"] | None = None

    def setting(self) -> Setting:
        """For whom the two projects are."""
        return Setting(self.language, self.profile, self.postings, self.wishes)


def read_pairs(path: Path = PAIRS) -> list[LabelledPair]:
    """Reads labelled pairs from lines of JSON; blank lines are passed over.

    Raises:
        pydantic.ValidationError: a line is no pair, or its profile or a project is none.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = [LabelledPair.model_validate_json(line) for line in lines if line.strip()]
    for pair in pairs:
        Profile.model_validate(pair.profile)
        Project.model_validate(pair.a)
        Project.model_validate(pair.b)
    return pairs

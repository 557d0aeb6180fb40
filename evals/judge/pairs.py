"""Labelled pairs: two projects for one person, and which of them people find better."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from evals.datasets.cases import DATASETS, Record, read_records
from evals.judge.judge import Setting, Side
from tools.postings.contracts import Language, Profile, Project

PAIRS = DATASETS / "judge_pairs.jsonl"


class LabelledPair(Record):
    """One pair. `trap` is what the worse project has that could take a judge in: more words, praise for
    itself, a list of fashionable names, a place."""

    language: Language
    profile: dict[str, Any]
    wishes: dict[str, Any] = Field({})
    postings: dict[str, dict[str, Any]]
    a: dict[str, Any]
    b: dict[str, Any]
    better: Side
    why: str
    trap: Literal["verbosity", "praise", "names", "injection", "position"] | None = None

    @model_validator(mode="after")
    def _of_somebody(self) -> LabelledPair:
        Profile.model_validate(self.profile)
        for project in (self.a, self.b):
            Project.model_validate(project)
        return self

    def setting(self) -> Setting:
        """For whom the two projects are."""
        return Setting(self.language, self.profile, self.postings, self.wishes)


def read_pairs(path: Path = PAIRS) -> list[LabelledPair]:
    """Returns the labelled pairs of a file.

    Raises:
        InvalidRequestError: a line is no pair, or its profile or a project is none.
    """
    return read_records(path, LabelledPair)

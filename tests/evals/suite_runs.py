"""Runs of suites, as the tests of the evals make them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from evals.runs.experiment import Progress
from evals.runs.results import CaseResult, Header, Result, read
from evals.runs.suites import RunOptions, run_suite
from tools.core.settings import Settings

THIN = "backend-ko-thin-1"
"""A case without regenerations."""
TWO_TURNS = "mobile-ko-ios-junior-1"
ENGLISH = "backend-en-student-go-1"
"""A case of one regeneration."""


class Told(Progress):
    """Keeps what it is told; `first` is set when a case is done."""

    def __init__(self) -> None:
        self.header: Header | None = None
        self.done_cases: list[str] = []
        self.url = ""
        self.first = asyncio.Event()

    def started(self, header: Header, path: Path) -> None:
        self.header = header

    def case_done(self, result: CaseResult) -> None:
        self.done_cases.append(result.case_id)
        self.first.set()

    def uploaded_to(self, url: str) -> None:
        self.url = url


async def ran(settings: Settings, folder: Path, *cases: str, **wanted: Any) -> Result:
    """Runs cases, or a suite, and returns what is in the file."""
    path = await run_suite(settings, RunOptions(cases=cases, folder=folder, **wanted), Told())
    return read(path)


def scores(result: Result, key: str) -> list[float | None]:
    """The scores of a metric, in the file's order."""
    return [score.score for case in result.cases for score in case.scores if score.key == key]

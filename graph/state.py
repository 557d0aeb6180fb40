"""The state of a session: JSON primitives only, because the Redis saver gives no richer type back."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypeVar

from typing_extensions import TypedDict

from nodes.state import (
    AnswerWarningDict,
    Draft,
    ProfileDict,
    ProjectDict,
    Relevant,
    Retrieved,
    SubjectDict,
    Subjects,
    SummaryDict,
    Turn,
)
from tools.core.contracts import Language

T = TypeVar("T")
MOST_REFUSED = 60
"""Titles of proposals that were refused: what a prompt shows of them costs some 20 tokens each."""


def append_new(kept: list[SubjectDict], more: list[SubjectDict]) -> list[SubjectDict]:
    """Reducer: appends the subjects whose id is not there yet, so a repeated turn adds nothing."""
    known = {subject["id"] for subject in kept}
    new = {subject["id"]: subject for subject in more if subject["id"] not in known}
    return [*kept, *new.values()]


def append_titles(kept: list[str], more: list[str]) -> list[str]:
    """Reducer: appends the titles that are not there yet, and keeps the newest `MOST_REFUSED`."""
    return list(dict.fromkeys([*kept, *more]))[-MOST_REFUSED:]


def append(kept: list[T], more: list[T]) -> list[T]:
    """Reducer: appends."""
    return [*kept, *more]


def merge(kept: dict[str, T], more: dict[str, T]) -> dict[str, T]:
    """Reducer: the newer value of each key wins."""
    return {**kept, **more}


class Request(TypedDict):
    """What a fresh run starts with."""

    profile: ProfileDict
    language: Language
    turn: NotRequired[Turn]


class State(TypedDict):
    """Everything a session knows. Which node writes what stands in each node's docstring."""

    profile: ProfileDict
    language: Language
    turn: Turn
    query: str
    """The text that is searched for."""
    retrieved: list[Retrieved]
    relevant: Relevant
    summary: SummaryDict
    draft: Draft
    subjects: Subjects
    rejected: Annotated[list[SubjectDict], append_new]
    """Every subject that was shown and not chosen: not to be proposed again."""
    chosen: Annotated[list[SubjectDict], append_new]
    """Every candidate that was chosen: not rejected, and not to be proposed again."""
    refused: Annotated[list[str], append_titles]
    """Titles of proposals that said an earlier subject in other words, and were never shown: the model is
    told of them, or it would propose them in each turn again."""
    fingerprints: Annotated[dict[str, str], merge]
    """A small embedding of each earlier subject, by id, for the check of what repeats."""
    project: ProjectDict
    history: Annotated[list[ProjectDict], append]
    """Every project of the session, oldest first."""
    omitted_postings: Annotated[dict[str, list[str]], merge]
    """By node, the ids of the postings for which its last prompt had no room; none for most."""
    warnings: Annotated[dict[str, list[AnswerWarningDict]], merge]
    """By node, what checks found in its last answer and the model could not put right."""
    versions: Annotated[dict[str, Any], merge]
    """By node, what made its part: prompt, model, corpus."""

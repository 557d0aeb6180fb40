"""The state of a session: JSON primitives only, because the Redis saver gives no richer type back."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from typing_extensions import TypedDict

from tools.postings.contracts import Language


def append_new(kept: list[dict[str, Any]], more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Reducer: appends the subjects whose id is not there yet, so a repeated turn adds nothing."""
    known = {subject["id"] for subject in kept}
    new = {subject["id"]: subject for subject in more if subject["id"] not in known}
    return [*kept, *new.values()]


def append(kept: list[dict[str, Any]], more: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Reducer: appends."""
    return [*kept, *more]


def merge(kept: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Reducer: the newer value of each key wins."""
    return {**kept, **more}


class Request(TypedDict):
    """What a fresh run starts with."""

    profile: dict[str, Any]
    language: Language
    turn: NotRequired[dict[str, Any]]
    """What was asked of this turn: `chosen` (a subject), `difficulty`, `skills`, `feedback`, and the
    `key` of an idempotent request."""


class State(Request):
    """Everything a session knows. Which node writes what stands in each node's docstring."""

    query: str
    retrieved: list[dict[str, Any]]
    relevant: dict[str, Any]
    summary: dict[str, Any]
    draft: dict[str, Any]
    """Subjects of an unfinished proposal: `passed`, `problems`, `attempts`; empty when none is."""
    subjects: dict[str, Any]
    """`current`, `candidates`, and how many are `missing`."""
    rejected: Annotated[list[dict[str, Any]], append_new]
    fingerprints: Annotated[dict[str, str], merge]
    """A small embedding of each earlier subject, by id, for the check of what repeats."""
    chosen: Annotated[list[dict[str, Any]], append_new]
    """Every candidate that was chosen: not rejected, and not to be proposed again."""
    project: dict[str, Any]
    history: Annotated[list[dict[str, Any]], append]
    left_out: Annotated[dict[str, list[str]], merge]
    """By node, the ids of the postings for which its last prompt had no room; none for most."""
    versions: Annotated[dict[str, Any], merge]

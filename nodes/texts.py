"""How postings and profiles are written into a prompt."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tools.contracts import StoredPosting


def excerpt(text: str, limit: int) -> str:
    """Returns the first lines of `text` that fit into `limit` characters.

    The line that no longer fits is left out, unless more than half of the room would stay empty:
    then it is cut after its last sentence that fits, or else after its last word.
    """
    kept: list[str] = []
    room = limit
    for line in text.splitlines():
        if len(line) > room:
            if room > limit / 2:
                kept.append(_cut(line, room))
            break
        kept.append(line)
        room -= len(line) + 1
    return "\n".join(kept)


def _cut(line: str, limit: int) -> str:
    head = line[: limit + 1]
    sentence = head.rfind(". ") + 1
    word = head.rfind(" ")
    return (line[: sentence or word] if max(sentence, word) > 0 else line[:limit]).rstrip()


def posting_rows(postings: Iterable[StoredPosting], limit: int) -> list[dict[str, Any]]:
    """Returns one row a posting for a fence; each of its three texts has at most `limit` characters."""
    return [
        {
            "posting_id": posting.posting_id,
            "company": posting.company,
            "job_title": posting.job_title,
            "responsibilities": excerpt(posting.responsibilities, limit),
            "requirements": excerpt(posting.requirements, limit),
            "preferred": excerpt(posting.preferred, limit),
            "skills": posting.skills,
        }
        for posting in postings
    ]


def profile_row(profile: dict[str, Any]) -> dict[str, Any]:
    """Returns the profile for a fence, without what was left empty at any depth."""
    return {
        key: [profile_row(item) if isinstance(item, dict) else item for item in value]
        if isinstance(value, list)
        else value
        for key, value in profile.items()
        if value not in (None, "", [])
    }


def turn_row(state: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is asked of this turn for a fence: the job, what the market rests on, the wishes."""
    turn = state["turn"]
    return {
        "desired_job": state["profile"]["desired_job"],
        "language": state["language"],
        "kept_postings": len(state["relevant"]["kept"]),
        "closest_only": state["relevant"].get("closest_only", False),
        "difficulty": turn.get("difficulty"),
        "skills": turn.get("skills", []),
        "feedback": turn.get("feedback"),
    }

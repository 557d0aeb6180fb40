"""How postings and profiles are written into a prompt."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tools.contracts import StoredPosting


def excerpt(text: str, limit: int) -> str:
    """Returns the first whole lines of `text` that fit into `limit` characters.

    A first line that is too long by itself is cut at its last sentence or word that fits.
    """
    kept: list[str] = []
    used = 0
    for line in text.splitlines():
        used += len(line) + 1
        if used > limit + 1:
            break
        kept.append(line)
    if kept:
        return "\n".join(kept)
    head = text[:limit]
    end = max(head.rfind(". "), head.rfind("다. "), head.rfind(" "))
    return head[: end + 1].rstrip() if end > 0 else head


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
    """Returns the profile for a fence, without what was left empty."""
    return {key: value for key, value in profile.items() if value not in (None, "", [])}

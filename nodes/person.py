"""What a profile says of a person, as checks compare it with answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tools.lexicon import skills_in
from tools.lexicon.negation import without_refused
from tools.lexicon.stems import EVERYDAY_SKILLS

_MAIN_SKILLS = 6
"""Skills of the profile, in the person's order, that a project uses or says why not."""


def main_skills(profile: Mapping[str, Any]) -> list[str]:
    """Returns the skills that the person puts first, as they are written there: of those that the lexicon
    knows, without what everybody has. What else stands in a list of skills asks for nothing."""
    first = (profile.get("skills") or [])[:_MAIN_SKILLS]
    return [name for name in first if skills_in(name) - EVERYDAY_SKILLS]


def known_skills(profile: Mapping[str, Any]) -> frozenset[str]:
    """Returns the canonical names of what the person can do: what the lists of skills name, and what the jobs
    so far speak of, but for what they say was not used. The introduction does not count: it also says what
    somebody cannot do yet."""
    listed = [*(profile.get("skills") or [])]
    for project in profile.get("projects") or []:
        listed += project.get("skills") or []
    for job in profile.get("experiences") or []:
        listed += (without_refused(told).text for told in (job.get("role"), job.get("description")) if told)
    return frozenset().union(*map(skills_in, listed))


def uses(name: str, skills: frozenset[str], text: str) -> bool:
    """Whether a work that uses `skills` (canonical names) and is described by `text` uses what `name` names:
    one of its skills, or `name` itself letter for letter."""
    return bool(skills & skills_in(name)) or "".join(name.lower().split()) in "".join(text.lower().split())

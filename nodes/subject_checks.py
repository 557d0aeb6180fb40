"""Whether a proposed subject fits the person and the market: what can be checked by rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nodes.findings import Finding
from nodes.market_claims import untrue
from nodes.person import known_skills, main_skills, uses
from nodes.posting_lines import named_in
from nodes.state import SubjectDict
from tools.core.text import texts
from tools.lexicon import skills_in
from tools.lexicon.likeness import spoken_for
from tools.lexicon.stems import EVERYDAY_SKILLS

_GAPS = 3
"""Of the market's skills that the profile does not show, the most wanted that a subject answers to."""


def fit_findings(
    subject: SubjectDict,
    profile: Mapping[str, Any],
    summary: Mapping[str, Any],
    *,
    kept: int,
    asked_skills: Sequence[str] = (),
) -> list[Finding]:
    """Returns what is wrong with the main subject's fit: wishes, main skills and the market's commonest gaps
    are served, or named as left out with a reason; served wishes are the person's own words.

    Args:
        subject: as the model proposed it.
        profile: the validated profile.
        summary: what the market asks for, with counts.
        kept: postings that the counts are of.
        asked_skills: skills that the person asked for this time.
    """
    told = "\n".join([subject["title"], subject["description"], subject["goal"], *subject["skills"]])
    skills: frozenset[str] = frozenset().union(*map(skills_in, told.split("\n")))
    skills |= spoken_for(skills)
    left = "\n".join(item["name"] for item in subject["not_covered"] if item["reason"].strip())
    left_skills: frozenset[str] = frozenset().union(*map(skills_in, left.split("\n")))

    def covered(name: str) -> bool:
        return uses(name, skills, told) or uses(name, left_skills, left)

    findings = list(_wish_findings(subject, profile, left))
    findings += [
        Finding("skill_not_covered", "skills", name) for name in main_skills(profile) if not covered(name)
    ]
    findings += [
        Finding("gap_not_covered", "skill_gaps", skill, count)
        for skill, count in commonest_gaps(profile, summary, kept)
        if not covered(skill)
    ]
    findings += [Finding("asked_skill_missing", "skills", name) for name in asked_skills if not covered(name)]
    return findings


def commonest_gaps(
    profile: Mapping[str, Any], summary: Mapping[str, Any], kept: int
) -> list[tuple[str, int]]:
    """Returns the skills that at least half of the kept postings ask for and the profile does not show, with
    how many do, the most wanted first."""
    known = known_skills(profile)
    known |= spoken_for(known)
    return [
        (line["text"], line["count"])
        for line in summary.get("skills") or []
        if line["count"] * 2 >= kept
        and line["text"] not in EVERYDAY_SKILLS
        and not known & skills_in(line["text"])
    ][:_GAPS]


def count_findings(subjects: Sequence[SubjectDict], summary: Mapping[str, Any], kept: int) -> list[Finding]:
    """Returns the gaps whose number of postings is not that of the summary."""
    return [
        Finding("count_untrue", "skill_gaps", sentence)
        for subject in subjects
        for gap in subject["skill_gaps"]
        for sentence in untrue(f"{gap['skill']}: {gap['reason']}", summary, kept)
    ]


def _wish_findings(subject: SubjectDict, profile: Mapping[str, Any], left: str) -> Iterator[Finding]:
    own_words = "\n".join(texts(profile))
    served = "\n".join(subject["wishes"])
    if not subject["wishes"]:
        yield Finding("no_wish", "wishes")
    for wish in subject["wishes"]:
        if not named_in([wish], own_words):
            yield Finding("wish_not_in_profile", "wishes", wish)
    for wish in profile.get("wishes") or []:
        if not named_in([wish], served) and not named_in([wish], left):
            yield Finding("wish_not_covered", "wishes", wish)

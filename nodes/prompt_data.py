"""How postings, subjects and profiles are written into a prompt, and how much of them fits."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from pydantic import BaseModel

from nodes.posting_lines import excerpt, telling_lines, work_texts
from tools.core.fencing import fence
from tools.core.text import cut
from tools.lexicon import skills_in
from tools.lexicon.stems import stems
from tools.llm.token_estimates import estimated_tokens
from tools.postings.contracts import StoredPosting
from tools.prompts.prompt import Prompt

logger = logging.getLogger(__name__)

Row = dict[str, Any]

_SKILLS = 300
"""Characters of a posting's skills: some twenty-five names."""
_INTRODUCED = 300
"""Characters of the introduction that tell somebody's trade."""
_DESCRIBED = 40
"""Of so many earlier subjects, the newest, the description is shown: those of ten turns."""


def posting_rows(postings: Iterable[StoredPosting], limit: int) -> list[Row]:
    """Returns one row a posting for a fence; each of its three texts has at most `limit` characters of
    what tells of the work."""
    return [
        {
            "posting_id": posting.posting_id,
            "company": posting.company,
            "job_title": posting.job_title,
            **{name: excerpt("\n".join(lines), limit) for name, lines in work_texts(posting).items()},
            "skills": _first(posting.normalized_skills, _SKILLS),
        }
        for posting in postings
    ]


def telling_rows(
    postings: Iterable[StoredPosting], about: str, limits: Mapping[str, int], domains: Mapping[str, str]
) -> list[Row]:
    """Returns one row a posting for a fence, with the lines that tell most of what `about` names.

    Args:
        about: the texts of the person, the subject and the market whose skills and words count.
        limits: by posting id, the characters of its lines.
        domains: by posting id, what the company makes, where that is known.
    """
    parts = about.split("\n")
    skills: frozenset[str] = frozenset().union(*map(skills_in, parts))
    words: frozenset[str] = frozenset().union(*map(stems, parts))
    return [
        {
            "posting_id": posting.posting_id,
            "company": posting.company,
            "job_title": posting.job_title,
            **({"domain": domain} if (domain := domains.get(posting.posting_id)) else {}),
            "lines": telling_lines(posting, skills, words, limits[posting.posting_id]),
        }
        for posting in postings
    ]


def _first(words: Sequence[str], limit: int) -> list[str]:
    """Returns the first of `words` that have at most `limit` characters together."""
    left = limit
    for place, word in enumerate(words):
        left -= len(word)
        if left < 0:
            return list(words[:place])
    return list(words)


def remaining_tokens(limit: int, prompt: Prompt, blocks: Mapping[str, str], schema: type[BaseModel]) -> int:
    """Returns the tokens that are left of `limit` for the block that is not yet in `blocks`.

    The schema counts: the API, or the prompt itself, shows it to the model.
    """
    bare = prompt.render(dict.fromkeys(prompt.template.input_variables, ""))
    texts = [*(str(message.content) for message in bare), *blocks.values()]
    return limit - sum(map(estimated_tokens, texts)) - _schema_tokens(schema)


@functools.cache
def _schema_tokens(schema: type[BaseModel]) -> int:
    return estimated_tokens(orjson.dumps(schema.model_json_schema()).decode())


def fit_to_budget(rows: Sequence[Row], tokens: int) -> tuple[list[Row], list[str]]:
    """Returns the postings of `rows` (most relevant first) that fit into `tokens`, and the ids of
    the others, which are the last ones. The first posting is always taken: without any there is
    nothing to ask."""
    used = 0
    for place, row in enumerate(rows):
        used += _row_tokens(row)
        if used > tokens and place == 0:
            logger.warning("the prompt is longer than its limit", extra={"over_by": used - tokens})
        elif used > tokens:
            omitted = [str(row["posting_id"]) for row in rows[place:]]
            logger.warning("postings left out of a prompt that is too long", extra={"left_out": omitted})
            return list(rows[:place]), omitted
    return list(rows), []


def subject_rows(subjects: Sequence[Mapping[str, Any]], titles: Sequence[str], tokens: int) -> list[Row]:
    """Returns what is not to be proposed again as rows for a fence, in `tokens`: `subjects`, newest last, and
    before them those of which only the title is known.

    The newest subjects come with their description, in at most half of that; those before them with their
    title alone; the oldest, and first the bare titles, are left out where there is no room.
    """
    bare = [{"title": title, "description": ""} for title in titles]
    rows: list[Row] = []
    used = 0
    for age, subject in enumerate(reversed([*bare, *subjects])):
        row = {"title": subject["title"], "description": subject["description"]}
        if not row["description"] or age >= _DESCRIBED or used + _row_tokens(row) > tokens / 2:
            del row["description"]
        used += _row_tokens(row)
        if used > tokens:
            logger.warning(
                "earlier subjects left out of the prompt", extra={"left_out": len(bare) + len(subjects) - age}
            )
            break
        rows.append(row)
    return rows[::-1]


def _row_tokens(row: Row) -> int:
    return estimated_tokens(fence("row", row))


def profile_row(profile: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the profile for a fence, without what was left empty at any depth."""
    return {
        key: [profile_row(item) if isinstance(item, dict) else item for item in value]
        if isinstance(value, list)
        else value
        for key, value in profile.items()
        if value not in (None, "", [])
    }


def trade_row(profile: Mapping[str, Any]) -> dict[str, Any]:
    """Returns of the profile for a fence what tells a trade: skills, roles, titles, the beginning of the
    introduction."""
    return profile_row(
        {
            "career_stage": profile.get("career_stage"),
            "skills": profile.get("skills"),
            "experiences": [job.get("role") for job in profile.get("experiences") or [] if job.get("role")],
            "projects": [done.get("title") for done in profile.get("projects") or [] if done.get("title")],
            "introduction": cut(profile.get("introduction") or "", _INTRODUCED),
        }
    )


def summary_row(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the summary for a fence: what is asked for and how often. Which postings ask, and what the
    companies make, is told with the postings."""
    return {
        part: [{"text": line["text"], "count": line["count"]} for line in lines]
        for part, lines in summary.items()
        if part != "domains"
    }


def posting_domains(summary: Mapping[str, Any]) -> dict[str, str]:
    """Returns by posting id what the company makes, where the summary knows it."""
    return {i: line["text"] for line in summary.get("domains") or [] for i in line["posting_ids"]}


def kept_postings(state: Mapping[str, Any]) -> int:
    """Returns of how many postings the summary's counts are: a kept posting that was left out of the
    summary's prompt asks for nothing."""
    unread = state.get("omitted_postings", {}).get("summarize", [])
    return len(state["relevant"]["kept"]) - len(unread)


def turn_row(state: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is asked of this turn for a fence: the job, what the market rests on, the wishes, and
    the project before, which "easier" and "shorter" are measured by."""
    turn, before = state["turn"], state.get("project")
    row = {
        "desired_job": state["profile"]["desired_job"],
        "language": state["language"],
        "kept_postings": kept_postings(state),
        "closest_only": state["relevant"].get("closest_only", False),
        "difficulty": turn.get("difficulty"),
        "skills": turn.get("skills", []),
        "feedback": turn.get("feedback"),
    }
    if weeks := turn.get("weeks"):
        row["weeks"] = weeks
    if before:
        row["before"] = {name: before[name] for name in ("title", "difficulty", "duration_weeks")}
    return row

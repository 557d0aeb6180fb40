"""filter_jobs: which of the retrieved postings are for the desired job."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from langgraph.runtime import Runtime
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from nodes.prompt_data import Row, fit_to_budget, remaining_tokens, telling_rows, trade_row
from nodes.state import JudgedPosting, ProfileDict, Relevant, Retrieved
from tools.context import RunContext
from tools.core.contracts import Language
from tools.core.errors import NoPostingsError
from tools.core.fencing import fence
from tools.postings.contracts import StoredPosting

logger = logging.getLogger(__name__)

_EXCERPT = 250
"""Characters of a posting's lines: a job shows in its title and the lines that name most of the work. Over
1,269 real postings and nine desired jobs the offline model's verdicts are as good as with 1,200 characters of
its texts (F1 .84 against .83)."""
CLOSEST = 5
"""Postings kept when none is for the desired job."""


class Reads(TypedDict):
    """What this node reads of the state."""

    profile: ProfileDict
    language: Language
    retrieved: list[Retrieved]


class Verdict(BaseModel):
    """Whether one posting is for the desired job."""

    posting_id: str
    fits: bool
    reason: str = Field(description="why, in at most one short sentence")


class JobVerdicts(BaseModel):
    """One verdict for each posting that was given, in the same order."""

    verdicts: list[Verdict]


async def filter_jobs(state: Reads, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Keeps the postings that are for the desired job, and says why of each.

    Reads `profile`, `language`, `retrieved`; writes `relevant`, `omitted_postings` and `versions`. When no
    posting is for the desired job, the five nearest are kept and `relevant.closest_only` says so: the
    person still gets an answer, and can see what it rests on. Postings for which the prompt has no
    room, the farthest, are dropped unread and named in `omitted_postings`.

    Raises:
        NoPostingsError: the retrieved postings are gone.
        ModelUnavailableError, ModelOutputError: the model failed.
    """
    context, language = runtime.context, state["language"]
    ids = [row["posting_id"] for row in state["retrieved"]]
    postings = await context.postings.by_ids(ids)
    if not postings:
        raise NoPostingsError
    prompt = context.prompts.get("filter_jobs", language)
    desired_job = state["profile"]["desired_job"]
    blocks = {
        "request": fence("request", {"desired_job": desired_job, "language": language}),
        "profile": fence("profile", trade_row(state["profile"])),
    }
    tokens = remaining_tokens(context.settings.prompt_tokens, prompt, blocks, JobVerdicts)
    rows, omitted = fit_to_budget(judged_rows(postings.values()), tokens)
    blocks["postings"] = fence("postings", rows)
    read = [row["posting_id"] for row in rows]
    reply = await context.chat.ask(prompt, blocks, JobVerdicts, lambda answer: _problems(answer, read))
    return {
        "relevant": _relevant(reply.value, read, omitted, language),
        "omitted_postings": {"filter_jobs": omitted},
        "versions": {"filter_jobs": context.chat.versions(prompt, JobVerdicts)},
    }


def judged_rows(postings: Collection[StoredPosting]) -> list[Row]:
    """Returns what the model reads of each posting: company, title, and the lines that tell most of its work,
    whoever asks. Lines near the profile would let shared technologies decide."""
    limits = dict.fromkeys((posting.posting_id for posting in postings), _EXCERPT)
    return telling_rows(postings, "", limits, {})


def progress_message(update: dict[str, Any], language: Language) -> str:
    """Returns one line about what the node found."""
    kept, dropped = len(update["relevant"]["kept"]), len(update["relevant"]["dropped"])
    if update["relevant"]["closest_only"]:
        return (
            f"희망 직무에 맞는 공고가 없어 가장 가까운 {kept}건으로 진행"
            if language == "ko"
            else f"none is for the desired job; going on with the {kept} nearest"
        )
    total, unread = kept + dropped, len(update["omitted_postings"]["filter_jobs"])
    if language == "ko":
        return f"{total}건 중 {kept}건이 희망 직무에 맞음" + (
            f" (길어서 {unread}건은 못 읽음)" if unread else ""
        )
    return f"{kept} of {total} fit the desired job" + (f" ({unread} not read: too long)" if unread else "")


def _problems(answer: JobVerdicts, ids: list[str]) -> list[str]:
    judged = [verdict.posting_id for verdict in answer.verdicts]
    missing = [posting_id for posting_id in ids if posting_id not in judged]
    unknown = sorted(set(judged) - set(ids))
    twice = sorted({posting_id for posting_id in judged if judged.count(posting_id) > 1})
    return [
        f"verdicts: {what}: {', '.join(which)}"
        for what, which in (
            ("no verdict for", missing),
            ("no such posting was given", unknown),
            ("more than one verdict for", twice),
        )
        if which
    ]


def _relevant(answer: JobVerdicts, ids: list[str], omitted: list[str], language: Language) -> Relevant:
    verdicts = {verdict.posting_id: verdict for verdict in answer.verdicts}
    kept = [posting_id for posting_id in ids if posting_id in verdicts and verdicts[posting_id].fits]
    closest_only = not kept
    if closest_only:
        logger.warning("no posting fits the desired job: the nearest are kept", extra={"kept": CLOSEST})
        kept = ids[:CLOSEST]
    # A posting the model passed over is dropped: what was not judged is not known to fit.
    reasons = {
        posting_id: verdicts[posting_id].reason if posting_id in verdicts else _NOT_JUDGED[language]
        for posting_id in ids
    }
    return {
        "kept": [{"posting_id": i, "reason": reasons[i]} for i in ids if i in kept],
        "dropped": [
            *(JudgedPosting(posting_id=i, reason=reasons[i]) for i in ids if i not in kept),
            *(JudgedPosting(posting_id=i, reason=_NOT_READ[language]) for i in omitted),
        ],
        "closest_only": closest_only,
    }


_NOT_JUDGED = {"ko": "판정하지 못함", "en": "not judged"}
_NOT_READ = {
    "ko": "입력이 너무 길어 읽지 않음",
    "en": "not read, because the input was too long",
}

"""summarize: what the kept postings ask for."""

from __future__ import annotations

from typing import Any

from langgraph.runtime import Runtime
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from nodes.prompt_data import fit_to_budget, posting_rows, remaining_tokens
from nodes.state import ProfileDict, Relevant
from tools.context import RunContext
from tools.core.contracts import Language, Summary, SummaryLine
from tools.core.errors import ModelOutputError, NoPostingsError
from tools.core.fencing import fence

_EXCERPT = 1_500
"""Characters of each text of a posting: nine in ten real postings fit whole."""
_MOST_LINES = 8
_MOST_SKILLS = 15
"""Lines of a list, as the prompt asks for them: one screen, and a bound for the prompts that read it."""
_LONGEST_LINE = 150
"""Characters of a line; what is longer is a paragraph and not one thing that is asked for."""


class Reads(TypedDict):
    """What this node reads of the state."""

    profile: ProfileDict
    language: Language
    relevant: Relevant


class AskedFor(BaseModel):
    """Something the market asks for, in a few words, and every posting that asks for it."""

    text: str
    posting_ids: list[str] = Field(description="ids of the given postings that ask for it")


class MarketSummary(BaseModel):
    """What these postings ask for, each list with the most wanted first."""

    responsibilities: list[AskedFor]
    qualifications: list[AskedFor]
    preferred: list[AskedFor]
    skills: list[AskedFor]


async def summarize(state: Reads, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Turns the kept postings into responsibilities, qualifications, preferred and skills.

    Reads `profile`, `language`, `relevant`; writes `summary`, `omitted_postings` and `versions`. Each line
    carries the ids of the postings that ask for it; how many do is counted here and not taken from
    the model. Postings for which the prompt has no room, the farthest, are named in `omitted_postings`.

    Raises:
        NoPostingsError: the kept postings are gone.
        ModelUnavailableError, ModelOutputError: the model failed, or no line names a given posting.
    """
    context, language = runtime.context, state["language"]
    kept = [row["posting_id"] for row in state["relevant"]["kept"]]
    postings = await context.postings.by_ids(kept)
    if not postings:
        raise NoPostingsError
    prompt = context.prompts.get("summarize", language)
    blocks = {
        "request": fence("request", {"desired_job": state["profile"]["desired_job"], "language": language}),
    }
    tokens = remaining_tokens(context.settings.prompt_tokens, prompt, blocks, MarketSummary)
    rows, omitted = fit_to_budget(posting_rows(postings.values(), _EXCERPT), tokens)
    blocks["postings"] = fence("postings", rows)
    read = [row["posting_id"] for row in rows]
    reply = await context.chat.ask(prompt, blocks, MarketSummary, lambda answer: _problems(answer, set(read)))
    summary = _counted(reply.value, read)
    if not (summary.responsibilities or summary.qualifications or summary.skills):
        raise ModelOutputError(purpose="summarize", problems=["no line names a given posting"])
    return {
        "summary": summary.model_dump(),
        "omitted_postings": {"summarize": omitted},
        "versions": {"summarize": context.chat.versions(prompt, MarketSummary)},
    }


def progress_message(update: dict[str, Any], language: Language) -> str:
    """Returns one line about what the node found."""
    skills = [line["text"] for line in update["summary"]["skills"][:3]]
    lines = sum(map(len, update["summary"].values()))
    named = ", ".join(skills) or "-"
    return (
        f"요구 사항 {lines}줄, 많이 찾는 기술: {named}"
        if language == "ko"
        else f"{lines} lines; most wanted: {named}"
    )


def _lines(answer: MarketSummary) -> list[AskedFor]:
    return [*answer.responsibilities, *answer.qualifications, *answer.preferred, *answer.skills]


def _problems(answer: MarketSummary, ids: set[str]) -> list[str]:
    unknown = sorted({i for line in _lines(answer) for i in line.posting_ids} - ids)
    uncited = [line.text for line in _lines(answer) if not line.posting_ids]
    long = [line.text for line in _lines(answer) if len(line.text) > _LONGEST_LINE]
    problems = [f"posting_ids: no such posting was given: {', '.join(unknown[:20])}"] if unknown else []
    problems += [f"posting_ids: no posting is named for the line: {text[:200]}" for text in uncited[:5]]
    return problems + [
        f"text: more than {_LONGEST_LINE} characters; say one thing in a few words: {text[:200]}"
        for text in long[:5]
    ]


def _counted(answer: MarketSummary, ids: list[str]) -> Summary:
    """Keeps of each line the postings that were given, counts them and puts the most wanted first; of
    those, as many as a list may have."""

    def counted(lines: list[AskedFor], most: int = _MOST_LINES) -> list[SummaryLine]:
        short = [line for line in lines if len(line.text) <= _LONGEST_LINE]
        cited = [(line.text, [i for i in ids if i in line.posting_ids]) for line in short]
        kept = [SummaryLine(text=text, count=len(by), posting_ids=by) for text, by in cited if by]
        return sorted(kept, key=lambda line: -line.count)[:most]

    return Summary(
        responsibilities=counted(answer.responsibilities),
        qualifications=counted(answer.qualifications),
        preferred=counted(answer.preferred),
        skills=counted(answer.skills, _MOST_SKILLS),
    )

"""summarize: what the kept postings ask for.

The model reads and words; what can be counted is counted here. Of each line the ids of postings that do not
say it are taken out, skills are found in the postings' whole texts, and what rests on nothing is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from langgraph.runtime import Runtime
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from nodes.posting_lines import named_in, skills_of, speaks_of, supports
from nodes.prompt_data import fit_to_budget, posting_rows, remaining_tokens
from nodes.state import ProfileDict, Relevant
from tools.context import RunContext
from tools.core.contracts import Language, Summary, SummaryLine
from tools.core.errors import ModelOutputError, NoPostingsError
from tools.core.fencing import fence
from tools.core.text import folded
from tools.lexicon import find_skills
from tools.postings.contracts import StoredPosting

_EXCERPT = 1_500
"""Characters of each text of a posting: nine in ten real postings fit whole."""
_MOST_LINES = 8
_MOST_SKILLS = 15
"""Lines of a list, as the prompt asks for them: one screen, and a bound for the prompts that read it."""
_LONGEST_LINE = 120
"""Characters of a line; what is longer is a paragraph and not one thing that is asked for."""
_LONGEST_NAME = 40
"""Characters of a skill's or a domain's name; the prompt asks for less."""
_MOST_UNFOUNDED = 0.5
"""Share of the lines that may rest on nothing before the answer goes back: asking again costs a whole
prompt, leaving out a line costs a line."""


class Reads(TypedDict):
    """What this node reads of the state."""

    profile: ProfileDict
    language: Language
    relevant: Relevant


class AskedFor(BaseModel):
    """Something the market asks for, in a few words, and every posting that asks for it."""

    text: str
    posting_ids: list[str] = Field(description="ids of the given postings that ask for it")


class CompanyDomain(BaseModel):
    """What the company of a posting makes, and for whom, in a few words."""

    posting_id: str
    domain: str


class MarketSummary(BaseModel):
    """What these postings ask for, each list with the most wanted first."""

    responsibilities: list[AskedFor]
    qualifications: list[AskedFor]
    preferred: list[AskedFor]
    skills: list[str] = Field(description="names only")
    domains: list[CompanyDomain]


async def summarize(state: Reads, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Turns the kept postings into responsibilities, qualifications, preferred, skills and domains.

    Reads `profile`, `language`, `relevant`; writes `summary`, `omitted_postings` and `versions`. Each line
    carries the ids of the postings that say so; which do and how many is found out here and not taken from
    the model. Postings for which the prompt has no room, the farthest, are named in `omitted_postings`
    and counted nowhere.

    Raises:
        NoPostingsError: the kept postings are gone.
        ModelUnavailableError, ModelOutputError: the model failed; or nothing is left of its answer, and the
            postings name no skill.
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
    read = [postings[row["posting_id"]] for row in rows]
    reply = await context.chat.ask(prompt, blocks, MarketSummary, lambda answer: _problems(answer, read))
    summary = counted(reply.value, read)
    if not (summary.responsibilities or summary.qualifications or summary.skills):
        raise ModelOutputError(purpose="summarize", problems=["no line rests on a given posting"])
    return {
        "summary": summary.model_dump(),
        "omitted_postings": {"summarize": omitted},
        "versions": {"summarize": context.chat.versions(prompt, MarketSummary)},
    }


def progress_message(update: dict[str, Any], language: Language) -> str:
    """Returns one line about what the node found."""
    summary = update["summary"]
    named = ", ".join(line["text"] for line in summary["skills"][:3]) or "-"
    lines = sum(len(summary[name]) for name in ("responsibilities", "qualifications", "preferred", "skills"))
    return (
        f"요구 사항 {lines}줄, 많이 찾는 기술: {named}"
        if language == "ko"
        else f"{lines} lines; most wanted: {named}"
    )


def counted(answer: MarketSummary, postings: Sequence[StoredPosting]) -> Summary:
    """Returns what of `answer` is true of `postings` (nearest first), counted, the most wanted first."""
    return Summary(
        responsibilities=_asked(answer.responsibilities, postings),
        qualifications=_asked(answer.qualifications, postings),
        preferred=_asked(answer.preferred, postings),
        skills=_skills(answer.skills, postings),
        domains=_domains(answer.domains, postings),
    )


def _lines(answer: MarketSummary) -> list[AskedFor]:
    return [*answer.responsibilities, *answer.qualifications, *answer.preferred]


def _problems(answer: MarketSummary, postings: Sequence[StoredPosting]) -> list[str]:
    lines, given = _lines(answer), {posting.posting_id for posting in postings}
    named = {i for line in lines for i in line.posting_ids} | {row.posting_id for row in answer.domains}
    unknown = sorted(named - given)
    uncited = [line.text for line in lines if not line.posting_ids]
    long = [line.text for line in lines if len(line.text) > _LONGEST_LINE]
    unfounded = [line.text for line in lines if given & {*line.posting_ids} and not _says(line, postings)]
    if len(unfounded) <= _MOST_UNFOUNDED * len(lines):
        unfounded = []
    return [
        *([f"posting_ids: no such posting was given: {', '.join(unknown[:20])}"] if unknown else []),
        *(f"posting_ids: no posting is named for the line: {text[:200]}" for text in uncited[:5]),
        *(f"posting_ids: none of the named postings says this: {text[:200]}" for text in unfounded[:5]),
        *(
            f"text: more than {_LONGEST_LINE} characters; say one thing in a few words: {text[:200]}"
            for text in long[:5]
        ),
    ]


def _says(line: AskedFor, postings: Iterable[StoredPosting]) -> list[str]:
    """The ids of the postings that the line names and that say it."""
    named = [posting for posting in postings if posting.posting_id in line.posting_ids]
    return [posting.posting_id for posting in named if supports(line.text, posting)]


def _asked(lines: Iterable[AskedFor], postings: Sequence[StoredPosting]) -> list[SummaryLine]:
    short = [line for line in lines if len(line.text) <= _LONGEST_LINE]
    return _most_wanted({line.text: _says(line, postings) for line in short}, _MOST_LINES)


def _skills(names: Sequence[str], postings: Sequence[StoredPosting]) -> list[SummaryLine]:
    """Every skill of the lexicon that a posting names, and of `names` those that the lexicon does not know
    and a posting has letter for letter. Of equally many, those that the model names come first."""
    by_name: dict[str, list[str]] = {skill: [] for name in names for skill in find_skills(name)}
    for posting in postings:
        # Sorted, so that equal answers have equal orders.
        for skill in sorted(skills_of(posting)):
            by_name.setdefault(skill, []).append(posting.posting_id)
    for name in (name.strip() for name in names):
        if name and len(name) <= _LONGEST_NAME and not find_skills(name):
            having = (p for p in postings if named_in([name], f"{p.text()}\n{', '.join(p.skills)}"))
            by_name[name] = [posting.posting_id for posting in having]
    return _most_wanted(by_name, _MOST_SKILLS)


def _domains(rows: Iterable[CompanyDomain], postings: Sequence[StoredPosting]) -> list[SummaryLine]:
    """What the companies make, one domain a posting, where its posting speaks of it."""
    said = {row.posting_id: " ".join(row.domain.split()) for row in rows}
    by_domain: dict[str, tuple[str, list[str]]] = {}
    for posting in postings:
        domain = said.get(posting.posting_id, "")
        if domain and len(domain) <= _LONGEST_NAME and speaks_of(domain, posting):
            by_domain.setdefault(folded(domain), (domain, []))[1].append(posting.posting_id)
    return _most_wanted(dict(by_domain.values()), len(postings))


def _most_wanted(by_text: dict[str, list[str]], most: int) -> list[SummaryLine]:
    lines = [SummaryLine(text=text, count=len(ids), posting_ids=ids) for text, ids in by_text.items() if ids]
    return sorted(lines, key=lambda line: -line.count)[:most]

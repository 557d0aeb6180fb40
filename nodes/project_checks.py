"""Whether a project can be built and believed: what can be checked by rule."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nodes.findings import Finding
from nodes.market_claims import sentences, untrue
from nodes.person import known_skills
from nodes.posting_lines import quotable_skills
from nodes.state import ProjectDict, SubjectDict, Turn
from tools.core.contracts import Language
from tools.core.text import find_quote, folded
from tools.lexicon import find_skills, skills_in
from tools.lexicon.likeness import TOPICS, spoken_for
from tools.lexicon.stems import COMMON, EVERYDAY_SKILLS, stems
from tools.postings.contracts import StoredPosting

if TYPE_CHECKING:
    from nodes.generate_tasks import ProjectPlan, Quote

SHORTEST_QUOTE = 4
"""Characters: a shorter quote stands in any posting and shows nothing."""
FEWEST_QUOTES, MOST_QUOTES = 4, 10
QUOTES_A_POSTING = 2
_HOURS_A_TASK = 2.0
"""Hours that a task takes at least: less is a line of a list and no task."""
_OVERTIME = 1.1
"""Of a step's hours, what its tasks may take: nobody reckons to the hour."""
_RESERVE = 0.9
"""Of all hours, what all tasks may take. A fifth is to be left free; half of that is insisted on."""
_HALF = 0.6
"""Of the weeks, after which the minimum version stands: steps do not end just at the half."""
_WEEKS_OFF = 0.5
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_CAUSED = re.compile(
    r"(?:장애|오류|실패|지연)를?\s*(?:일부러|주입)|일부러[^.]{0,20}(?:끄|꺼|끊|죽|멈추|내리)|강제로?\s*(?:종료|중단|끊)"
    r"|kill\s?-9|chaos|\binject(?:s|ed|ing)?\b[^.]{0,30}(?:fault|failure|error|delay)"
    r"|(?:kill|stop|cut|crash|break)[^.]{0,30}(?:on purpose|deliberately)",
    re.IGNORECASE,
)
_SHORTER = re.compile(
    r"더\s*짧|짧게|(?:기간|주\s*수)을?\s*줄|빨리\s*끝|shorter|quicker|fewer weeks|less time", re.IGNORECASE
)
_EASIER = re.compile(
    r"더\s*(?:쉽|쉬)|쉽게|너무\s*어려|난이도를?\s*(?:낮|내)|easier|simpler|too (?:hard|difficult)",
    re.IGNORECASE,
)
_LEVELS = ("beginner", "intermediate", "advanced")
_ID = re.compile(r"(?<![\w-])(?:p-\d+|sub-[0-9a-f]{6,})\b")
_INTERNAL_IN_KOREAN = re.compile(
    r"(?<![\w-])(?:profile|subject|postings|beginner|intermediate|advanced)(?=\s*(?:[은는이가을를의에상로,.)]|$))"
)
_FIELD_NAME = re.compile(
    r"(?<!\w)(?:desired_job|career_stage|skill_gaps|posting_ids?|job_title|kept_postings|closest_only"
    r"|duration_weeks|hours_per_week|minimum_version|after_step|not_covered)(?![a-z_])"
)
_HANGUL = re.compile(r"[가-힣]")
_LATIN_WORD = re.compile(r"[A-Za-z]{2,}")
_LONG_FOREIGN = 5
"""Words in another language from which a text is taken for one in that language; names alone are fewer."""


@dataclass(frozen=True, slots=True)
class Grounds:
    """What a project is held against.

    `postings` are the kept ones by id, `kept` the number that the summary's counts are of, `before` the
    session's last project, if there is one.
    """

    profile: Mapping[str, Any]
    language: Language
    summary: Mapping[str, Any]
    subject: SubjectDict
    postings: Mapping[str, StoredPosting]
    kept: int
    turn: Turn
    before: ProjectDict | None = None


def project_findings(plan: ProjectPlan, grounds: Grounds) -> list[Finding]:
    """Returns what is wrong with a plan, the gravest first."""
    return [
        *_quote_findings(plan, grounds),
        *_task_findings(plan, grounds),
        *_time_findings(plan, grounds),
        *_goal_findings(plan),
        *_request_findings(plan, grounds),
        *prose_findings(_prose(plan), grounds.language),
    ]


def quoted(quote: Quote, postings: Mapping[str, StoredPosting]) -> str | None:
    """Returns the words of the posting that are quoted, None where it has no such words or they are few."""
    posting = postings.get(quote.posting_id)
    if posting is None or len(folded(quote.quote)) < SHORTEST_QUOTE:
        return None
    return find_quote(quote.quote, posting.text())


def prose_findings(prose: Sequence[tuple[str, str]], language: Language) -> list[Finding]:
    """Returns internal words and texts in another language among `prose`: (field, text) of an answer."""
    findings = []
    for field, text in prose:
        leak = _ID.search(text) or _FIELD_NAME.search(text)
        if leak is None and language == "ko":
            leak = _INTERNAL_IN_KOREAN.search(text)
        if leak:
            findings.append(Finding("leak", field, leak[0]))
        words = len(_LATIN_WORD.findall(text))
        hangul = len(_HANGUL.findall(text))
        foreign = (
            not hangul and words > _LONG_FOREIGN
            if language == "ko"
            else hangul > _LONG_FOREIGN and hangul > words
        )
        if foreign:
            findings.append(Finding("wrong_language", field, text))
    return findings


def _prose(plan: ProjectPlan) -> list[tuple[str, str]]:
    prose = [
        ("title", plan.title),
        ("description", plan.description),
        ("goal", plan.goal),
        ("summary", plan.summary),
        ("costs", plan.costs),
        ("minimum_version", plan.minimum_version.shows if plan.minimum_version else ""),
    ]
    prose += [("not_covered", item.reason) for item in plan.not_covered]
    prose += [("evidence", quote.claim) for quote in plan.evidence]
    prose += [("data", item.origin) for item in plan.data]
    for step in plan.steps:
        prose.append(("steps", step.title))
        for task in step.tasks:
            prose += [("tasks", text) for text in (task.title, task.description, task.deliverable)]
    return prose


def _told(plan: ProjectPlan) -> str:
    """Everything that says what is done and with what; not the quotes, nor why."""
    texts = [plan.title, plan.description, plan.goal, *plan.skills]
    for step in plan.steps:
        texts.append(step.title)
        for task in step.tasks:
            texts += [task.title, task.description, task.deliverable, *task.skills]
    texts += [item.name for item in plan.data]
    return "\n".join(texts)


def _quote_findings(plan: ProjectPlan, grounds: Grounds) -> Iterator[Finding]:
    postings = grounds.postings
    standing: list[Quote] = []
    for quote in plan.evidence:
        if len(folded(quote.quote)) < SHORTEST_QUOTE:
            yield Finding("quote_too_short", "evidence", quote.quote)
        elif quoted(quote, postings) is None:
            yield Finding("quote_not_in_posting", "evidence", quote.quote)
        else:
            standing.append(quote)
    fewest = min(FEWEST_QUOTES, QUOTES_A_POSTING * len(postings))
    if len(standing) < fewest:
        yield Finding("too_few_quotes", "evidence", count=fewest)
    if len(standing) > MOST_QUOTES:
        yield Finding("too_many_quotes", "evidence", count=MOST_QUOTES)
    for posting_id, count in Counter(quote.posting_id for quote in standing).items():
        if count > QUOTES_A_POSTING:
            yield Finding("posting_quoted_often", "evidence", postings[posting_id].company)
    left = _left_skills(plan, grounds.subject)
    yield from _relevance_findings(plan, grounds, standing, left)
    for sentence in untrue(plan.summary, grounds.summary, grounds.kept):
        yield Finding("count_untrue", "summary", sentence)
    for sentence, *_ in sentences(plan.summary):
        # What is said of a technology that the project leaves out needs no quote.
        named = skills_in(sentence)
        if not (named and named <= left) and not _backed(sentence, standing):
            yield Finding("claim_without_quote", "summary", sentence)


def _left_skills(plan: ProjectPlan, subject: SubjectDict) -> frozenset[str]:
    """Returns the skills that the project, or its subject, names as left out."""
    names = [item.name for item in plan.not_covered]
    names += [item["name"] for item in subject.get("not_covered", [])]
    return frozenset().union(*map(skills_in, names))


def _relevance_findings(
    plan: ProjectPlan, grounds: Grounds, standing: Sequence[Quote], left: frozenset[str]
) -> Iterator[Finding]:
    """Yields quotes that speak of something else, and what quotes and gaps name on one side only."""
    told = _told(plan)
    skills = frozenset(find_skills(told))
    used = skills | spoken_for(skills)
    covered = used | EVERYDAY_SKILLS | left
    in_quotes: set[str] = set()
    unused: dict[str, None] = {}
    for quote in standing:
        named = skills_in(quote.quote)
        in_quotes |= named
        # Of a quote that names no tool the lexicon cannot tell what it speaks of: it is believed.
        if (tools := named - TOPICS) and not (named | spoken_for(named)) & used:
            yield Finding("quote_off_topic", "evidence", quote.quote)
        else:
            unused |= dict.fromkeys(sorted(tools - covered))
    for skill in unused:
        yield Finding("quoted_skill_unused", "evidence", skill)
    asked_for = frozenset[str]().union(*map(quotable_skills, grounds.postings.values()))
    gaps = (skill for gap in grounds.subject.get("skill_gaps", []) for skill in skills_in(gap["skill"]))
    for skill in dict.fromkeys(gaps):
        if skill in (asked_for & skills) - EVERYDAY_SKILLS - TOPICS - in_quotes:
            yield Finding("gap_without_quote", "evidence", skill)


def _backed(sentence: str, quotes: Sequence[Quote]) -> bool:
    """Whether a quote speaks for a sentence of the reasons: by a skill where the sentence names one,
    otherwise by a word."""
    if named := skills_in(sentence):
        return any(named & (skills_in(quote.quote) | skills_in(quote.claim)) for quote in quotes)
    words = stems(sentence) - COMMON
    return any(words & (stems(quote.quote) | stems(quote.claim)) for quote in quotes)


def _task_findings(plan: ProjectPlan, grounds: Grounds) -> Iterator[Finding]:
    for number, step in enumerate(plan.steps, start=1):
        if not step.tasks:
            yield Finding("no_tasks", "steps", str(number))
    known = known_skills(grounds.profile)
    new = total = 0
    for task in (task for step in plan.steps for task in step.tasks):
        if not task.deliverable.strip():
            yield Finding("no_deliverable", "tasks", task.title)
        text = f"{task.title}\n{task.description}"
        if task.fault is None:
            if _CAUSED.search(text):
                yield Finding("fault_without_signal", "fault", task.title)
        elif not (task.fault.signal.strip() and task.fault.remedy.strip()):
            yield Finding("fault_without_signal", "fault", task.title)
        skills = skills_in(text).union(*map(skills_in, task.skills))
        total += bool(skills)
        new += bool(skills) and not skills & known
    if known and new * 2 > total:
        yield Finding("mostly_new", "tasks", count=new)
    if not plan.data or not all(item.name.strip() and item.origin.strip() for item in plan.data):
        yield Finding("data_unknown", "data")


def _time_findings(plan: ProjectPlan, grounds: Grounds) -> Iterator[Finding]:
    weeks = [step.weeks or 0.0 for step in plan.steps]
    if abs(sum(weeks) - plan.duration_weeks) > _WEEKS_OFF:
        yield Finding("weeks_do_not_add_up", "weeks", count=sum(weeks))
    has = grounds.profile.get("hours_per_week")
    if has and plan.hours_per_week != has:
        yield Finding("hours_differ", "hours_per_week", count=has)
    if hours := has or plan.hours_per_week:
        for step, share in zip(plan.steps, weeks, strict=True):
            there = share * hours
            needed = sum(max(task.hours or 0.0, _HOURS_A_TASK) for task in step.tasks)
            if share and needed > there * _OVERTIME:
                yield Finding("too_much_work", "hours", f"{step.title} ({needed:g})", there)
        reckoned = sum(task.hours or 0.0 for step in plan.steps for task in step.tasks)
        if reckoned > sum(weeks) * hours * _RESERVE:
            yield Finding("no_reserve", "hours", f"{reckoned:g}", sum(weeks) * hours)
    minimum = plan.minimum_version
    stands = sum(weeks[: minimum.after_step]) if minimum else 0.0
    if (
        minimum is None
        or not minimum.shows.strip()
        or not 1 <= minimum.after_step < len(plan.steps)
        or stands > _HALF * sum(weeks)
    ):
        yield Finding("minimum_version_late", "minimum_version")


def _goal_findings(plan: ProjectPlan) -> Iterator[Finding]:
    numbers = set(_NUMBER.findall(plan.goal))
    if not numbers:
        yield Finding("goal_without_number", "goal")
    elif plan.steps:
        last = "\n".join(f"{t.title}\n{t.description}\n{t.deliverable}" for t in plan.steps[-1].tasks)
        if not numbers.intersection(_NUMBER.findall(last)):
            yield Finding("goal_not_met", "steps")


def _request_findings(plan: ProjectPlan, grounds: Grounds) -> Iterator[Finding]:
    asked, before = grounds.turn, grounds.before
    if (level := asked.get("difficulty")) and plan.difficulty != level:
        yield Finding("difficulty_differs", "difficulty", level)
    if (most := asked.get("weeks")) and plan.duration_weeks > most:
        yield Finding("too_many_weeks", "duration_weeks", count=most)
    feedback = asked.get("feedback") or ""
    if before and _SHORTER.search(feedback) and plan.duration_weeks >= before["duration_weeks"]:
        yield Finding("not_shorter", "duration_weeks", count=before["duration_weeks"])
    harder = before and _LEVELS.index(plan.difficulty) > _LEVELS.index(before["difficulty"])
    if harder and not level and _EASIER.search(feedback):
        yield Finding("not_easier", "difficulty")

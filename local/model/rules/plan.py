"""The rules behind `ProjectPlan`: the steps of a project in their weeks, why it suits the person and the
market, and quotes of the postings for it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from tools.lexicon import KIND_OF, canonical, find_skills
from tools.lexicon.stems import COMMON, stems

from .crafts import CRAFTS, DOMAINS, Angle, Idea, TaskText, Words, ideas_titled, read_task
from .korean import Word
from .market import TOPICS, Demand, concepts_of
from .person import Person, read_person
from .subjects import closest, crafts_for
from .text import (
    PHRASES,
    WORDS,
    is_order,
    load_yaml,
    posting_lines,
    read,
    read_list,
    rows,
    say,
    shorten,
)

Row = Mapping[str, Any]

_MAX_QUOTES = 7
_ENOUGH = 4
_A_POSTING = 2
_SHORT, _LONG = 10, 90
_WORTH_ADDING = 2.0
_POOR = -10.0
_UNUSED = 1.5
"""What a line loses for each skill in it that the project does not use."""
_TELLING = 0.6
"""Weight of shared words from which a line speaks of the project."""
_COMMON_WEIGHT = 0.2
_OF_A_TASK = 0.5
_MOST_WORDS = 3.0
# Lines that only say how long, which degree, which certificate: they show nothing of the work.
_PAPERS = re.compile(
    r"\d+\s*년|경력|학위|학사|석사|박사|전공|졸업|자격증|기사\b|신입|years?\b|degree|bachelor|master|certif",
    re.I,
)
_PAPER_CONCEPTS = frozenset({"years", "degree", "foreign", "collaboration"})


@dataclass(frozen=True)
class _Found:
    """A line that speaks of the project, with what it is worth and the skills that it names."""

    posting_id: str
    line: str
    worth: float
    skills: frozenset[str]


@dataclass(frozen=True)
class _Told:
    """What is said of a project: the words of what it is, those of its tasks, and the skills it uses."""

    about: frozenset[str]
    work: frozenset[str]
    skills: frozenset[str]


def quote(postings: Sequence[Row], idea: Idea, told: _Told, gaps: Sequence[str]) -> list[_Found]:
    """Returns up to 7 lines to quote, first one for each gap, then the most telling, of as many postings as
    have something to say and at most two of each. Fewer than 4 only when no more lines speak of the project.
    """
    weights = _weights(postings, told)
    found = [
        _Found(read(posting, "posting_id"), line, worth, frozenset(find_skills(line)))
        for posting in postings
        for line in posting_lines(posting)
        if (worth := _speaks(line, idea, told, weights)) is not None
    ]
    found.sort(key=lambda row: -row.worth)
    chosen: list[_Found] = []

    def take(rows: Sequence[_Found], most: int, limit: int) -> None:
        for row in rows:
            counts = Counter(known.posting_id for known in chosen)
            if len(chosen) < most and counts[row.posting_id] < limit and not _said(row, chosen):
                chosen.append(row)

    for gap in gaps:
        take([row for row in found if gap in row.skills], len(chosen) + 1, _A_POSTING)
    take([row for row in found if row.worth >= _WORTH_ADDING], _MAX_QUOTES, 1)
    take(found, _ENOUGH, _A_POSTING)
    return chosen


def _said(row: _Found, chosen: Sequence[_Found]) -> bool:
    return row.line in {known.line for known in chosen}


def _weights(postings: Sequence[Row], told: _Told) -> dict[str, float]:
    """How much a word of the project tells: less, the more of the postings use it or if all trades do,
    and half where it stands among the tasks only."""
    used = Counter(
        word for row in postings for word in {word for line in posting_lines(row) for word in stems(line)}
    )
    return {
        word: (_COMMON_WEIGHT if word in COMMON else 1 - (used[word] - 1) / len(postings))
        * (1.0 if word in told.about else _OF_A_TASK)
        for word in used.keys() & (told.about | told.work)
    }


def _speaks(line: str, idea: Idea, told: _Told, weights: Mapping[str, float]) -> float | None:
    """What a line is worth as a quote; None where it names other skills only, or shares no word of its own
    with the project. A line in another script than the project's has none to share."""
    concepts, named, words = set(concepts_of(line)), set(find_skills(line)), stems(line)
    used, spoken = told.skills, told.about | told.work
    korean = any(word[0] >= "가" for word in words)
    foreign = not any((word[0] >= "가") == korean for word in spoken)
    shared = sum(weights.get(word, 0.0) for word in words)
    if not (named & used if named else (shared >= _TELLING and words & spoken - COMMON) or foreign):
        return None
    worth = 2.0 * len(idea.angle.concepts & concepts) + min(len(named & used), 2)
    worth += 2.0 * (idea.domain.named.search(line.lower()) is not None)
    worth += min(shared, _MOST_WORDS) - _UNUSED * len(named - used)
    if _PAPERS.search(line) and not named and not concepts - _PAPER_CONCEPTS:
        return worth + _POOR
    return worth + (0.5 if _SHORT <= len(line) <= _LONG else -1.5)


def why(idea: Idea, person: Person, demand: Demand, subject: Row, quotes: Sequence[_Found]) -> str:
    """Returns why this project suits this person and this market. A number is given only where a quote shows
    what is counted."""
    language, about = person.language, idea.angle.about[person.language]
    shown = {skill for row in quotes for skill in row.skills}
    working = any(idea.angle.concepts & set(concepts_of(row.line)) for row in quotes)
    asking = demand.count_of(idea.angle.concepts) if working and not find_skills(about) else 0
    skills = [skill for skill in _skills(subject, idea, person) if canonical(skill) in person.has]
    own = ", ".join(skills[:3])
    wishes = [wish for wish in read_list(subject, "wishes") if wish in (*person.wishes, *person.hopes)]
    parts = [say("why_wish", language, wish=shorten(wish)) for wish in wishes[:1]]
    if demand.closest:
        parts.append(closest(person, demand))
    if asking:
        parts.append(say("why_asking", language, total=demand.total, count=asking, about=about))
    elif demand.total:
        parts.append(say("why_market", language, about=about))
    if own:
        past = "".join(person.past[:1])
        parts.append(say("why_past" if past else "why_own", language, skills=own, past=past))
    for gap in _gaps(subject, person):
        if gap in shown and gap in demand.skills:
            count = demand.skills[gap]
            parts.append(say("why_gap", language, skill=gap, total=demand.total, count=count))
            break
    return " ".join([*parts, say("why_end", language)])


_WEEKS = {"beginner": 4, "intermediate": 6, "advanced": 8}
_MOST_WEEKS = 26
_EVENINGS = 2
"""Weeks more for somebody who works: evenings only."""
_HOURS = {"worker": 8, "student": 12, "job_seeker": 30}
_USUAL_HOURS = 12
_A_TASK, _A_WEEK = 4, 2.5
"""Hours that there are for a task at least; tasks that one finishes in a week, however many hours it has."""
_BRIEF = 3
"""Full weeks up to which there are fewer tasks."""
_MAX_TASKS = 4
_FIGURES = re.compile(r"\d[\d.,]*\s?(?:[만천백]?\s?(?:건|번|개|배|초|분|시간|일|명|%|퍼센트)|%|ms\b)?")
_GAP_TASKS: dict[str, dict[str, str]] = load_yaml("gaps.yaml")


def plan(
    request: Row, profile: Row, subject: Row, summary: Sequence[Row], postings: Sequence[Row]
) -> dict[str, Any]:
    """Returns a `ProjectPlan` for the subject, whoever proposed it."""
    person = read_person(request, profile)
    demand = Demand(summary, request, postings)
    language = person.language
    idea = _recognise(subject, person, demand)
    skills, gaps = _skills(subject, idea, person), _gaps(subject, person)
    weeks, hours = _weeks(person), person.hours or _HOURS.get(person.stage or "", _USUAL_HOURS)
    words = Words(idea.domain, language, person.difficulty, main=_main(skills, idea))
    title = shorten(_clean(read(subject, "title")) or idea.title(language), 120)
    goal = _clean(read(subject, "goal")) or _capital(idea.angle.goal[language].format_map(words))
    if not _FIGURES.search(goal):
        goal = say("counted", language, goal=goal, runs=words["runs"])
    words["figures"] = Word(", ".join(dict.fromkeys(found.strip(" .,") for found in _FIGURES.findall(goal))))
    steps = _steps(
        idea, person, words, skills=skills, gaps=gaps, budget=int(weeks * min(hours / _A_TASK, _A_WEEK)) + 1
    )
    _share(steps, weeks, hours)
    about = "\n".join((title, read(subject, "description"), goal, *skills))
    work = "\n".join(f"{task['title']} {task['description']}" for step in steps for task in step["tasks"])
    used = {canonical(skill) for skill in skills} | set(find_skills(f"{about}\n{work}"))
    quotes = quote(postings, idea, _Told(stems(about), stems(work), frozenset(used)), gaps)
    left = {read(row, "name"): read(row, "reason") for row in rows(subject, "not_covered")}
    for skill in (skill for row in quotes for skill in sorted(row.skills - used)):
        left.setdefault(skill, say("left_quoted", language))
    data, origin = PHRASES["data"][CRAFTS[idea.angle.craft].domains][language].format_map(words).split(" | ")
    return {
        "title": title,
        "description": _clean(read(subject, "description"))
        or idea.angle.description[language].format_map(words),
        "goal": goal,
        "difficulty": person.difficulty,
        "duration_weeks": weeks,
        "hours_per_week": hours,
        "skills": skills,
        "summary": why(idea, person, demand, subject, quotes),
        "data": [{"name": data, "origin": origin}],
        "steps": steps,
        "minimum_version": _minimum(steps, weeks, language),
        "costs": PHRASES["costs"][language],
        "not_covered": [
            {"name": name, "reason": reason} for name, reason in left.items() if _clean(f"{name} {reason}")
        ],
        "evidence": [
            {
                "claim": _claim(row, idea, [*gaps, *skills], language),
                "posting_id": row.posting_id,
                "quote": row.line,
            }
            for row in quotes
        ],
    }


def _claim(row: _Found, idea: Idea, skills: Sequence[str], language: str) -> str:
    skill = next((skill for skill in skills if canonical(skill) in row.skills), None)
    if skill is None or idea.angle.concepts & set(concepts_of(row.line)):
        return say("claim_work", language, about=idea.angle.about[language])
    return say("claim_skill", language, skill=skill)


_LONGEST_SKILL = 40
# Fields and ways of working: they are shown by a project, but nothing is "made with" them.
_NO_TOOL = frozenset(WORDS["no_tool"])
_METHODS = frozenset(WORDS["methods"])
_SKILL_FIELD = re.compile(r"\{skill(?::([^}]+))?\}")
_HINTS = {kind: re.compile(pattern) for kind, pattern in load_yaml("hints.yaml").items()}


def _clean(text: str) -> str:
    return "" if is_order(text) else text.strip()


def _gaps(subject: Row, person: Person) -> list[str]:
    named = [canonical(read(row, "skill")) for row in rows(subject, "skill_gaps")]
    return _usable(named, person)


def _usable(skills: Sequence[str], person: Person) -> list[str]:
    return [
        skill
        for skill in dict.fromkeys(skills)
        if skill
        and not is_order(skill)
        and len(skill) <= _LONGEST_SKILL
        and canonical(skill) not in person.feedback.unwanted_skills
    ]


def _skills(subject: Row, idea: Idea, person: Person) -> list[str]:
    found = _usable([*read_list(subject, "skills"), *person.asked], person)
    return found or list(CRAFTS[idea.angle.craft].stack)


def _recognise(subject: Row, person: Person, demand: Demand) -> Idea:
    """The idea behind a subject; of a subject in somebody else's words, the nearest idea."""
    title = read(subject, "title")
    preferred = crafts_for(person)
    others = [craft for craft in CRAFTS.values() if craft not in preferred]
    found = ideas_titled(title, iter([*preferred, *others]), person.language)
    if found is not None:
        return found
    text = f"{title}\n{read(subject, 'description')}\n{read(subject, 'goal')}"
    said, named = stems(text), set(read_list(subject, "skills"))

    def near(angle: Angle) -> float:
        told = (texts[person.language] for texts in (angle.title, angle.description, angle.about))
        shared = said & stems(" ".join(told))
        return 2.0 * len(shared) + len(named & set(angle.uses)) + (person.difficulty in angle.levels)

    angle = max((angle for craft in preferred for angle in craft.angles), key=near)
    domains = DOMAINS[CRAFTS[angle.craft].domains]
    hits = {domain.key: len(domain.named.findall(text.lower())) for domain in domains}
    return Idea(angle, max(domains, key=lambda domain: (hits[domain.key], len(demand.telling(domain.named)))))


def _weeks(person: Person) -> int:
    cues = person.feedback
    weeks = cues.weeks or _WEEKS[person.difficulty] + _evenings(person)
    if cues.stretch and not cues.weeks:
        weeks = person.weeks_before or weeks
        weeks = weeks * 3 // 2 + 1 if cues.stretch > 0 else weeks * 2 // 3
    return min(max(weeks, 1), person.time_limit or _MOST_WEEKS)


def _evenings(person: Person) -> int:
    return _EVENINGS if person.stage == "worker" else 0


def _main(skills: Sequence[str], idea: Idea) -> str:
    """The skill the core is made with: of the kinds the craft names, else of its stack."""
    craft = CRAFTS[idea.angle.craft]
    kinds = craft.main or tuple(KIND_OF[skill] for skill in craft.stack if KIND_OF[skill] != "database")
    named = [skill for skill in skills if skill in craft.stack and KIND_OF[skill] in kinds]
    if craft.main:
        named = sorted(
            (skill for skill in skills if KIND_OF.get(canonical(skill)) in kinds),
            key=lambda skill: kinds.index(KIND_OF[canonical(skill)]),
        )
    for skill in (*named, *skills, *craft.stack):
        if KIND_OF.get(canonical(skill)) in kinds and skill not in _NO_TOOL:
            return skill
    return craft.stack[0]


def _steps(
    idea: Idea, person: Person, words: Words, *, skills: list[str], gaps: list[str], budget: int
) -> list[dict[str, Any]]:
    """The steps in order, of at most `budget` tasks. The last one measures the goal."""
    craft, language = CRAFTS[idea.angle.craft], person.language
    start, core = craft.start[language].tasks, craft.core[language].tasks
    build, prove = idea.angle.build[language].tasks, idea.angle.prove[language].tasks
    if person.feedback.team:
        start = (*start[:2], read_task(PHRASES["team"][language]))
    brief = _weeks(person) - _evenings(person) <= _BRIEF
    if person.difficulty == "beginner" or brief:
        core, build = core[:2], build[:2]
    taught = {skill for task in (*start, *core, *build, *prove) for skill in _named(_filled(task, words))}
    learnt = _gap_tasks([gap for gap in gaps if gap not in taught], language)
    build, core = (*learnt[:1], *build[:3]), (*core[:2], *learnt[1:3]) if learnt[1:] else core
    stages = [(idea.angle.build[language].title, build), (idea.angle.prove[language].title, prove)]
    if brief:
        stages = [(craft.core[language].title, (*start[:1], *core)), *stages]
    else:
        stages = [(craft.start[language].title, start), (craft.core[language].title, core), *stages]
    if person.difficulty == "advanced" and not brief:
        stages.append((craft.ops[language].title, craft.ops[language].tasks))
    finish = craft.finish[language]
    stages.append((finish.title, (read_task(PHRASES["measure"][language]), *finish.tasks)))
    kept = [list(tasks[:_MAX_TASKS]) for _, tasks in stages]
    while sum(map(len, kept)) > max(budget, len(kept)):
        max(kept, key=len).pop()
    return [
        {
            "title": _capital(title.format_map(words)),
            "tasks": [_task(t, words, skills, gaps, person) for t in tasks],
        }
        for (title, _), tasks in zip(stages, kept, strict=True)
    ]


def _share(steps: list[dict[str, Any]], weeks: int, hours: int) -> None:
    """Gives every step its weeks, by its tasks (in halves, or in tenths where there are few), and every task
    its share of the hours."""
    total = sum(len(step["tasks"]) for step in steps)
    parts = 2 if 2 * weeks >= len(steps) + 3 else 10
    done = before = 0
    for step in steps:
        done += len(step["tasks"])
        border = round(parts * weeks * done / total)
        step["weeks"] = (border - before) / parts
        for task in step["tasks"]:
            task["hours"] = int(2 * 0.8 * step["weeks"] * hours / len(step["tasks"])) / 2
        before = border


def _minimum(steps: Sequence[Mapping[str, Any]], weeks: int, language: str) -> dict[str, Any]:
    """What stands after the last step of the first half."""
    stands = [sum(step["weeks"] for step in steps[: place + 1]) <= weeks / 2 for place in range(len(steps))]
    step = steps[max(sum(stands) - 1, 0)]
    shows = say("shows", language, step=step["title"], deliverable=step["tasks"][-1]["deliverable"])
    return {"after_step": max(sum(stands), 1), "shows": shows}


def _gap_tasks(gaps: Sequence[str], language: str) -> list[TaskText]:
    """Tasks that teach the gaps: the skill is filled in here, the words of the domain later."""
    found = []
    for gap in gaps:
        template = _GAP_TASKS.get(
            "method" if gap in _METHODS or gap in TOPICS else "SQL" if gap == "SQL" else KIND_OF.get(gap, "")
        )
        if template is not None:
            found.append(read_task(_SKILL_FIELD.sub(partial(_with_particle, gap), template[language])))
    return found


def _with_particle(skill: str, particle: re.Match[str]) -> str:
    return format(Word(skill), particle[1] or "")


def _task(task: TaskText, words: Words, skills: list[str], gaps: list[str], person: Person) -> dict[str, Any]:
    filled = _filled(task, words)
    named = set(_named(filled))
    text = f"{filled.title} {filled.description} {filled.deliverable}".lower()
    kinds = {kind for kind, hint in _HINTS.items() if hint.search(text)}
    used = [skill for skill in skills if canonical(skill) in named or KIND_OF.get(canonical(skill)) in kinds]
    basic = [skill for skill in skills if skill not in gaps]
    own = [skill for skill in used or basic if canonical(skill) in person.has]
    if not own and not named & set(gaps):
        used = [*[skill for skill in skills if canonical(skill) in person.has][:1], *used]
    fault = (
        {"what": filled.title, "signal": filled.signal, "remedy": filled.remedy} if filled.signal else None
    )
    return {
        "title": filled.title,
        "description": filled.description,
        "skills": used[:4] or basic[:2] or skills[:1],
        "deliverable": filled.deliverable,
        "fault": fault,
    }


def _filled(task: TaskText, words: Words) -> TaskText:
    texts = (task.title, task.description, task.deliverable, task.signal, task.remedy)
    return TaskText(*(_capital(text.format_map(words)) for text in texts))


def _named(task: TaskText) -> list[str]:
    return find_skills(f"{task.title}\n{task.description}\n{task.deliverable}")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

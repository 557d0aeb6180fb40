"""The rules behind `ProjectPlan`: the steps of a project, why it suits the person and the market, and quotes
of the postings for it.
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

from .crafts import CRAFTS, DOMAINS, Angle, Idea, TaskText, Words, ideas_titled
from .korean import Word
from .market import TOPICS, Demand, all_ids, concepts_of
from .person import Person, read_person
from .subjects import closest, crafts_for
from .text import (
    SECTIONS,
    WORDS,
    is_order,
    lines,
    load_yaml,
    read,
    read_list,
    rows,
    same_title,
    shorten,
)

Row = Mapping[str, Any]

_MAX_QUOTES = 5
_ENOUGH = 2
_SHORT, _LONG = 10, 90
_WORTH_ADDING = 2.0
_POOR = -10.0
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
    """A line with what it is worth; `telling` when it names a skill of the project or its words."""

    posting_id: str
    line: str
    worth: float
    telling: bool


def quote(
    postings: Sequence[Row], idea: Idea, skills: Sequence[str], about: str, work: str
) -> list[dict[str, str]]:
    """Returns 2 to 5 quotes, the most telling first, of as many postings as have something to say.

    `about` says what the project is, `work` what is done in it. A posting without a line that speaks of it
    is left out where others have two. Fewer quotes when the postings hold fewer lines. A quote is always
    a part of one line of its posting.
    """
    wanted = {canonical(skill) for skill in skills}
    weights = _weights(postings, stems(about), stems(work))
    found = [
        _Found(read(posting, "posting_id"), line, *_speaks(line, idea, wanted, weights))
        for posting in postings
        for line in _lines(posting)
    ]
    found.sort(key=lambda row: (not row.telling, -row.worth))
    chosen: list[_Found] = []
    for row in found:
        fresh = row.posting_id not in {known.posting_id for known in chosen}
        if row.telling and row.worth >= _WORTH_ADDING and fresh and not _said(row, chosen):
            chosen.append(row)
    chosen = chosen[:_MAX_QUOTES]
    # Rather a second line of a posting that speaks of the project than the first of one that does not.
    for row in found:
        if len(chosen) >= _ENOUGH:
            break
        if not _said(row, chosen):
            chosen.append(row)
    return [{"posting_id": row.posting_id, "quote": row.line} for row in chosen]


def _lines(posting: Row) -> list[str]:
    title = same_title(read(posting, "job_title"))
    listed = [line for section in SECTIONS for line in lines(read(posting, section))]
    return [line for line in dict.fromkeys(listed) if same_title(line) != title]


def _said(row: _Found, chosen: Sequence[_Found]) -> bool:
    return row.line in {known.line for known in chosen}


def _weights(postings: Sequence[Row], about: frozenset[str], work: frozenset[str]) -> dict[str, float]:
    """How much a word of the project tells: less, the more of the postings use it or if all trades do,
    and half where it stands among the tasks only."""
    used = Counter(
        word for posting in postings for word in {word for line in _lines(posting) for word in stems(line)}
    )
    return {
        word: (_COMMON_WEIGHT if word in COMMON else 1 - (used[word] - 1) / len(postings))
        * (1.0 if word in about else _OF_A_TASK)
        for word in used.keys() & (about | work)
    }


def _speaks(line: str, idea: Idea, skills: set[str], weights: Mapping[str, float]) -> tuple[float, bool]:
    concepts = set(concepts_of(line))
    named = [skill for skill in find_skills(line) if skill in skills]
    shared = sum(weights.get(word, 0.0) for word in stems(line))
    worth = 2.0 * len(idea.angle.concepts & concepts)
    worth += 2.0 * (idea.domain.named.search(line.lower()) is not None)
    worth += min(len(named), 2)
    worth += min(shared, _MOST_WORDS)
    telling = bool(named) or shared >= _TELLING
    if _PAPERS.search(line) and not find_skills(line) and not concepts - _PAPER_CONCEPTS:
        return worth + 2 * _POOR, False
    return worth + (0.5 if _SHORT <= len(line) <= _LONG else -1.5), telling


def why(idea: Idea, person: Person, demand: Demand, gaps: list[str], skills: list[str]) -> str:
    """Returns why this project suits this person and this market, with the number of postings."""
    lines = demand.for_concepts(idea.angle.concepts)
    asking = len(all_ids(lines))
    gap = next((gap for gap in gaps if demand.skills.get(gap)), None)
    own = [skill for skill in skills if canonical(skill) in person.has][:3]
    if person.language == "en":
        return _why_en(idea, person, demand, asking=asking, gap=gap, own=own)
    name = person.wish.family.name["ko"]
    parts = []
    if demand.closest and demand.total:
        parts.append(closest(person, demand))
        name = "이"
    if asking and lines:
        parts.append(
            f"{name} 공고 {demand.total}건 중 {asking}건에서 "
            f"{Word(idea.angle.about['ko']):과} 이어지는 업무를 찾는다"
            f"(예: “{shorten(lines[0].text, 60)}”)."
        )
    elif demand.total:
        parts.append(
            f"{name} 공고 {demand.total}건이 함께 찾는 역량을 {Word(idea.angle.about['ko']):로} 보여 준다."
        )
    if own:
        listed = ", ".join(own)
        after = (
            f" ‘{person.past}’ 다음 단계로 삼기에 알맞고"
            if person.past
            else " 이미 다룰 줄 아는 것에서 시작하고"
        )
        parts.append(f"{Word(listed):은} 프로필에 있으니{after}, 처음부터 다시 배울 것이 적다.")
    if gap:
        parts.append(
            f"아직 드러나지 않은 {Word(gap):은} {len(demand.skills[gap])}건에서 요구하므로 "
            "따로 익히는 과제를 두었다."
        )
    parts.append("단계마다 남는 산출물과 측정값이 면접에서 그대로 근거가 된다.")
    return " ".join(parts)


def _why_en(
    idea: Idea, person: Person, demand: Demand, *, asking: int, gap: str | None, own: list[str]
) -> str:
    where = f" in {person.wish.family.name['en']}"
    parts = []
    if demand.closest and demand.total:
        parts.append(closest(person, demand))
        where = ""
    if asking:
        parts.append(
            f"Of {demand.total} postings{where}, {asking} speak of work close to {idea.angle.about['en']}."
        )
    elif demand.total:
        parts.append(
            f"It answers what {demand.total} postings{where} have in common, "
            f"by way of {idea.angle.about['en']}."
        )
    if own:
        parts.append(f"You already show {_listed(own)}, so the project starts from what you can do.")
    if gap:
        count = len(demand.skills[gap])
        asks = "posting asks" if count == 1 else "postings ask"
        parts.append(
            f"{gap} is not in your profile yet, while {count} {asks} for it; it has a task of its own."
        )
    parts.append("Every step leaves a result and a figure that you can put in front of an interviewer.")
    return " ".join(parts)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


_WEEKS = {"beginner": 4, "intermediate": 6, "advanced": 8}
# The answer before is not known here, and the level may change between the two. So "shorter" is shorter
# than any usual plan of this person, and "longer" is longer than any.
_SHORTER_WEEKS = 3
_LONGER_WEEKS = {"beginner": 9, "intermediate": 10, "advanced": 12}
_EVENINGS = 2
"""Weeks more for somebody who works: evenings only."""
_BRIEF = 3
"""Full weeks up to which there are fewer tasks."""
_MAX_TASKS = 4
_GAP_TASKS: dict[str, dict[str, str]] = load_yaml("gaps.yaml")
_TEAM = {
    "ko": TaskText(
        "둘이 나눌 경계 정하기",
        "한 사람이 기다리지 않도록 {item:이} 오가는 형식을 먼저 약속하고, "
        "서로의 변경 요청을 하루 안에 읽는 규칙을 정한다.",
        "약속한 형식과 일 나눔표",
    ),
    "en": TaskText(
        "Agree on the border between two people",
        "Fix the format in which {items} pass between the halves first, so that nobody waits, "
        "and read each other's pull requests within a day.",
        "The agreed format and a division of work",
    ),
}


def plan(
    request: Row, profile: Row, subject: Row, summary: Sequence[Row], postings: Sequence[Row]
) -> dict[str, Any]:
    """Returns a `ProjectPlan` for the subject, whoever proposed it."""
    person = read_person(request, profile)
    demand = Demand(summary, request)
    idea = _recognise(subject, person, demand)
    skills = _skills(subject, idea, person)
    gaps = [
        skill
        for row in rows(subject, "skill_gaps")
        if (skill := canonical(read(row, "skill")))
        and not is_order(skill)
        and len(skill) <= _LONGEST_SKILL
        and skill not in person.feedback.unwanted_skills
    ]
    weeks = _weeks(person)
    words = Words(idea.domain, person.language, person.difficulty, main=_main(skills, idea))
    title = shorten(_clean(read(subject, "title")) or idea.title(person.language), 120)
    steps = _steps(idea, person, words, skills=skills, gaps=gaps, weeks=weeks)
    about = "\n".join((title, read(subject, "description"), read(subject, "goal")))
    work = "\n".join(f"{task['title']} {task['description']}" for step in steps for task in step["tasks"])
    return {
        "title": title,
        "description": _clean(read(subject, "description"))
        or idea.angle.description[person.language].format_map(words),
        "difficulty": person.difficulty,
        "duration_weeks": weeks,
        "skills": skills,
        "summary": why(idea, person, demand, gaps, skills),
        "steps": steps,
        "evidence": quote(postings, idea, [*gaps, *skills], about, work),
    }


_LONGEST_SKILL = 40
# Fields and ways of working: they are shown by a project, but nothing is "made with" them.
_NO_TOOL = frozenset(WORDS["no_tool"])
_METHODS = frozenset(WORDS["methods"])
_SKILL_FIELD = re.compile(r"\{skill(?::([^}]+))?\}")
# Words of a task that call for a kind of skill, so that a task names what it really uses.
_HINTS = {
    "database": re.compile(
        r"인덱스|질의|스키마|데이터베이스|테이블|트랜잭션|캐시|index|quer(?:y|ies)|schema|database|transaction|cache"
    ),
    "message": re.compile(r"이벤트|발행|소비자|event|publish|consumer"),
    "test": re.compile(r"검사|자동 시험|부하|test|check|load script"),
    "cicd": re.compile(r"커밋마다|합치기|자동으로 돌|빌드|every commit|merge|build"),
    "container": re.compile(r"배포|서버 두 대|두 대|deploy|two servers"),
    "monitoring": re.compile(r"지표|알림|대시보드|추적|metric|alert|dashboard|trace"),
    "cloud": re.compile(r"배포|비용|백업|deploy|cost|backup"),
    "frontend": re.compile(r"화면|컴포넌트|브라우저|screen|component|browser"),
    "backend": re.compile(r"api|서버|요청|트랜잭션|endpoint|server|request"),
    "mobile": re.compile(r"앱|기기|화면|phone|\bapp\b|device"),
    "ml": re.compile(r"모델|학습|추론|평가|model|train|infer|evaluat"),
    "analysis": re.compile(r"그림|지표|표본|보고서|chart|metric|sample|report"),
    "data": re.compile(r"적재|집계|파이프라인|흐름|load|aggregate|pipeline|schedule"),
    "design": re.compile(r"시안|화면|색|draft|screen|colour"),
}


def _clean(text: str) -> str:
    return "" if is_order(text) else text.strip()


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
        own = stems(
            " ".join(
                (
                    angle.title[person.language],
                    angle.description[person.language],
                    angle.about[person.language],
                )
            )
        )
        return 2.0 * len(said & own) + len(named & set(angle.uses)) + (person.difficulty in angle.levels)

    angle = max((angle for craft in preferred for angle in craft.angles), key=near)
    domains = DOMAINS[CRAFTS[angle.craft].domains]
    hits = {domain.key: len(domain.named.findall(text.lower())) for domain in domains}
    domain = max(domains, key=lambda domain: (hits[domain.key], len(all_ids(demand.for_words(domain.named)))))
    return Idea(angle, domain)


def _weeks(person: Person) -> int:
    cues = person.feedback
    if cues.weeks is not None:
        return cues.weeks
    weeks = _WEEKS[person.difficulty]
    if cues.stretch:
        weeks = _SHORTER_WEEKS if cues.stretch < 0 else _LONGER_WEEKS[person.difficulty]
    return weeks + _evenings(person)


def _evenings(person: Person) -> int:
    return _EVENINGS if person.stage == "worker" else 0


def _skills(subject: Row, idea: Idea, person: Person) -> list[str]:
    found = [
        skill
        for skill in read_list(subject, "skills")
        if not is_order(skill)
        and len(skill) <= _LONGEST_SKILL
        and canonical(skill) not in person.feedback.unwanted_skills
    ]
    return list(dict.fromkeys([*found, *person.asked])) or list(CRAFTS[idea.angle.craft].stack)


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
    idea: Idea, person: Person, words: Words, *, skills: list[str], gaps: list[str], weeks: int
) -> list[dict[str, Any]]:
    craft, language = CRAFTS[idea.angle.craft], person.language
    start, core = craft.start[language].tasks, craft.core[language].tasks
    build, prove = idea.angle.build[language].tasks, idea.angle.prove[language].tasks
    if person.feedback.team:
        start = (*start[:2], _TEAM[language])
    brief = weeks - _evenings(person) <= _BRIEF
    few = person.difficulty == "beginner" or brief
    if few:
        core, build = core[:2], build[:2]
    taught = {skill for task in (*start, *core, *build, *prove) for skill in _named(_filled(task, words))}
    learnt = _gap_tasks([gap for gap in gaps if gap not in taught], language)
    build = (*build[:3], *learnt[:1])
    core = (*core[:3], *learnt[1:2])
    if idea.twist is not None:
        prove = (*prove, idea.twist.task[language])
    stages = [(idea.angle.build[language].title, build), (idea.angle.prove[language].title, prove)]
    if brief:
        stages = [(craft.core[language].title, (*start[:1], *core)), *stages]
    else:
        stages = [(craft.start[language].title, start), (craft.core[language].title, core), *stages]
    if person.difficulty == "advanced" and not brief:
        stages.append((craft.ops[language].title, craft.ops[language].tasks))
    stages.append((craft.finish[language].title, craft.finish[language].tasks))
    return [
        {
            "title": _capital(title.format_map(words)),
            "tasks": [_task(task, words, skills, gaps) for task in tasks[:_MAX_TASKS]],
        }
        for title, tasks in stages
    ]


def _gap_tasks(gaps: Sequence[str], language: str) -> list[TaskText]:
    """Tasks that teach the gaps: the skill is filled in here, the words of the domain later."""
    found = []
    for gap in gaps:
        template = _GAP_TASKS.get(
            "method" if gap in _METHODS or gap in TOPICS else "SQL" if gap == "SQL" else KIND_OF.get(gap, "")
        )
        if template is not None:
            text = _SKILL_FIELD.sub(partial(_with_particle, gap), template[language])
            found.append(TaskText(*(part.strip() for part in text.split(" | "))))
    return found


def _with_particle(skill: str, particle: re.Match[str]) -> str:
    return format(Word(skill), particle[1] or "")


def _task(task: TaskText, words: Words, skills: list[str], gaps: list[str]) -> dict[str, Any]:
    filled = _filled(task, words)
    named = set(_named(filled))
    text = f"{filled.title} {filled.description} {filled.deliverable}".lower()
    kinds = {kind for kind, hint in _HINTS.items() if hint.search(text)}
    used = [skill for skill in skills if canonical(skill) in named or KIND_OF.get(canonical(skill)) in kinds]
    basic = [skill for skill in skills if skill not in gaps]
    return {
        "title": filled.title,
        "description": filled.description,
        "skills": used[:4] or basic[:2] or skills[:1],
        "deliverable": filled.deliverable,
    }


def _filled(task: TaskText, words: Words) -> TaskText:
    texts = (task.title, task.description, task.deliverable)
    return TaskText(*(_capital(text.format_map(words)) for text in texts))


def _named(task: TaskText) -> list[str]:
    return find_skills(f"{task.title}\n{task.description}\n{task.deliverable}")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

"""Which projects to propose: the rules behind `SubjectProposals`.

The ideas are chosen in `choice`; here they are put into words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tools.lexicon import KIND_OF

from .choice import choose
from .crafts import CRAFTS, Angle, Craft, Idea, Words
from .demand import TOPICS, Demand, Gap
from .families import FAMILIES
from .korean import Word
from .person import Person, meet

Row = Mapping[str, Any]

_DEFAULT_COUNT = 4
_MAX_COUNT = 20
_MAX_GAPS = 2
_MAX_STACK = 4
_OWN_TOOLS = 2
"""Of them, in a neighbouring craft."""
_MIN_IDS, _MAX_IDS = 2, 5


def propose(request: Row, profile: Row, summary: Sequence[Row], rejected: Sequence[Row]) -> dict[str, Any]:
    """Returns a `SubjectProposals` with exactly `request["count"]` subjects, none proposed before."""
    person = meet(request, profile)
    demand = Demand(summary, request)
    wanted = request.get("count")
    amount = min(max(wanted, 1), _MAX_COUNT) if isinstance(wanted, int) else _DEFAULT_COUNT
    ideas = choose(person, demand, crafts_for(person), rejected, amount)
    return {"subjects": [_in_words(idea, person, demand) for idea in ideas]}


def crafts_for(person: Person) -> list[Craft]:
    """Returns whose templates suit the person, those of the wanted family first."""
    cues = person.feedback
    named = [FAMILIES[key] for key in cues.families]
    families = [*person.wish.families[:2], *named]
    kept = [family for family in families if family.key not in cues.unwanted_families] or families[:1]
    return list(dict.fromkeys(CRAFTS[family.craft] for family in kept))


def _in_words(idea: Idea, person: Person, demand: Demand) -> dict[str, Any]:
    language = person.language
    angle, craft = idea.angle, CRAFTS[idea.angle.craft]
    words = Words(idea.domain, language, person.difficulty)
    gaps = choose_gaps(angle, person, demand)
    sentences = [_lead(idea, words, language)]
    if idea.twist is not None:
        sentences.append(idea.twist.adds[language].format_map(words))
    sentences += _about_skills(gaps, person, demand)
    description = " ".join(sentence[:1].upper() + sentence[1:] for sentence in sentences)
    goal = angle.goal[language].format_map(words)
    if idea.size:
        amount = f"{idea.size * 10:,}"
        goal += (
            f" 자료 양은 {amount}배로 늘려 다시 잰다."
            if language == "ko"
            else f" All of it is measured again on {amount} times the data."
        )
    lines = demand.for_words(idea.domain.named) + demand.for_concepts(angle.concepts)
    speaking = Counter(found for line in lines for found in line.ids if found)
    speaking.update(found for gap in gaps for found in gap.ids)
    ids = dict.fromkeys(found for found, _ in speaking.most_common())
    if len(ids) < _MIN_IDS:
        ids.update(dict.fromkeys(demand.ids[:_MIN_IDS]))
    return {
        "title": idea.title(language),
        "description": description,
        "goal": goal[:1].upper() + goal[1:],
        "skills": choose_skills(craft, angle, person, demand, [gap.skill for gap in gaps]),
        "skill_gaps": [{"skill": gap.skill, "reason": _reason(gap, demand, language)} for gap in gaps],
        "posting_ids": list(ids)[:_MAX_IDS],
    }


def _lead(idea: Idea, words: Words, language: str) -> str:
    """What is built; of an angle that comes back, by way of another of its tasks each time."""
    angle = idea.angle
    if not idea.view:
        return angle.description[language].format_map(words)
    about = Word(angle.about[language])
    opening = (
        f"{words['thing']:을} 두고 {about:을} 다른 쪽에서 파고든다."
        if language == "ko"
        else f"With {words['thing']} as the case, {about} is taken from another side."
    )
    tasks = [*angle.build[language].tasks, *angle.prove[language].tasks]
    task = tasks[(idea.view - 1) % len(tasks)].description.format_map(words)
    return f"{opening} {task[:1].upper()}{task[1:]}"


def choose_gaps(angle: Angle, person: Person, demand: Demand) -> list[Gap]:
    """Returns the gaps this angle closes: what it uses before what the market merely asks most.

    The latter are those of the person's own craft: an angle of a neighbouring one is no reason to learn
    its tools.
    """
    gaps = demand.gaps(person, CRAFTS[angle.craft].kinds)
    asked = [gap for gap in gaps if gap.skill in person.asked]
    used = [gap for gap in gaps if gap.skill in angle.uses]
    by_kind: dict[str, Gap] = {}
    for gap in [*asked, *used]:
        by_kind.setdefault(KIND_OF[gap.skill], gap)  # a second one of the kind would teach the same again
    if by_kind:
        return list(by_kind.values())[:_MAX_GAPS]
    own = {kind for craft in crafts_for(person) for kind in craft.kinds}
    return demand.gaps(person, frozenset(own))[:1]


def choose_skills(craft: Craft, angle: Angle, person: Person, demand: Demand, gaps: list[str]) -> list[str]:
    """Returns the skills of a subject: the person's own stack, what was asked for, then the gaps.

    In a neighbouring craft one goes on with one's own tools and adds a few of its.
    """
    refused = set(person.feedback.unwanted_skills)
    home = crafts_for(person)
    kinds = craft.kinds if craft in home else frozenset[str]().union(*(own.kinds for own in home))
    own = [skill for skill in person.has if KIND_OF[skill] in kinds and skill not in refused]
    near = sorted(
        own, key=lambda skill: (skill not in angle.uses and skill not in craft.stack, own.index(skill))
    )
    stack = near[:_MAX_STACK]
    usual = [skill for skill in dict.fromkeys([*demand.skills, *craft.stack]) if skill in craft.stack]
    usual = [skill for skill in usual if skill not in refused]
    main_kinds = {KIND_OF[skill] for skill in craft.stack} - {"database"}
    if stack and craft not in home:
        tools = [skill for skill in usual if KIND_OF[skill] != "language" or skill == "SQL"]
        stack = [*near[:_OWN_TOOLS], *(tools or usual)[: _MAX_STACK - _OWN_TOOLS]]
    elif not any(KIND_OF[skill] in main_kinds for skill in stack):
        stack = [*usual[:3], *stack]
    return list(dict.fromkeys([*dict.fromkeys(stack[:_MAX_STACK]), *person.asked, *gaps]))


def _about_skills(gaps: Sequence[Gap], person: Person, demand: Demand) -> list[str]:
    korean = person.language == "ko"
    sentences = []
    asked = [skill for skill in person.asked if skill not in {gap.skill for gap in gaps}]
    if asked:
        listed = ", ".join(asked[:3])
        sentences.append(
            f"{Word(listed):은} 요청한 대로 핵심에 쓴다."
            if korean
            else f"As asked, {listed} carries the core of it."
        )
    if demand.closest and demand.total:
        sentences.append(closest(person, demand))
    if gaps and gaps[0].ids:
        gap, count = gaps[0], len(gaps[0].ids)
        topic = gap.skill in TOPICS
        if korean:
            what = f"{gap.skill} 역량을 결과물로 보여 준다" if topic else f"{Word(gap.skill):을} 직접 써 본다"
            sentences.append(f"공고 {demand.total}건 중 {count}건에서 찾는 {what}.")
        else:
            what = f"show what you know of {gap.skill}" if topic else f"put {gap.skill} to use"
            verb = "asks" if count == 1 else "ask"
            sentences.append(f"You {what}, which {count} of {demand.total} postings {verb} for.")
    return sentences


def closest(person: Person, demand: Demand) -> str:
    """Says that no posting was for the desired job."""
    if person.language == "ko":
        return f"희망 직무의 공고가 없어 가장 가까운 공고 {demand.total}건을 바탕으로 한다."
    name = person.wish.family.name["en"]
    return f"No posting was for {name}; this is based on the {demand.total} nearest."


def _reason(gap: Gap, demand: Demand, language: str) -> str:
    if language == "ko":
        return f"프로필에 경험이 드러나지 않음; 공고 {demand.total}건 중 {len(gap.ids)}건에서 요구"
    verb = "asks" if len(gap.ids) == 1 else "ask"
    return f"The profile does not show it; {len(gap.ids)} of {demand.total} postings {verb} for it"

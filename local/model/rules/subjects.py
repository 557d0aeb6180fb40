"""Which projects to propose: the rules behind `SubjectProposals`.

Every angle is ranked by what the market asks, what the person lacks and what they asked for. Those of
neighbouring crafts follow the person's own. An angle comes back only when all of them have been shown, and
then with another domain and another twist.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count as numbers
from typing import Any

from tools.lexicon import KIND_OF
from tools.lexicon.stems import stems

from .crafts import CRAFTS, TWISTS, Angle, Craft, Domain, Idea, Twist, Words, angle_of, ideas_titled
from .families import FAMILIES
from .korean import Word
from .market import TOPICS, Demand, Gap, all_ids
from .person import Person, read_person
from .text import read, same_title

Row = Mapping[str, Any]

_SAME = 0.85
_FEEDBACK_BONUS = 3.0
_UNSUITABLE = 3
"""Rounds that an angle of another level waits."""
_MADE_FOR = 0.7
"""What an angle gains that is made for the few domains of which the person's own is one."""
_AGAIN = 2.5
"""What a domain loses each time it was shown."""
_ASKED = 10.0
"""What a domain gains that the feedback names: however often it was shown, it is wanted now."""
_NEIGHBOUR = 8.0
"""What an angle of a neighbouring craft is behind: the person's own come first."""


def choose(
    person: Person, demand: Demand, crafts: Sequence[Craft], rejected: Sequence[Row], amount: int
) -> list[Idea]:
    """Returns `amount` ideas, none proposed before."""
    past = _Past(rejected, crafts, person.language)
    seen = _Seen(read(row, "title") for row in rejected)
    worth = _angles(person, demand, crafts)
    if sum(_round(angle, person, past) == 0 for angle in worth) < amount:
        worth.update(_neighbours(person, demand, crafts, worth))
    interest: dict[Domain, float] = {}
    for angle in worth:
        for domain in angle.domains():
            if domain not in interest:
                interest[domain] = _interest(domain, person, demand) - 0.004 * len(interest)
    chosen: list[Idea] = []
    while len(chosen) < amount:
        batch = {idea.domain for idea in chosen}
        angles = sorted(worth, key=lambda angle: (_round(angle, person, past), -worth[angle]))
        idea = next(
            idea for idea in _ideas(angles, interest, past, batch) if seen.add(idea.title(person.language))
        )
        past.remember(idea)
        chosen.append(idea)
    return chosen


class _Past:
    """What was shown in this session: how often each angle and domain, and which pairs."""

    def __init__(self, rejected: Sequence[Row], crafts: Sequence[Craft], language: str) -> None:
        self.angles: Counter[Angle] = Counter()
        self.domains: Counter[Domain] = Counter()
        self.pairs: Counter[tuple[Angle, Domain]] = Counter()
        self.twists: Counter[tuple[Angle, Twist]] = Counter()
        self.twisted: Counter[str] = Counter()
        others = [craft for craft in CRAFTS.values() if craft not in crafts]
        for row in rejected:
            title = read(row, "title")
            idea = ideas_titled(title, iter([*crafts, *others]), language)
            if idea is not None:
                self.remember(idea)
            elif (angle := angle_of(title, read(row, "description"), language)) is not None:
                self.angles[angle] += 1

    def remember(self, idea: Idea) -> None:
        """Counts an idea as shown."""
        self.angles[idea.angle] += 1
        self.domains[idea.domain] += 1
        self.pairs[idea.angle, idea.domain] += 1
        if idea.twist is not None:
            self.twists[idea.angle, idea.twist] += 1
            self.twisted[idea.twist.key] += 1


def _round(angle: Angle, person: Person, past: _Past) -> int:
    return past.angles[angle] + (0 if person.difficulty in angle.levels else _UNSUITABLE)


def _ideas(
    angles: Sequence[Angle], interest: Mapping[Domain, float], past: _Past, batch: set[Domain]
) -> Iterator[Idea]:
    """Every idea, the best first, without end; those of the first angle are the usual answer."""

    def ordered(angle: Angle) -> list[Domain]:
        return sorted(
            angle.domains(),
            key=lambda domain: (
                past.pairs[angle, domain],
                domain in batch,
                _AGAIN * past.domains[domain] - interest[domain],
            ),
        )

    for angle in angles:
        view = past.angles[angle]
        twists: list[Twist | None] = [None]
        if view:
            listed = TWISTS[CRAFTS[angle.craft].twists]
            shown = {twist: (past.twists[angle, twist], past.twisted[twist.key]) for twist in listed}
            twists = [*sorted(shown, key=shown.__getitem__)]
        for twist in twists:
            for domain in ordered(angle):
                yield Idea(angle, domain, twist, view=view)
    for size in numbers(1):
        for angle in angles:
            for domain in ordered(angle):
                yield Idea(angle, domain, None, size, view=past.angles[angle])


def _angles(person: Person, demand: Demand, crafts: Sequence[Craft]) -> dict[Angle, float]:
    """Every angle open to the person, with its worth."""
    worth: dict[Angle, float] = {}
    gaps: dict[str, list[Gap]] = {}
    unwanted_crafts = {FAMILIES[key].craft for key in person.feedback.unwanted_families}
    for rank, craft in enumerate(crafts):
        for position, angle in enumerate(craft.angles):
            if angle in worth or (angle.craft in unwanted_crafts and angle.craft != craft.key):
                continue
            if angle.craft not in gaps:
                gaps[angle.craft] = demand.gaps(person, CRAFTS[angle.craft].kinds)
            worth[angle] = _worth(angle, person, demand, gaps[angle.craft]) - 0.6 * rank - 0.04 * position
    return worth


def _neighbours(
    person: Person, demand: Demand, crafts: Sequence[Craft], own: Mapping[Angle, float]
) -> dict[Angle, float]:
    """The angles of neighbouring crafts, with their worth; all of them behind the person's own."""
    worth: dict[Angle, float] = {}
    unwanted = {FAMILIES[key].craft for key in person.feedback.unwanted_families}
    for position, angle in enumerate(angle for craft in crafts for angle in craft.near):
        if angle not in own and angle not in worth and angle.craft not in unwanted:
            gaps = demand.gaps(person, CRAFTS[angle.craft].kinds)
            worth[angle] = _worth(angle, person, demand, gaps) - _NEIGHBOUR - 0.25 * position
    return worth


class _Seen:
    """Titles that may not come again, in the same or in other words."""

    def __init__(self, titles: Iterator[str]) -> None:
        self._exact: set[str] = set()
        self._having: dict[str, list[frozenset[str]]] = {}
        for title in titles:
            self._remember(title)

    def add(self, title: str) -> bool:
        """Whether the title is new; if so it counts as seen from now on."""
        if same_title(title) in self._exact:
            return False
        words = stems(title)
        # Titles that are the same but for a word share one of the two rarest words.
        rarest = sorted(words, key=lambda word: len(self._having.get(word, ())))[:2]
        for said in (said for word in rarest for said in self._having.get(word, ())):
            if len(words & said) >= _SAME * len(words | said):
                return False
        self._remember(title)
        return True

    def _remember(self, title: str) -> None:
        self._exact.add(same_title(title))
        words = stems(title)
        for word in words:
            self._having.setdefault(word, []).append(words)


def _worth(angle: Angle, person: Person, demand: Demand, gaps: Sequence[Gap]) -> float:
    """How well an angle suits the market, the person's gaps and the request."""
    total = max(demand.total, 1)
    worth = 2.0 * len(all_ids(demand.for_concepts(angle.concepts))) / total
    closing = [gap for gap in gaps if gap.skill in angle.uses]
    worth += 1.5 * max((len(gap.ids) / total for gap in closing), default=0.0)
    worth += 0.3 * sum(skill in angle.uses for skill in person.has[:20]) / max(len(angle.uses), 1)
    worth += 1.2 * sum(skill in angle.uses for skill in person.asked)
    if person.difficulty not in angle.levels:
        worth -= 4.0
    if angle.suits is not None and any(domain.named.search(person.wants) for domain in angle.domains()):
        worth += _MADE_FOR
    cues = person.feedback
    if any(FAMILIES[key].craft == angle.craft for key in cues.families):
        worth += _FEEDBACK_BONUS
    said = stems(f"{angle.title[person.language]} {angle.about[person.language]}")
    worth += 0.8 * len(said & cues.words)
    if cues.unwanted and said & stems(cues.unwanted):
        worth -= _FEEDBACK_BONUS
    return worth


def _interest(domain: Domain, person: Person, demand: Demand) -> float:
    """How near a domain is to the market's lines, the person's own past and their words."""
    asked = len(all_ids(demand.for_words(domain.named)))
    interest = 0.8 * asked / max(demand.total, 1)
    interest += 3.0 * (domain.named.search(person.wants) is not None)
    interest += 1.5 * (domain.named.search(person.did) is not None)
    if any(domain.named.search(word) for word in person.feedback.words):
        interest += _ASKED
    if person.feedback.unwanted and domain.named.search(person.feedback.unwanted):
        interest -= 2 * _FEEDBACK_BONUS
    return interest


_DEFAULT_COUNT = 4
_MAX_COUNT = 20
_MAX_GAPS = 2
_MAX_STACK = 4
_OWN_TOOLS = 2
"""Of them, in a neighbouring craft."""
_MIN_IDS, _MAX_IDS = 2, 5


def propose(request: Row, profile: Row, summary: Sequence[Row], rejected: Sequence[Row]) -> dict[str, Any]:
    """Returns a `SubjectProposals` with exactly `request["count"]` subjects, none proposed before."""
    person = read_person(request, profile)
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

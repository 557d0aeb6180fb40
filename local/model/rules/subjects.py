"""Which projects to propose: the rules behind `SubjectProposals`.

Every angle is ranked by what the market asks, what the person lacks and what they asked for. Those of
neighbouring crafts follow the person's own. An angle comes back only when all of them have been shown, and
then with another domain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from tools.lexicon import KIND_OF, canonical, find_skills
from tools.lexicon.families import FAMILIES
from tools.lexicon.stems import COMMON, stems

from .crafts import CRAFTS, Angle, Craft, Domain, Idea, Words, angle_of, ideas_titled
from .market import TOPICS, Demand, Gap, is_choice
from .person import Person, read_person
from .text import read, same_title, say

Row = Mapping[str, Any]

_SAME = 0.85
_FEEDBACK_BONUS = 3.0
_MADE_FOR = 0.7
"""What an angle gains that is made for the few domains of which the person's own is one."""
_OWN_TASTE = 1.2
"""What sets two people apart for whom the market speaks alike."""
_AGAIN = 2.5
"""What a domain loses each time it was shown."""
_ASKED = 10.0
"""What a domain gains that the feedback names: however often it was shown, it is wanted now."""
_UNSUITABLE, _NEIGHBOUR, _SHOWN = 1, 2, 3
"""How far an angle comes behind that is of another level, of a neighbouring craft, or was shown."""


def choose(
    person: Person, demand: Demand, crafts: Sequence[Craft], rejected: Sequence[Row], amount: int
) -> list[Idea]:
    """Returns `amount` ideas, none proposed before; fewer when everything has been shown."""
    past = _Past(rejected, crafts, person.language)
    seen = _Seen(read(row, "title") for row in rejected)
    worth = _angles(person, demand, crafts)
    own = {angle for craft in crafts for angle in craft.angles}
    interest: dict[Domain, float] = {}
    for angle in worth:
        for domain in angle.domains():
            if domain not in interest:
                interest[domain] = _interest(domain, person, demand) - 0.004 * len(interest)

    def order(angle: Angle) -> tuple[int, float]:
        unsuitable = _UNSUITABLE * (person.difficulty not in angle.levels)
        return _SHOWN * past.angles[angle] + max(_NEIGHBOUR * (angle not in own), unsuitable), -worth[angle]

    chosen: list[Idea] = []
    while len(chosen) < amount:
        batch = {idea.domain for idea in chosen}
        ideas = _ideas(sorted(worth, key=order), interest, past, batch)
        idea = next((idea for idea in ideas if seen.add(idea.title(person.language))), None)
        if idea is None:
            break
        past.remember(idea)
        chosen.append(idea)
    return chosen


class _Past:
    """What was shown in this session: how often each angle and domain, and which pairs."""

    def __init__(self, rejected: Sequence[Row], crafts: Sequence[Craft], language: str) -> None:
        self.angles: Counter[Angle] = Counter()
        self.domains: Counter[Domain] = Counter()
        self.pairs: Counter[tuple[Angle, Domain]] = Counter()
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


def _ideas(
    angles: Sequence[Angle], interest: Mapping[Domain, float], past: _Past, batch: set[Domain]
) -> Iterator[Idea]:
    """Every idea, the best first; those of the first angle are the usual answer."""
    for angle in angles:
        domains = sorted(
            angle.domains(),
            key=lambda domain: (
                past.pairs[angle, domain],
                domain in batch,
                _AGAIN * past.domains[domain] - interest[domain],
            ),
        )
        yield from (Idea(angle, domain, past.angles[angle]) for domain in domains)


def _angles(person: Person, demand: Demand, crafts: Sequence[Craft]) -> dict[Angle, float]:
    """Every angle open to the person, with its worth: those of their crafts, then of neighbouring ones."""
    worth: dict[Angle, float] = {}
    gaps: dict[str, list[Gap]] = {}
    unwanted = {FAMILIES[key].craft for key in person.feedback.unwanted_families}
    listed = [
        (angle, 0.6 * rank + 0.04 * position, craft.key)
        for rank, craft in enumerate(crafts)
        for position, angle in enumerate(craft.angles)
    ]
    near = dict.fromkeys(angle for craft in crafts for angle in craft.near)
    listed += [(angle, 0.25 * position, "") for position, angle in enumerate(near)]
    for angle, behind, craft_key in listed:
        if angle in worth or (angle.craft in unwanted and angle.craft != craft_key):
            continue
        if angle.craft not in gaps:
            gaps[angle.craft] = demand.gaps(person, CRAFTS[angle.craft].kinds)
        worth[angle] = _worth(angle, person, demand, gaps[angle.craft]) - behind
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
    worth = 2.0 * len(demand.asking(angle.concepts)) / total
    worth += 1.5 * max((gap.count / total for gap in gaps if gap.skill in angle.uses), default=0.0)
    worth += 0.3 * sum(skill in angle.uses for skill in person.has[:20]) / max(len(angle.uses), 1)
    worth += 1.2 * sum(skill in angle.uses for skill in person.asked)
    if angle.suits is not None and any(domain.named.search(person.wants) for domain in angle.domains()):
        worth += _MADE_FOR
    cues = person.feedback
    if any(FAMILIES[key].craft == angle.craft for key in cues.families):
        worth += _FEEDBACK_BONUS
    said = stems(f"{angle.title[person.language]} {angle.about[person.language]}")
    worth += 0.8 * len(said & cues.words) + 0.4 * len((said - COMMON) & stems(person.wants))
    if cues.unwanted and said & stems(cues.unwanted):
        worth -= _FEEDBACK_BONUS
    return worth + _OWN_TASTE * _taste(person, angle.key)


def _interest(domain: Domain, person: Person, demand: Demand) -> float:
    """How near a domain is to the market's lines, the person's own past and their words."""
    interest = 0.8 * len(demand.telling(domain.named)) / max(demand.total, 1)
    interest += 3.0 * (domain.named.search(person.wants) is not None)
    interest += 1.5 * (domain.named.search(person.did) is not None)
    if any(domain.named.search(word) for word in person.feedback.words):
        interest += _ASKED
    if person.feedback.unwanted and domain.named.search(person.feedback.unwanted):
        interest -= 2 * _FEEDBACK_BONUS
    return interest + _OWN_TASTE * _taste(person, domain.key)


def _taste(person: Person, key: str) -> float:
    """A number from 0 to 1 that is this person's own: without it, all who want one job get one project."""
    return blake2b(f"{person.text}\n{key}".encode(), digest_size=1).digest()[0] / 255


_DEFAULT_COUNT = 4
_MAX_COUNT = 20
_MAX_GAPS = {"beginner": 2, "intermediate": 3, "advanced": 3}
_MAX_STACK = 6
_OWN_TOOLS = 2
"""Of them, in a neighbouring craft."""
_MAIN_IDS, _CANDIDATE_IDS = 6, 3
_MAIN_SKILLS = 6
"""Skills that the person lists first: what a subject leaves out of them is named."""


def propose(
    request: Row, profile: Row, summary: Sequence[Row], postings: Sequence[Row], rejected: Sequence[Row]
) -> dict[str, Any]:
    """Returns a `SubjectProposals` with `request["count"]` subjects, none proposed before, the one with the
    best fit first; fewer when everything has been shown."""
    person = read_person(request, profile)
    demand = Demand(summary, request, postings)
    asked = request.get("count")
    count = asked if isinstance(asked, int) and not isinstance(asked, bool) else _DEFAULT_COUNT
    ideas = choose(person, demand, crafts_for(person), rejected, min(max(count, 0), _MAX_COUNT))
    most = [_CANDIDATE_IDS] * len(ideas)
    if request.get("main") is not False:
        most[:1] = [_MAIN_IDS]
    return {"subjects": [_in_words(idea, person, demand, ids) for idea, ids in zip(ideas, most, strict=True)]}


def crafts_for(person: Person) -> list[Craft]:
    """Returns whose templates suit the person, those of the wanted family first."""
    cues = person.feedback
    named = [FAMILIES[key] for key in cues.families]
    families = [*person.wish.families[:2], *named]
    kept = [family for family in families if family.key not in cues.unwanted_families] or families[:1]
    return list(dict.fromkeys(CRAFTS[family.craft] for family in kept))


def _in_words(idea: Idea, person: Person, demand: Demand, most_ids: int) -> dict[str, Any]:
    language = person.language
    angle, craft = idea.angle, CRAFTS[idea.angle.craft]
    words = Words(idea.domain, language, person.difficulty)
    gaps = choose_gaps(angle, person, demand)
    skills = choose_skills(craft, angle, person, demand, [gap.skill for gap in gaps])
    sentences = [_lead(idea, words, language), *_about_skills(gaps, person, demand)]
    description = " ".join(sentence[:1].upper() + sentence[1:] for sentence in sentences)
    goal = angle.goal[language].format_map(words)
    if not any(letter.isdigit() for letter in goal):
        goal = say("counted", language, goal=goal, runs=words["runs"])
    speaking = Counter([*demand.telling(idea.domain.named), *demand.asking(angle.concepts)])
    speaking.update(found for gap in gaps for found in demand.naming(gap.skill))
    ids = dict.fromkeys([*(found for found, _ in speaking.most_common()), *demand.ids[:2]])
    told = "\n".join((idea.title(language), description, angle.about[language], *skills))
    wishes = [wish for wish in (*person.wishes, *person.hopes) if _serves(wish, told, idea, skills)]
    unserved = [wish for wish in person.wishes if wish not in wishes]
    kind = "gap_closest" if demand.closest else "gap"
    return {
        "title": idea.title(language),
        "description": description,
        "goal": goal[:1].upper() + goal[1:],
        "wishes": wishes or [person.job][: bool(person.job)],
        "strengths": [*(skill for skill in skills if skill in person.has), *person.past][:4],
        "skills": skills,
        "skill_gaps": [
            {"skill": gap.skill, "reason": say(kind, language, total=demand.total, count=gap.count)}
            for gap in gaps
        ],
        "not_covered": _left_out(unserved, skills, person, demand),
        "posting_ids": list(ids)[:most_ids],
    }


def _serves(wish: str, told: str, idea: Idea, skills: Sequence[str]) -> bool:
    """Whether a subject answers a wish: by the skills that it names, its domain or what it is about."""
    named = find_skills(wish)
    if named:
        return bool(set(named) & set(skills))
    return bool(idea.domain.named.search(wish.lower()) or (stems(wish) - COMMON) & stems(told))


def _left_out(
    unserved: Sequence[str], skills: Sequence[str], person: Person, demand: Demand
) -> list[dict[str, str]]:
    """What of the wishes, the person's main skills and the market's common ones a subject does not have."""
    language = person.language
    left = {wish: say("left_wish", language) for wish in unserved}
    for name in [name for name in person.listed if find_skills(name)][:_MAIN_SKILLS]:
        if not {canonical(name), *find_skills(name)} & set(skills):
            left[name] = say("left_skill", language)
    for skill in demand.common:
        same = [own for own in skills if own in person.has and is_choice(skill, own)]
        why = "left_closest" if demand.closest else "left_own" if same else "left_gap"
        if skill not in skills:
            counts = {"total": demand.total, "count": demand.skills[skill], "skill": "".join(same[:1])}
            left.setdefault(skill, say(why, language, **counts))
    return [{"name": name, "reason": reason} for name, reason in left.items()]


def _lead(idea: Idea, words: Words, language: str) -> str:
    """What is built; of an angle that comes back, by way of another of its tasks each time."""
    angle, leading = idea.angle, idea.task(language)
    if leading is None:
        return angle.description[language].format_map(words)
    task = leading.description.format_map(words)
    task = task[:1].upper() + task[1:]
    return say("again", language, thing=words["thing"], about=angle.about[language], task=task)


def choose_gaps(angle: Angle, person: Person, demand: Demand) -> list[Gap]:
    """Returns the gaps this angle closes: what was asked for, what at least half of the postings want, and
    what it uses. A second one of a kind would teach the same again.

    What the market wants is taken of the person's own craft: an angle of a neighbouring one is no reason to
    learn its tools.
    """
    own = frozenset(kind for craft in crafts_for(person) for kind in craft.kinds)
    wanted = demand.gaps(person, own)
    gaps = list(
        {gap.skill: gap for gap in [*demand.gaps(person, CRAFTS[angle.craft].kinds), *wanted]}.values()
    )
    asked = [gap for gap in gaps if gap.skill in person.asked]
    common = [gap for gap in wanted if gap.skill in demand.common]
    used = [gap for gap in gaps if gap.skill in angle.uses]
    by_kind: dict[str, Gap] = {}
    for gap in [*asked, *common, *used] or wanted[:1]:
        by_kind.setdefault(KIND_OF[gap.skill], gap)
    return list(by_kind.values())[: _MAX_GAPS[person.difficulty]]


def choose_skills(craft: Craft, angle: Angle, person: Person, demand: Demand, gaps: list[str]) -> list[str]:
    """Returns the skills of a subject: the person's own stack, what was asked for, then the gaps.

    In a neighbouring craft one goes on with one's own tools and adds a few of its.
    """
    refused = set(person.feedback.unwanted_skills)
    home = crafts_for(person)
    kinds = craft.kinds if craft in home else frozenset[str]().union(*(own.kinds for own in home))
    own = [skill for skill in person.has if KIND_OF[skill] in kinds and skill not in refused]
    main = {canonical(name) for name in person.listed[:_MAIN_SKILLS]} | set(demand.common)
    near = sorted(
        own,
        key=lambda skill: (skill not in main, skill not in angle.uses and skill not in craft.stack),
    )
    stack = near[:_MAX_STACK]
    usual = [skill for skill in dict.fromkeys([*demand.skills, *craft.stack]) if skill in craft.stack]
    usual = [skill for skill in usual if skill not in refused]
    main_kinds = {KIND_OF[skill] for skill in craft.stack} - {"database"}
    if stack and craft not in home:
        tools = [skill for skill in usual if KIND_OF[skill] != "language" or skill == "SQL"]
        stack = [*stack, *(tools or usual)[:_OWN_TOOLS]]
    elif not any(KIND_OF[skill] in main_kinds for skill in stack):
        stack = [*stack, *usual[:3]]
    return list(dict.fromkeys([*stack, *person.asked, *gaps]))


def _about_skills(gaps: Sequence[Gap], person: Person, demand: Demand) -> list[str]:
    language, sentences = person.language, []
    asked = [skill for skill in person.asked if skill not in {gap.skill for gap in gaps}]
    if asked:
        sentences.append(say("asked", language, skills=", ".join(asked[:3])))
    if demand.closest:
        sentences.append(closest(person, demand))
    if gaps and gaps[0].count:
        name = "use_topic" if gaps[0].skill in TOPICS else "use_tool"
        counts = {"total": demand.total, "count": gaps[0].count}
        sentences.append(say(name, language, skill=gaps[0].skill, **counts))
    return sentences


def closest(person: Person, demand: Demand) -> str:
    """Says that no posting was for the desired job."""
    job = person.job or person.wish.family.name[person.language]
    return say("closest", person.language, job=job)

"""Which projects to propose: the rules behind `SubjectProposals`.

Every combination of angle, domain and twist is ranked by what the market asks, what the person lacks
and what they asked for; the best ones that were never proposed are put into words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count as numbers
from typing import Any

from tools.lexicon import KIND_OF

from .crafts import CRAFTS, DOMAINS, TWISTS, Angle, Craft, Domain, Idea, Words
from .demand import Demand, Gap, all_ids
from .families import FAMILIES
from .korean import Word
from .person import Person, meet
from .text import read, same_title, stems

Row = Mapping[str, Any]

_DEFAULT_COUNT = 4
_MAX_COUNT = 20
_MAX_GAPS = 2
_MAX_STACK = 4
_MIN_IDS, _MAX_IDS = 2, 5
_SAME = 0.85
_FEEDBACK_BONUS = 3.0


def propose(request: Row, profile: Row, summary: Sequence[Row], rejected: Sequence[Row]) -> dict[str, Any]:
    """Returns a `SubjectProposals` with exactly `request["count"]` subjects, none proposed before."""
    person = meet(request, profile)
    demand = Demand(summary)
    wanted = request.get("count")
    amount = min(max(wanted, 1), _MAX_COUNT) if isinstance(wanted, int) else _DEFAULT_COUNT
    seen = _Seen(read(row, "title") for row in rejected)
    subjects: list[dict[str, Any]] = []
    ranked = list(_ranked(person, demand))
    angles: set[Angle] = set()
    domains: set[Domain] = set()
    used: set[tuple[Angle, Domain]] = set()
    # Three passes: a new angle on a new domain, then a new angle, then anything new.
    for strict in (2, 1, 0):
        for idea in ranked if strict else _endless(ranked):
            if len(subjects) == amount:
                break
            if (strict and idea.angle in angles) or (strict > 1 and idea.domain in domains):
                continue
            if (idea.angle, idea.domain) in used or not seen.add(idea.title(person.language)):
                continue
            angles.add(idea.angle)
            domains.add(idea.domain)
            used.add((idea.angle, idea.domain))
            subjects.append(_in_words(idea, person, demand))
    return {"subjects": subjects}


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


def crafts_for(person: Person) -> list[Craft]:
    """Returns whose templates suit the person, those of the wanted family first."""
    cues = person.feedback
    named = [FAMILIES[key] for key in cues.families]
    families = [*person.wish.families[:2], *named]
    kept = [family for family in families if family.key not in cues.unwanted_families] or families[:1]
    return list(dict.fromkeys(CRAFTS[family.craft] for family in kept))


def _endless(ranked: Sequence[Idea]) -> Iterator[Idea]:
    yield from ranked
    bare = [idea for idea in ranked if idea.twist is None]
    for size in numbers(1):
        for idea in bare:
            yield Idea(idea.angle, idea.domain, None, size)


def _ranked(person: Person, demand: Demand) -> Iterator[Idea]:
    """Every idea, best first: those without a twist, then twist by twist."""
    scored: dict[tuple[Angle, Domain], float] = {}
    gaps: dict[str, list[Gap]] = {}
    unwanted_crafts = {FAMILIES[key].craft for key in person.feedback.unwanted_families}
    for rank, craft in enumerate(crafts_for(person)):
        for position, angle in enumerate(craft.angles):
            if angle.craft in unwanted_crafts and angle.craft != craft.key:
                continue
            home = CRAFTS[angle.craft]
            if angle.craft not in gaps:
                gaps[angle.craft] = demand.gaps(person, home.kinds)
            worth = _worth(angle, person, demand, gaps[angle.craft]) - 0.6 * rank - 0.04 * position
            for place, domain in enumerate(DOMAINS[home.domains]):
                if (angle, domain) not in scored:
                    scored[angle, domain] = worth + _interest(domain, person, demand) - 0.004 * place
    ordered = sorted(scored, key=scored.__getitem__, reverse=True)
    for angle, domain in ordered:
        yield Idea(angle, domain)
    twists = {key: TWISTS[CRAFTS[key].twists] for key in gaps}
    for turn in range(max(map(len, twists.values()), default=0)):
        for place, (angle, domain) in enumerate(ordered):
            listed = twists[angle.craft]
            if turn < len(listed):
                yield Idea(angle, domain, listed[(turn + place) % len(listed)])


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
    interest = 1.6 * asked / max(demand.total, 1)
    if domain.named.search(person.text):
        interest += 0.35
    if any(domain.named.search(word) for word in person.feedback.words):
        interest += 1.5
    if person.feedback.unwanted and domain.named.search(person.feedback.unwanted):
        interest -= _FEEDBACK_BONUS
    return interest


def _in_words(idea: Idea, person: Person, demand: Demand) -> dict[str, Any]:
    language = person.language
    angle, craft = idea.angle, CRAFTS[idea.angle.craft]
    words = Words(idea.domain, language, person.difficulty)
    gaps = choose_gaps(angle, person, demand)
    sentences = [angle.description[language].format_map(words)]
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
    ids = dict.fromkeys([found for found in all_ids(lines) if found])
    ids.update(dict.fromkeys(found for gap in gaps for found in gap.ids))
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


def choose_gaps(angle: Angle, person: Person, demand: Demand) -> list[Gap]:
    """Returns the gaps this angle closes: what it uses before what the market merely asks most."""
    gaps = demand.gaps(person, CRAFTS[angle.craft].kinds)
    asked = [gap for gap in gaps if gap.skill in person.asked]
    used = [gap for gap in gaps if gap.skill in angle.uses]
    by_kind: dict[str, Gap] = {}
    for gap in [*asked, *used]:
        by_kind.setdefault(KIND_OF[gap.skill], gap)  # a second one of the kind would teach the same again
    return list(by_kind.values())[:_MAX_GAPS] or gaps[:1]


def choose_skills(craft: Craft, angle: Angle, person: Person, demand: Demand, gaps: list[str]) -> list[str]:
    """Returns the skills of a subject: the person's own stack, what was asked for, then the gaps."""
    refused = set(person.feedback.unwanted_skills)
    own = [skill for skill in person.has if KIND_OF[skill] in craft.kinds and skill not in refused]
    near = sorted(
        own, key=lambda skill: (skill not in angle.uses and skill not in craft.stack, own.index(skill))
    )
    stack = near[:_MAX_STACK]
    main_kinds = {KIND_OF[skill] for skill in craft.stack} - {"database"}
    if not any(KIND_OF[skill] in main_kinds for skill in stack):
        market = [skill for skill in demand.skills if skill in craft.stack]
        stack = [*[skill for skill in (*market, *craft.stack) if skill not in refused][:3], *stack]
    return list(dict.fromkeys([*stack[:_MAX_STACK], *person.asked, *gaps]))


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
    if gaps and gaps[0].ids:
        gap = gaps[0]
        sentences.append(
            f"공고 {demand.total}곳 가운데 {len(gap.ids)}곳이 찾는 {Word(gap.skill):을} 직접 써 본다."
            if korean
            else f"You put {gap.skill} to use, which {len(gap.ids)} of {demand.total} postings ask for."
        )
    return sentences


def _reason(gap: Gap, demand: Demand, language: str) -> str:
    if language == "ko":
        return f"프로필에 경험이 드러나지 않음; 공고 {demand.total}곳 중 {len(gap.ids)}곳이 요구"
    verb = "asks" if len(gap.ids) == 1 else "ask"
    return f"The profile does not show it; {len(gap.ids)} of {demand.total} postings {verb} for it"

"""Which ideas to propose: an angle that was not shown yet, on a domain that is near to the person.

Every angle is ranked by what the market asks, what the person lacks and what they asked for. Those of
neighbouring crafts follow the person's own. An angle comes back only when all of them have been
shown, and then with another domain and another twist.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import count as numbers
from typing import Any

from .crafts import CRAFTS, TWISTS, Angle, Craft, Domain, Idea, Twist, angle_of, ideas_titled
from .demand import Demand, Gap, all_ids
from .families import FAMILIES
from .person import Person
from .text import read, same_title, stems

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

"""The templates of projects: what each family builds (`data/crafts/*.yaml`), and about what
(`data/domains.yaml`).

A subject is a combination: an angle (what is to be shown) x a domain (what it is about).
Texts are templates for `str.format`; Korean values take particles, see `korean`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from .korean import Word
from .text import DATA, PHRASES, load_yaml, same_title, say

LANGUAGES = ("ko", "en")


@dataclass(frozen=True)
class TaskText:
    """A task as templates: what to do, how, and what there is to show at the end; of one that causes a
    failure also the signal that shows it, and the remedy."""

    title: str
    description: str
    deliverable: str
    signal: str = ""
    remedy: str = ""


@dataclass(frozen=True, eq=False)
class Stage:
    """A step of a project in one language."""

    title: str
    tasks: tuple[TaskText, ...]


@dataclass(frozen=True, eq=False)
class Domain:
    """What a project is about. `words` by language: thing, item, items, user."""

    key: str
    words: Mapping[str, Mapping[str, str]]
    named: re.Pattern[str]


@dataclass(frozen=True, eq=False)
class Angle:
    """What a project is to show.

    `concepts` are the market's lines that speak for it (keys of `data/concepts.yaml`), `uses` the
    skills it can honestly exercise, `levels` whom it suits, `about` names it in a sentence.
    """

    key: str
    craft: str
    concepts: frozenset[str]
    uses: tuple[str, ...]
    levels: tuple[str, ...]
    about: Mapping[str, str]
    title: Mapping[str, str]
    description: Mapping[str, str]
    goal: Mapping[str, str]
    build: Mapping[str, Stage]
    prove: Mapping[str, Stage]
    suits: frozenset[str] | None = None
    """Keys of the domains in which it makes sense; None: all of its craft."""

    def domains(self) -> tuple[Domain, ...]:
        """Returns the domains in which it makes sense."""
        listed = DOMAINS[CRAFTS[self.craft].domains]
        return tuple(domain for domain in listed if self.suits is None or domain.key in self.suits)


@dataclass(frozen=True, eq=False)
class Craft:
    """How a family works: its own first, middle and last steps, and its angles."""

    key: str
    domains: str
    kinds: frozenset[str]
    stack: tuple[str, ...]
    main: tuple[str, ...]
    """Kinds of skills of which one is the tool of the core step; empty: whatever the stack names."""
    start: Mapping[str, Stage]
    core: Mapping[str, Stage]
    ops: Mapping[str, Stage]
    finish: Mapping[str, Stage]
    angles: tuple[Angle, ...] = field(default=())
    near: tuple[Angle, ...] = field(default=())
    """Angles of neighbouring crafts that suit this one too, when its own have been shown."""


@dataclass(frozen=True)
class Idea:
    """A subject before it is put into words."""

    angle: Angle
    domain: Domain
    view: int = 0
    """How often the angle was proposed before: it is then shown by way of another of its tasks each time."""

    def task(self, language: str) -> TaskText | None:
        """Returns the task that leads; None the first time."""
        if not self.view:
            return None
        tasks = [*self.angle.build[language].tasks, *self.angle.prove[language].tasks]
        return tasks[(self.view - 1) % len(tasks)]

    def title(self, language: str) -> str:
        """Returns its title; no two ideas of a language share one, but for those whose tasks come round."""
        words = Words(self.domain, language)
        task = self.task(language)
        title = self.angle.title[language].format_map(words)
        if task is not None:
            led = task.title.format_map(words)
            title = say(
                "again_title",
                language,
                task=led[:1].upper() + led[1:],
                thing=words["thing"],
                about=self.angle.about[language],
            )
        return title[:1].upper() + title[1:]


class Words(dict[str, Word]):
    """The values of a template: those of the domain, and the amounts that suit a difficulty."""

    def __init__(self, domain: Domain, language: str, difficulty: str = "intermediate", **more: str) -> None:
        super().__init__({name: Word(word) for name, word in domain.words[language].items()})
        for name, amount in PHRASES["amounts"][difficulty].items():
            self[name] = Word(amount if isinstance(amount, str) else amount[language])
        self.update({name: Word(word) for name, word in more.items()})


def read_task(text: str) -> TaskText:
    """Returns a task that is written as parts between bars."""
    return TaskText(*(part.strip() for part in text.split(" | ")))


def _stage(entry: Mapping[str, list[str]]) -> dict[str, Stage]:
    return {
        language: Stage(entry[language][0], tuple(read_task(text) for text in entry[language][1:]))
        for language in LANGUAGES
    }


def _angle(craft: str, key: str, entry: Mapping[str, Any]) -> Angle:
    return Angle(
        key=key,
        craft=craft,
        concepts=frozenset(entry["concepts"]),
        uses=tuple(entry["uses"]),
        levels=tuple(entry.get("levels", ("beginner", "intermediate", "advanced"))),
        about=entry["about"],
        title=entry["title"],
        description=entry["description"],
        goal=entry["goal"],
        build=_stage(entry["build"]),
        prove=_stage(entry["prove"]),
        suits=_suits(f"{craft}.{key}", entry),
    )


def _suits(name: str, entry: Mapping[str, Any]) -> frozenset[str] | None:
    """The domains of an angle: those its entry lists, or the set `data/suits.yaml` gives it."""
    listed = entry.get("domains", _SUITS["angles"].get(name))
    return None if listed is None else frozenset(_SUITS["sets"].get(listed, ()))


_SUITS: dict[str, dict[str, Any]] = load_yaml("suits.yaml")


def _load_crafts() -> dict[str, Craft]:
    names = sorted(path.name for path in (DATA / "crafts").iterdir())
    entries = {name.removesuffix(".yaml"): load_yaml(f"crafts/{name}") for name in names}
    own = {
        key: tuple(_angle(key, name, angle) for name, angle in (entry.get("angles") or {}).items())
        for key, entry in entries.items()
    }
    crafts = {}
    for key, entry in entries.items():
        borrowed, near = (_named(own, entry.get(part, ())) for part in ("borrow", "near"))
        crafts[key] = Craft(
            key=key,
            domains=entry["domains"],
            kinds=frozenset(entry["kinds"]),
            stack=tuple(entry["stack"]),
            main=tuple(entry.get("main", ())),
            start=_stage(entry["start"]),
            core=_stage(entry["core"]),
            ops=_stage(entry["ops"]),
            finish=_stage(entry["finish"]),
            angles=(*own[key], *borrowed),
            near=near,
        )
    return crafts


def _named(own: Mapping[str, tuple[Angle, ...]], names: Sequence[str]) -> tuple[Angle, ...]:
    """The angles that `craft.angle` names."""
    parts = [name.split(".") for name in names]
    return tuple(next(angle for angle in own[craft] if angle.key == key) for craft, key in parts)


def _load_domains() -> dict[str, tuple[Domain, ...]]:
    return {
        group: tuple(
            Domain(
                key,
                {
                    "ko": {"thing": row[0], "item": row[1], "items": row[1], "user": row[2]},
                    "en": {"thing": row[3], "item": row[4], "items": row[5], "user": row[6]},
                },
                re.compile(row[7]),
            )
            for key, row in rows.items()
        )
        for group, rows in load_yaml("domains.yaml").items()
    }


CRAFTS = _load_crafts()
DOMAINS = _load_domains()


def ideas_titled(title: str, crafts: Iterator[Craft], language: str) -> Idea | None:
    """Returns the idea whose title this is, looking through `crafts` in order; None if none has it."""
    same = same_title(title)
    return next((titles[same] for craft in crafts if same in (titles := _titles(craft.key, language))), None)


@cache
def _titles(craft: str, language: str) -> dict[str, Idea]:
    ideas = [
        Idea(angle, domain, view)
        for angle in CRAFTS[craft].angles
        for domain in DOMAINS[CRAFTS[angle.craft].domains]
        for view in range(1 + len(angle.build[language].tasks) + len(angle.prove[language].tasks))
    ]
    return {same_title(idea.title(language)): idea for idea in ideas}


@lru_cache(maxsize=8192)
def angle_of(title: str, description: str, language: str) -> Angle | None:
    """Returns the angle whose pattern a title or a description follows, whatever it is about."""
    for angle, by_title, by_description in _patterns(language):
        if by_title.fullmatch(title.strip()) or (description and by_description.match(description)):
            return angle
    return None


@cache
def _patterns(language: str) -> list[tuple[Angle, re.Pattern[str], re.Pattern[str]]]:
    angles = [angle for craft in CRAFTS.values() for angle in craft.angles if angle.craft == craft.key]
    return [
        (angle, _pattern(angle.title[language]), _pattern(angle.description[language])) for angle in angles
    ]


def _pattern(template: str) -> re.Pattern[str]:
    pieces = re.split(r"\{[^}]*\}", template)
    return re.compile(r".{1,60}?".join(re.escape(piece) for piece in pieces), re.I)

"""What an evaluator is, what it returns, and how the evaluators read a case's outputs.

Nothing here is shared with the service but the dictionary of skills, so that a fault of the service is not
repeated by what looks for it. Answers of before lack fields that the contract has gained: what is not there
is read as empty.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from typing_extensions import TypedDict

from evals.evaluators.words import implied
from tools.lexicon import KIND_OF, canonical, find_skills
from tools.lexicon.stems import EVERYDAY_SKILLS

SKILLS = frozenset(name.casefold() for name in KIND_OF)
"""The skills of the dictionary, in lower case."""
EVERYDAY = frozenset(name.casefold() for name in EVERYDAY_SKILLS)
"""Those that no project is done to show."""
_LISTED = 5
"""Failures that a comment lists."""
_COMMENT = 160
"""Characters of one failure in a comment."""

Json = dict[str, Any]
Check = tuple[bool, str]
"""Whether something is right, and what it is about."""


class Score(TypedDict):
    """One figure of one case. `score` is None where the metric does not apply; means leave it out.
    `comment` says what failed, or why there is no score."""

    key: str
    score: float | None
    comment: str


class Evaluator(Protocol):
    """Scores one case by rule. `outputs` are those of `Target.run`. It computes: to be called in a thread."""

    def __call__(
        self, inputs: dict[str, Any], outputs: dict[str, Any], reference_outputs: dict[str, Any]
    ) -> list[Score]:
        """Returns every score of its group, in a fixed order."""


@dataclass(frozen=True, slots=True)
class Metric:
    """What a score means. `tolerance`, in the metric's own unit, is a fall too small to matter, whatever
    its significance. The gate watches the `guarded` ones."""

    better: Literal["higher", "lower"]
    what: str
    unit: str = "share"
    guarded: bool = False
    tolerance: float = 0.02


def absent(key: str, why: str) -> Score:
    """Returns a score for a metric that does not apply."""
    return Score(key=key, score=None, comment=why)


def all_absent(metrics: Iterable[str], why: str = "no answer") -> list[Score]:
    """Returns a score for each of the metrics, none of which applies."""
    return [absent(key, why) for key in metrics]


def number(key: str, value: float, comment: str = "") -> Score:
    """Returns a score that is a figure."""
    return Score(key=key, score=float(value), comment=comment)


def mean(key: str, parts: Iterable[tuple[float, str]], *, none: str) -> Score:
    """Returns the mean of `parts` (each 0 to 1 or a bool, and what it is about), with those below 1 as the
    comment; without any, no score, because of `none`."""
    listed = list(parts)
    if not listed:
        return absent(key, none)
    short = [what for part, what in listed if part < 1]
    return number(key, sum(part for part, _ in listed) / len(listed), failures(short))


def failures(failed: Sequence[str]) -> str:
    """Returns the first failures in one line."""
    listed = "; ".join(what[:_COMMENT] for what in failed[:_LISTED])
    return f"{listed}; and {len(failed) - _LISTED} more" if len(failed) > _LISTED else listed


@dataclass(frozen=True, slots=True)
class Turn:
    """A regeneration that succeeded: its wishes, the answer before it, and its answer."""

    wishes: Json
    before: Json
    after: Json


def answers(outputs: Json) -> list[Json]:
    """Returns the answers in order: the first one, then one for each turn that succeeded."""
    return list(outputs.get("answers") or [])


def turns(outputs: Json) -> list[Turn]:
    """Returns the regenerations that succeeded."""
    listed = answers(outputs)
    wishes = [turn["wishes"] for turn in outputs.get("turns") or [] if not turn["error"]]
    return [Turn(*turn) for turn in zip(wishes, listed, listed[1:], strict=False)]


def kept_ids(answer: Json) -> list[str]:
    """Returns the ids of the postings that an answer rests on."""
    return [posting["posting_id"] for posting in answer["postings"] if posting["kept"]]


def kept_postings(outputs: Json) -> list[Json]:
    """Returns the postings that the answers rest on: those of the first, as no turn filters again."""
    listed = answers(outputs)
    postings = outputs.get("postings") or {}
    return [postings[i] for i in kept_ids(listed[0]) if i in postings] if listed else []


def posting_text(posting: Json) -> str:
    """Returns everything a quote may stand in."""
    parts = (posting.get(k) or "" for k in ("job_title", "responsibilities", "requirements", "preferred"))
    return "\n".join(parts)


def folded(text: str) -> str:
    """Returns the text with every run of white space as one space."""
    return " ".join(text.split())


def plain(text: str) -> str:
    """Returns the text without case, width, invisible characters and white space: what a reader would take
    for the same string."""
    normal = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in normal if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc"))


def canonical_skills(skills: Iterable[str]) -> set[str]:
    """Returns skills by their canonical names, in lower case."""
    return {canonical(skill).casefold() for skill in skills if skill.strip()}


def mentioned_skills(*texts: str) -> set[str]:
    """Returns the skills of the dictionary that texts name, as `canonical_skills` has them."""
    return {skill.casefold() for text in texts for skill in find_skills(text)}


def posting_skills(posting: Json) -> set[str]:
    """Returns the skills that a posting names, in its list or in its text, as `canonical_skills` has them."""
    return canonical_skills(posting.get("skills") or []) | mentioned_skills(posting_text(posting))


def asks_for(posting: Json, skill: str) -> bool:
    """Whether a posting names a skill: in its list, by any spelling of the dictionary, or literally."""
    return canonical(skill).casefold() in posting_skills(posting) or _literally(skill, posting_text(posting))


def most_wanted(postings: Iterable[Json]) -> Counter[str]:
    """Returns how many postings name each skill, in their lists or in their texts."""
    return Counter(skill for posting in postings for skill in posting_skills(posting))


def known_skills(inputs: Json, reference: Json) -> set[str]:
    """Returns what the person can do: the skills of the profile and its projects, those that its jobs name,
    the case's list, and what these imply (React: JavaScript)."""
    profile = inputs.get("profile") or {}
    listed = [*(profile.get("skills") or []), *(reference.get("known_skills") or [])]
    for project in profile.get("projects") or []:
        listed += project.get("skills") or []
    jobs = [
        job.get(part) or "" for job in profile.get("experiences") or [] for part in ("role", "description")
    ]
    named = canonical_skills(listed) | mentioned_skills(*jobs)
    return named | canonical_skills(skill for one in named for skill in implied(one))


def tasks(project: Json) -> list[Json]:
    """Returns the tasks of a project, in order."""
    return [task for step in project["steps"] for task in step["tasks"]]


def task_text(task: Json) -> str:
    """Returns what a task says, with the fault that it causes on purpose."""
    fault = task.get("fault") or {}
    return "\n".join([task["title"], task["description"], task["deliverable"], *map(str, fault.values())])


def used_skills(project: Json) -> set[str]:
    """Returns the skills that the work of a project uses: those its tasks list or mention."""
    listed = tasks(project)
    in_lists = canonical_skills(skill for task in listed for skill in task["skills"])
    return in_lists | mentioned_skills(*map(task_text, listed))


def work_text(project: Json) -> str:
    """Returns what a project says of its own work: not why it was chosen, what it leaves or quotes."""
    steps = [text for step in project["steps"] for text in (step["title"], *map(task_text, step["tasks"]))]
    data = [f"{source['name']}\n{source['origin']}" for source in project.get("data") or []]
    minimum = (project.get("minimum_version") or {}).get("shows") or ""
    more = [project.get("goal") or "", minimum, project.get("costs") or ""]
    return "\n".join([project["title"], project["description"], *more, *steps, *data])


def names_skill(text: str, skill: str) -> bool:
    """Whether a text names a skill, by any spelling of the dictionary or literally."""
    return bool(canonical_skills([skill]) & mentioned_skills(text)) or _literally(skill, text)


def _literally(skill: str, text: str) -> bool:
    """Whether a skill that the dictionary lacks stands in a text; of the others it knows where they do."""
    literal = plain(skill)
    return not canonical_skills([skill]) & SKILLS and len(literal) > 1 and literal in plain(text)


def works_with(project: Json, skill: str) -> bool:
    """Whether the work of a project uses a skill: a list of it, or what it says of the work."""
    used = canonical_skills(project["skills"]) | used_skills(project)
    return bool(canonical_skills([skill]) & used) or names_skill(work_text(project), skill)


def names_as_left(project: Json, name: str) -> bool:
    """Whether a project says that it leaves a wish or a skill; what it names may be a part of a wish."""
    listed = [item["name"] for item in project.get("not_covered") or []]
    whole = plain(name)
    return bool(canonical_skills([name]) & canonical_skills(listed)) or any(
        len(part := plain(one)) > 1 and (part in whole or whole in part) for one in listed
    )


def chosen_subject(outputs: Json, project: Json) -> Json | None:
    """Returns the candidate that a project was built from, when it was shown as one before."""
    candidates = (c for answer in answers(outputs) for c in answer["candidates"])
    return next((c for c in candidates if c["id"] == project["subject_id"]), None)


def sentences(answer: Json) -> Iterator[tuple[str, str]]:
    """Yields what an answer says in its own words: (where, text). Names, ids and quotes are not its own."""
    project = answer["project"]
    for field in ("title", "description", "summary"):
        yield f"project.{field}", project[field]
    yield from _filled("project", project, "goal", "costs")
    yield from _filled("minimum version", project.get("minimum_version") or {}, "shows")
    yield from _filled("data", project.get("data") or [], "origin")
    yield from _filled("left out", project.get("not_covered") or [], "reason")
    yield from _filled("evidence", project["evidence"], "claim")
    for number, step in enumerate(project["steps"], 1):
        yield f"step {number}", step["title"]
        for task in step["tasks"]:
            for field in ("title", "description", "deliverable"):
                yield f"step {number} task {field}", task[field]
            yield from _filled(f"step {number} fault", task.get("fault") or {}, "what", "signal", "remedy")
    for number, subject in enumerate(answer["candidates"], 1):
        for field in ("title", "description", "goal"):
            yield f"candidate {number} {field}", subject[field]
        for gap in subject["skill_gaps"]:
            yield f"candidate {number} gap", gap["reason"]
        yield from _filled(f"candidate {number} left out", subject.get("not_covered") or [], "reason")
    yield from _filled("warning", answer.get("warnings") or [], "message")
    for part, lines in _summary(answer).items():
        # Skills are names, in whatever language the rest is.
        yield from ((f"summary.{part}", line["text"]) for line in lines if part != "skills")


def _filled(where: str, parts: Json | Sequence[Json], *fields: str) -> Iterator[tuple[str, str]]:
    """Texts that an answer need not have: those that are there. Answers of before have none of them."""
    for part in [parts] if isinstance(parts, dict) else parts:
        yield from ((f"{where} {field}", part[field]) for field in fields if part.get(field))


def all_texts(answer: Json) -> Iterator[tuple[str, str]]:
    """Yields `sentences`, the names of skills and data, and the reasons for postings. The person's wishes
    are the person's words, and not among them."""
    yield from sentences(answer)
    for part in (answer["project"], *answer["candidates"]):
        yield from (("left out", item["name"]) for item in part.get("not_covered") or [])
    yield from (("data", source["name"]) for source in answer["project"].get("data") or [])
    for line in _summary(answer).get("skills", []):
        yield "summary.skills", line["text"]
    for skill in answer["project"]["skills"]:
        yield "project.skills", skill
    for task in tasks(answer["project"]):
        yield from (("task skills", skill) for skill in task["skills"])
    for number, subject in enumerate(answer["candidates"], 1):
        yield from ((f"candidate {number} skills", skill) for skill in subject["skills"])
        yield from ((f"candidate {number} gap", gap["skill"]) for gap in subject["skill_gaps"])
    for posting in answer["postings"]:
        yield f"reason of {posting['posting_id']}", posting["reason"]


def _summary(answer: Json) -> Mapping[str, list[Json]]:
    return answer.get("summary") or {}

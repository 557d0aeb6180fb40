"""How the evaluators read a case's outputs. Nothing here is shared with what made them but the dictionary
of skills, so that a fault of the service is not repeated by what looks for it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tools.lexicon import canonical, find_skills

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Turn:
    """A regeneration that ended well: what was asked, the answer before it, and the one it gave."""

    wishes: Json
    before: Json
    after: Json


def answers(outputs: Json) -> list[Json]:
    """The answers in order: the first one, then one for each turn that ended well."""
    return list(outputs.get("answers") or [])


def turns(outputs: Json) -> list[Turn]:
    """The regenerations that ended well."""
    listed = answers(outputs)
    asked = [turn["wishes"] for turn in outputs.get("turns") or [] if not turn["error"]]
    return [
        Turn(wishes, before, after) for wishes, before, after in zip(asked, listed, listed[1:], strict=False)
    ]


def kept_ids(answer: Json) -> list[str]:
    """Ids of the postings that an answer rests on."""
    return [posting["posting_id"] for posting in answer["postings"] if posting["kept"]]


def kept_postings(outputs: Json) -> list[Json]:
    """The postings that the case's answers rest on: those of the first, as no turn filters again."""
    listed = answers(outputs)
    postings = outputs.get("postings") or {}
    return [postings[i] for i in kept_ids(listed[0]) if i in postings] if listed else []


def posting_text(posting: Json) -> str:
    """Everything a quote may stand in."""
    parts = (posting.get(k) or "" for k in ("job_title", "responsibilities", "requirements", "preferred"))
    return "\n".join(parts)


def folded(text: str) -> str:
    """`text` with every stretch of white space as one space."""
    return " ".join(text.split())


def plain(text: str) -> str:
    """`text` without case, width, invisible characters and white space: what a reader would take for the
    same string."""
    shown = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in shown if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc"))


def named(skills: Iterable[str]) -> set[str]:
    """Skills by their canonical names, whatever their case."""
    return {canonical(skill).casefold() for skill in skills if skill.strip()}


def spoken(*texts: str) -> set[str]:
    """The skills of the dictionary that texts name, as `named` has them."""
    return {skill.casefold() for text in texts for skill in find_skills(text)}


def asks_for(posting: Json, skill: str) -> bool:
    """Whether a posting names a skill: in its list, by any spelling of the dictionary, or literally."""
    wanted = canonical(skill).casefold()
    text = posting_text(posting)
    literally = plain(skill)
    return (
        wanted in named(posting.get("skills") or [])
        or wanted in spoken(text)
        or (len(literally) > 1 and literally in plain(text))
    )


def known_skills(inputs: Json, reference: Json) -> set[str]:
    """What the person can do: the profile's skills, those of its projects, and the case's own list."""
    profile = inputs.get("profile") or {}
    listed = [*(profile.get("skills") or []), *(reference.get("known_skills") or [])]
    for project in profile.get("projects") or []:
        listed += project.get("skills") or []
    return named(listed)


def tasks(project: Json) -> list[Json]:
    """The tasks of a project, in order."""
    return [task for step in project["steps"] for task in step["tasks"]]


def task_words(task: Json) -> str:
    """What a task says."""
    return f"{task['title']}\n{task['description']}\n{task['deliverable']}"


def built_with(project: Json) -> set[str]:
    """The skills that the work of a project uses: those its tasks list and those they speak of."""
    listed = tasks(project)
    return named(skill for task in listed for skill in task["skills"]) | spoken(*map(task_words, listed))


def chosen_subject(outputs: Json, project: Json) -> Json | None:
    """The candidate that a project was built from, when it was shown as one before."""
    shown = (c for answer in answers(outputs) for c in answer["candidates"])
    return next((c for c in shown if c["id"] == project["subject_id"]), None)


def sentences(answer: Json) -> Iterator[tuple[str, str]]:
    """What an answer says in its own words: (where, text). Names, ids and quotes are not its own."""
    project = answer["project"]
    for field in ("title", "description", "summary"):
        yield f"project.{field}", project[field]
    for number, step in enumerate(project["steps"], 1):
        yield f"step {number}", step["title"]
        for task in step["tasks"]:
            for field in ("title", "description", "deliverable"):
                yield f"step {number} task {field}", task[field]
    for number, subject in enumerate(answer["candidates"], 1):
        for field in ("title", "description", "goal"):
            yield f"candidate {number} {field}", subject[field]
        for gap in subject["skill_gaps"]:
            yield f"candidate {number} gap", gap["reason"]
    for part, lines in _summary(answer).items():
        # Skills are names, in whatever language the rest is.
        yield from ((f"summary.{part}", line["text"]) for line in lines if part != "skills")


def everything_said(answer: Json) -> Iterator[tuple[str, str]]:
    """`sentences`, the names of skills, and the reasons given of postings."""
    yield from sentences(answer)
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

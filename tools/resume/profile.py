"""A profile of what a model found in a résumé: what does not stand there is left out, and so is what tells
who the person is."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, Field

from tools.core.contacts import is_contact_line, names_in, redacted
from tools.core.contracts import MAX_PROFILE_CHARS, Profile
from tools.core.errors import ModelOutputError
from tools.core.text import cut, folded, texts
from tools.lexicon import canonical, skills_in
from tools.resume.schema import ItemRead, ResumeReading

_LINE, _WORD, _DATE, _JOB = 300, 40, 20, 200
"""Characters of a value: as a profile's, and for a skill no more than a name has."""
_SKILLS, _EDUCATIONS, _EXPERIENCES, _PROJECTS, _ITEMS = 100, 20, 30, 50, 50
_PARAGRAPHS = (4_900, 1_500, 500, 150)
"""Characters of each description, shorter until the profile is not too long."""
_NAMES = 20
_SHORT = 8
"""Letters from which a value also stands in a text that breaks it in the middle of a word, as PDFs do."""
_YEAR_MONTH = re.compile(r"((?:19|20)\d{2})\s*(?:[-./]|년)\s*(1[0-2]|0?[1-9])(?!\d)")
_MONTH_YEAR = re.compile(r"\b([A-Za-z]{3})[a-z]*\.?,?\s+((?:19|20)\d{2})\b")
_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_NOW = re.compile(r"현재|재직|진행|present|current|now|ongoing|today", re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:[-–—•·∙ㆍ▪▶►◆■□○●◦※*>✓✔]|\(?\d{1,2}[.)]\s)\s*")


class DraftProfile(Profile):
    """A profile that the person is to look through: the desired job may be missing."""

    desired_job: str | None = Field(None, max_length=_JOB)  # type: ignore[assignment]


class ReadResume(BaseModel):
    """What a résumé says, as a profile, and what nobody knew where to put."""

    profile: DraftProfile
    not_understood: list[str] = Field(
        description="lines that went nowhere, without numbers and addresses of the person"
    )


class Resume:
    """The lines of a résumé, against which an answer is held."""

    def __init__(self, lines: Sequence[str]) -> None:
        self._lines = lines
        self._folded = [folded(line).lower() for line in lines]
        self._text = " ".join(self._folded)
        self._joined = self._text.replace(" ", "")
        self._skills = frozenset[str]().union(*map(skills_in, lines))

    def problems(self, reading: ResumeReading) -> list[str]:
        """Returns what an answer says that does not stand in the résumé, one sentence each."""
        said = [("desired_job", reading.desired_job)]
        for education in reading.educations:
            said += [(f"educations.{name}", getattr(education, name)) for name in ("school", "major")]
            said += [(f"educations.{name}", getattr(education, name)) for name in ("gpa", "gpa_max")]
        for job in reading.experiences:
            said += [(f"experiences.{n}", getattr(job, n)) for n in ("company", "role", "start", "end")]
        said += [("projects.title", project.title) for project in reading.projects]
        for name in ("activities", "awards", "certificates"):
            for item in getattr(reading, name):
                said += [(f"{name}.title", item.title), (f"{name}.date", item.date)]
        problems = [
            f"{place}: {value!r} does not stand in the resume"
            for place, value in said
            if not self._has(value)
        ]
        listed = [*reading.skills, *(skill for project in reading.projects for skill in project.skills)]
        problems += [
            f"skills: {skill!r} is no skill that the resume names"
            for skill in listed
            if not self._shows(skill)
        ]
        numbers = [*reading.introduction, *reading.private, *reading.headings]
        described = (reading.experiences, reading.projects, _items(reading))
        numbers += [number for rows in described for row in rows for number in row.lines]
        wrong = sorted({number for number in numbers if not 0 < number <= len(self._lines)})
        return [*problems, *(f"lines: there is no line {number}" for number in wrong)]

    def profile(self, reading: ResumeReading) -> ReadResume:
        """Returns the profile of an answer, and the lines that it left.

        Raises:
            ModelOutputError: even with short descriptions it is longer than a profile may be.
        """
        for limit in _PARAGRAPHS:
            draft = _Draft(self, reading, limit)
            values = draft.values()
            if sum(map(len, texts(values))) <= MAX_PROFILE_CHARS:
                return ReadResume(
                    profile=DraftProfile.model_validate(values), not_understood=draft.not_understood()
                )
        raise ModelOutputError(purpose="read_resume", problems=["the profile would be too long"])

    def _has(self, value: str | None) -> bool:
        if not value:
            return True
        wanted = folded(value).lower()
        if _found(wanted, self._text):
            return True
        joined = wanted.replace(" ", "")
        return len(joined) >= _SHORT and joined in self._joined

    def _shows(self, skill: str) -> bool:
        """Whether the résumé names a skill, by any of its names."""
        named = skills_in(skill)
        return 0 < len(skill) <= _WORD and (self._has(skill) or (bool(named) and named <= self._skills))


class _Draft:
    """One answer as it is made into a profile. A line is taken once: by whoever names it first."""

    def __init__(self, resume: Resume, reading: ResumeReading, longest: int) -> None:
        self._resume = resume
        self._lines = resume._lines
        self._reading = reading
        self._longest = longest
        named = [name for name in reading.names if self._is_name(name)][:_NAMES]
        self._names = list(dict.fromkeys([*names_in(self._lines), *named]))
        self._private = {n for n in reading.private if 0 < n <= len(self._lines)}
        self._private |= {n for n, line in enumerate(self._lines, start=1) if is_contact_line(line)}
        self._used = set(self._private) | set(reading.headings)
        self._words: list[str] = []

    def values(self) -> dict[str, Any]:
        """Returns the fields of the profile."""
        reading = self._reading
        stage_line = reading.stage_line or 0
        stage_is_said = 0 < stage_line <= len(self._lines)
        values = {
            "desired_job": self._value(reading.desired_job, _JOB),
            "career_stage": reading.career_stage if stage_is_said else None,
            "skills": self._skills(reading.skills),
            "educations": _some(map(self._education, reading.educations[:_EDUCATIONS])),
            "experiences": _some(
                {
                    "company": self._value(job.company),
                    "role": self._value(job.role),
                    "start": self._date(job.start),
                    "end": self._date(job.end),
                    "description": self._paragraph(job.lines),
                }
                for job in reading.experiences[:_EXPERIENCES]
            ),
            "projects": _some(
                {
                    "title": self._value(project.title),
                    "skills": self._skills(project.skills),
                    "description": self._paragraph(project.lines),
                }
                for project in reading.projects[:_PROJECTS]
            ),
            "activities": self._items(reading.activities),
            "awards": self._items(reading.awards),
            "certificates": self._items(reading.certificates),
            "introduction": self._paragraph(reading.introduction),
        }
        self._used.add(stage_line)
        return values

    def not_understood(self) -> list[str]:
        """Returns the lines that neither a field took nor one of its words stands in."""
        words = [folded(word).lower() for word in self._words]
        left = (
            redacted(line, self._names)
            for number, line in enumerate(self._lines, start=1)
            if number not in self._used and not self._is_told(self._resume._folded[number - 1], words)
        )
        return [line for line in left if re.search(r"\w", line)]

    def _is_told(self, line: str, words: Iterable[str]) -> bool:
        return any(_found(word, line) or (len(line) >= _SHORT and line in word) for word in words if word)

    def _is_name(self, name: str) -> bool:
        """A skill, or a whole sentence, would take more out than a person's name."""
        return 1 < len(name.strip()) <= _WORD and not skills_in(name) and self._resume._has(name)

    def _value(self, value: str | None, limit: int = _LINE) -> str | None:
        if not value or not self._resume._has(value):
            return None
        self._words.append(value)
        kept = redacted(value, self._names)
        return (cut(kept, limit) or None) if re.search(r"[^\W_]", kept.replace("○", "")) else None

    def _date(self, value: str | None) -> str | None:
        """Returns a date as `2026-03` where it is one; None for a job that goes on."""
        said = self._value(value, _DATE)
        if said is None or _NOW.search(said):
            return None
        if found := _YEAR_MONTH.search(said):
            return f"{found[1]}-{int(found[2]):02}"
        if (found := _MONTH_YEAR.search(said)) and (month := _MONTHS.get(found[1].lower())):
            return f"{found[2]}-{month:02}"
        return said

    def _skills(self, skills: Sequence[str]) -> list[str]:
        shown = {canonical(skill).lower(): skill for skill in reversed(skills) if self._resume._shows(skill)}
        kept = [skill for skill in skills if shown.get(canonical(skill).lower()) == skill]
        self._words += kept
        return [word for word in (redacted(skill, self._names) for skill in dict.fromkeys(kept)) if word][
            :_SKILLS
        ]

    def _education(self, read: Any) -> dict[str, Any]:
        gpa, most = self._number(read.gpa), self._number(read.gpa_max)
        return {
            "school": self._value(read.school),
            "major": self._value(read.major),
            "gpa": gpa,
            "gpa_max": most if most and gpa is not None else None,
        }

    def _number(self, value: str | None) -> float | None:
        said = self._value(value, _DATE)
        return float(said) if said and re.fullmatch(r"\d{1,3}(?:\.\d{1,2})?", said) else None

    def _items(self, items: Sequence[ItemRead]) -> list[dict[str, Any]]:
        return _some(
            {
                "title": self._value(item.title),
                "date": self._date(item.date),
                "description": self._paragraph(item.lines),
            }
            for item in items[:_ITEMS]
        )

    def _paragraph(self, numbers: Sequence[int]) -> str | None:
        """Returns lines as a text: one that a line break cut in two is one again, and a list stays one."""
        text = ""
        for number in sorted({n for n in numbers if 0 < n <= len(self._lines)} - self._used):
            self._used.add(number)
            line = self._lines[number - 1]
            kept = redacted(_BULLET.sub("", line), self._names)
            begins = _BULLET.match(line) is not None or text.endswith((".", "!", "?", "다", "음", "함"))
            text += (("\n" if begins else " ") if text and kept else "") + kept
        return cut(text, self._longest) or None


def _found(word: str, text: str) -> bool:
    """Whether a text has a word, not as a part of a longer one: `Java` does not stand in `JavaScript`."""
    before = r"(?<![a-z0-9])" if word[:1].isascii() and word[:1].isalnum() else ""
    after = r"(?![a-z0-9+#])" if word[-1:].isascii() and word[-1:].isalnum() else ""
    return word in text and re.search(f"{before}{re.escape(word)}{after}", text) is not None


def _some(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Returns the rows that say something."""
    return [row for row in rows if any(row.values())]


def _items(reading: ResumeReading) -> Iterable[ItemRead]:
    return (*reading.activities, *reading.awards, *reading.certificates)

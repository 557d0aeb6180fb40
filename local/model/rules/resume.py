"""What stands where in a résumé: the rules behind `ResumeReading`. Sections by their headings, and in each
the forms that its lines usually have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tools.core.contacts import is_contact_line, names_in
from tools.lexicon import canonical, find_skills
from tools.lexicon.families import read_posting

from .text import is_order, load_yaml

_DATA: dict[str, Any] = load_yaml("resume.yaml")
_HEADINGS: dict[str, str] = {word: section for section, words in _DATA["headings"].items() for word in words}
_STAGES = {stage: re.compile(pattern, re.I) for stage, pattern in _DATA["stages"].items()}
_JOB, _NOW, _ROLE = (re.compile(_DATA[name], re.I) for name in ("job", "now", "role"))
_SCHOOL, _MAJOR, _GPA = (re.compile(_DATA[name]) for name in ("school", "major", "gpa"))
_DATE = re.compile(_DATA["date"])
_RANGE = re.compile(
    rf"(?P<start>{_DATA['date']})\s*(?:[-~–—]|to)\s*(?P<end>{_DATA['date']}|{_DATA['now']})?", re.I
)
_LABEL = re.compile(r"^\W*([^:：|]{2,30}?)\s*[:：|]\s*(\S.*)$")
_BULLET = re.compile(r"^\s*(?:[-–—•·∙ㆍ▪▶►◆■□○●◦※*>✓✔]|\(?\d{1,2}[.)]\s)\s*")
_PARTS = re.compile(r"\s*(?:[|,·]|\s[-–—/]\s|\s{2,})\s*")
_PAPER = re.compile(r"\s*(?:지원서|이력서|경력\s?기술서|resume|CV)$", re.I)
"""What a title calls the paper itself."""
_SENTENCE_END = re.compile(r"(?:다|요|음|함|[.!?])\W*$")
_LONGEST_TITLE = 60
_LONGEST_JOB = 40
_TOP = 4
"""Lines at the top in which somebody says what they are."""

Row = dict[str, Any]
_Line = tuple[int, str]


def read_resume(rows: Sequence[Mapping[str, Any]]) -> Row:
    """Returns a `ResumeReading` of numbered lines."""
    lines = [(row["line"], row["text"]) for row in rows if isinstance(row.get("line"), int)]
    texts = [str(text) for _, text in lines]
    sections, headings, private = _sections(lines)
    stage, stage_line = _stage(lines, set(private))
    return {
        "names": names_in(texts),
        "private": private,
        "headings": headings,
        "desired_job": _desired_job(lines, set(private)),
        "career_stage": stage,
        "stage_line": stage_line,
        "skills": _skills(sections.get("skills", [])),
        "educations": list(_educations(sections.get("educations", []))),
        "experiences": list(_experiences(sections.get("experiences", []))),
        "projects": list(_projects(sections.get("projects", []))),
        **{name: list(_items(sections.get(name, []))) for name in ("activities", "awards", "certificates")},
        "introduction": [number for number, _ in sections.get("introduction", [])],
    }


def _sections(lines: Sequence[_Line]) -> tuple[dict[str, list[_Line]], list[int], list[int]]:
    """Returns the lines of each section, the numbers of headings, and those of lines that are nobody's
    business. What speaks to a model is in none."""
    sections: dict[str, list[_Line]] = {}
    headings: list[int] = []
    private: list[int] = []
    section = ""
    for number, text in lines:
        if found := _heading(text):
            section = found
            headings.append(number)
        elif is_contact_line(text) or section in ("private", "references"):
            private.append(number)
        elif is_order(text) or _JOB.match(text):
            continue
        elif (label := _LABEL.match(text)) and (inline := _heading(label[1])):
            sections.setdefault(inline, []).append((number, label[2]))
        elif section:
            sections.setdefault(section, []).append((number, text))
    return sections, headings, private


def _heading(text: str) -> str:
    section: str = _HEADINGS.get(re.sub(r"[\W_\d]+", "", text).lower(), "")
    return section


def _desired_job(lines: Sequence[_Line], private: set[int]) -> str | None:
    for _, text in lines:
        if (found := _JOB.match(text)) and not is_order(found[1]):
            return found[1].strip(" .")
    for number, text in lines[:_TOP]:
        if number in private:
            continue
        for part in _PARTS.split(_PAPER.sub("", text)):
            if len(part) <= _LONGEST_JOB and _ROLE.search(part) and read_posting(part, "").titled:
                return part
    return None


def _stage(lines: Sequence[_Line], private: set[int]) -> tuple[str | None, int | None]:
    for stage in ("worker", "student", "job_seeker"):
        for number, text in lines:
            if number not in private and not is_order(text) and _STAGES[stage].search(text):
                return stage, number
    return None, None


def _skills(lines: Sequence[_Line]) -> list[str]:
    """Returns the names in a section of skills: what is separated there, and what the lexicon knows."""
    found: dict[str, str] = {}
    for _, text in lines:
        label = _LABEL.match(text)
        listed = label[2] if label else _BULLET.sub("", text)
        for part in re.split(r"\s*[,|·;/]\s*|\s{2,}", re.sub(r"\([^)]*\)", "", listed)):
            name = part.strip(" .-")
            if 0 < len(name) <= 30 and len(name.split()) <= 3 and re.search(r"[^\W\d_]", name):  # noqa: PLR2004
                found.setdefault(canonical(name).lower(), name)
    return list(found.values())


def _educations(lines: Sequence[_Line]) -> Iterator[Row]:
    for _, text in lines:
        if not (school := _SCHOOL.search(text)):
            continue
        rest = text.replace(school[0], " ", 1)
        major, gpa = _MAJOR.search(rest), _GPA.search(text)
        yield {
            "school": school[0].strip(),
            "major": (major[1] or major[0]).strip() if major else None,
            "gpa": gpa[1] if gpa else None,
            "gpa_max": gpa[2] if gpa else None,
        }


def _experiences(lines: Sequence[_Line]) -> Iterator[Row]:
    for number, head, rest in _headed(lines, lambda text: _RANGE.search(text) is not None):
        dates = _RANGE.search(head)
        assert dates is not None  # noqa: S101 - it was headed by it
        parts = [part for part in _PARTS.split(_RANGE.sub("  ", head).strip(" ()")) if part.strip(" ()")]
        parts = [part.strip(" ()") for part in parts]
        role = next((part for part in parts if _ROLE.search(part)), None)
        company = next((part for part in parts if part != role), None)
        if company is None and role and (split := re.match(r"(\S+)\s+(.*\S)", role)):
            company, role = split[1], split[2]
        end = dates["end"]
        yield {
            "company": company,
            "role": role,
            "start": dates["start"].strip(),
            "end": end.strip() if end and not _NOW.search(end) else None,
            "lines": [n for n in rest if n != number],
        }


def _projects(lines: Sequence[_Line]) -> Iterator[Row]:
    texts = dict(lines)
    for _, head, rest in _headed(lines, _is_title):
        named = [head, *(texts[number] for number in rest)]
        dates = _RANGE.search(head) or _DATE.search(head)
        title = (head.replace(dates[0], " ") if dates else head).strip(" ()|-–—,:")
        yield {
            "title": _PARTS.split(title)[0] or None,
            "skills": find_skills("\n".join(named)),
            "lines": rest,
        }


def _items(lines: Sequence[_Line]) -> Iterator[Row]:
    for _, head, rest in _headed(
        lines, lambda text: not _SENTENCE_END.search(text) or bool(_DATE.search(text))
    ):
        date = _DATE.search(head)
        title = (head.replace(date[0], " ") if date else head).strip(" ()|-–—,:·")
        yield {
            "title": re.sub(r"\s{2,}.*$", "", title) or None,
            "date": date[0] if date else None,
            "lines": rest,
        }


def _is_title(text: str) -> bool:
    short = len(text) <= _LONGEST_TITLE and not _SENTENCE_END.search(text)
    return (short or _RANGE.search(text) is not None) and not _LABEL.match(text)


def _headed(lines: Sequence[_Line], is_head: Any) -> Iterator[tuple[int, str, list[int]]]:
    """Yields each line that begins something, without its bullet, and the numbers of the lines under it. A
    line with a bullet under one without is no beginning."""
    head: _Line | None = None
    bulleted = False
    rest: list[int] = []
    for number, text in lines:
        has_bullet = _BULLET.match(text) is not None
        plain = _BULLET.sub("", text)
        if is_head(plain) and (head is None or bulleted or not has_bullet):
            if head is not None:
                yield head[0], head[1], rest
            head, bulleted, rest = (number, plain), has_bullet, []
        elif head is not None:
            rest.append(number)
    if head is not None:
        yield head[0], head[1], rest

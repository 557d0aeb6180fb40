"""Composes a poster from postings: which parts it has, in what order, on how many images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from PIL import Image

from samples.programs.drawing.canvas import (
    Canvas,
    banner,
    bullets,
    card,
    heading,
    pills,
    steps,
    two_columns,
)
from samples.programs.drawing.style import ENGLISH, Style
from samples.programs.drawing.tables import Drawn, draw_table
from tools.lexicon import find_skills

Posting = dict[str, Any]

_MOTTOES = (
    "함께 성장할 동료를 찾습니다",
    "새로운 길을 함께 만들 분을 기다립니다",
    "당신의 경험이 우리의 서비스가 됩니다",
    "기술로 일상을 바꾸는 사람들",
)
_MOTTOES_EN = ("Join us and build what people use every day", "We are growing. Grow with us.")
_STEPS = (
    ("서류전형", "1차 면접", "2차 면접", "최종합격"),
    ("서류전형", "코딩테스트", "실무면접", "임원면접", "최종합격"),
    ("지원서 접수", "기술면접", "인성면접", "처우협의", "입사"),
)
_STEPS_EN = ("Application", "Coding test", "Interviews", "Offer")
_NOTES = (
    "지원서 내용이 사실과 다를 경우 합격이 취소될 수 있습니다.",
    "접수기간: 채용 시 마감 (조기 마감될 수 있습니다)",
    "국가보훈대상자와 장애인은 관계 법령에 따라 우대합니다.",
    "제출하신 서류는 채용 절차가 끝난 뒤 파기합니다.",
    "문의: 채용 담당자에게 메일로 연락해 주세요.",
)
_NOTES_EN = (
    "This posting closes as soon as the position is filled.",
    "Please attach a resume in Korean or English, as a PDF.",
)


@dataclass(frozen=True)
class Page:
    """One image, with the truth about it; see `Canvas`."""

    image: Image.Image
    lines: list[str]
    tables: list[str]


@dataclass(frozen=True)
class Poster:
    """The images of one posting, and which sample postings stand on them."""

    postings: tuple[Posting, ...]
    style: Style
    pages: list[Page] = field(default_factory=list)

    def truth(self) -> dict[str, Any]:
        """JSON: the postings' fields, the skills they name, and lines and tables of each image."""
        shown = ("job_title", "responsibilities", "requirements", "preferred", "company", "experience")
        return {
            "source_ids": [posting["source_id"] for posting in self.postings],
            "positions": [{name: posting[name] for name in shown} for posting in self.postings],
            "skills": find_skills("\n".join(line for page in self.pages for line in page.lines)),
            "pages": [{"lines": page.lines, "tables": page.tables} for page in self.pages],
        }


def draw_poster(
    postings: Sequence[Posting], style: Style, random: Random, fonts: Path, *, images: int = 1
) -> Poster:
    """Draws a poster on one image or two; the same arguments give the same pixels."""
    return _Drawing(postings, style, random, fonts).poster(images)


class _Drawing:
    """Draws the parts of one poster on its canvases."""

    def __init__(self, postings: Sequence[Posting], style: Style, random: Random, fonts: Path) -> None:
        self._postings = tuple(postings)
        self._english = postings[0]["company"].isascii()
        self._style = style
        self._heads = ENGLISH if self._english else style.heads
        self._random = random
        self._fonts = fonts
        self._number = 0

    def poster(self, images: int) -> Poster:
        company = self._postings[0]["company"]
        first = Canvas(self._style, self._fonts)
        motto = self._random.choice(_MOTTOES_EN if self._english else _MOTTOES)
        banner(first, company, self._title(), motto)
        second = first
        if images > 1:
            second = Canvas(self._style, self._fonts)
            second.y = self._style.size * 2
        parts = self._body() + self._tail()
        turn = len(parts) if images == 1 else max(1, len(parts) // 2)
        for number, part in enumerate(parts):
            part(first if number < turn else second)
        canvases = [first] if images == 1 else [first, second]
        pages = []
        for canvas in canvases:
            canvas.y += self._style.size
            pages.append(Page(canvas.picture(), canvas.lines, canvas.tables))
        return Poster(self._postings, self._style, pages)

    def _title(self) -> str:
        if len(self._postings) == 1:
            return str(self._postings[0]["job_title"])
        if self._english:
            return "We are hiring engineers"
        return self._random.choice(("개발 직군 인재 채용", "IT 부문 신입·경력 채용", "2026년 수시 채용"))

    def _heading(self, canvas: Canvas, text: str) -> None:
        self._number += 1
        heading(canvas, text, self._number)

    def _body(self) -> list[Callable[[Canvas], None]]:
        match self._style.layout:
            case "table":
                return [self._positions_table]
            case "fields":
                return [self._of(posting, self._fields_table) for posting in self._postings]
            case "sections":
                return [self._of(posting, self._sections) for posting in self._postings]
            case "columns":
                return [self._of(posting, self._columns) for posting in self._postings]
            case "cards":
                return [self._of(posting, self._cards) for posting in self._postings]

    @staticmethod
    def _of(posting: Posting, part: Callable[[Canvas, Posting], None]) -> Callable[[Canvas], None]:
        return lambda canvas: part(canvas, posting)

    def _tail(self) -> list[Callable[[Canvas], None]]:
        tail: list[Callable[[Canvas], None]] = []
        if self._style.layout in ("sections", "columns", "cards") or self._random.random() < 0.4:  # noqa: PLR2004
            tail.append(self._conditions)
        return [*tail, self._process, self._notes]

    def _positions_table(self, canvas: Canvas) -> None:
        heads, many = self._heads, len(self._postings) > 1
        shared = many and len({posting["location"] for posting in self._postings}) == 1
        nested = self._random.random() < 0.4  # noqa: PLR2004 - two tables in five have two rows of heads
        where = "Location" if self._english else "근무지"
        self._heading(
            canvas, "Open positions" if self._english else f"{heads.position} 및 {heads.requirements}"
        )
        deep = 2 if nested else 1
        top = [self._head(heads.position, down=deep), self._head(heads.responsibilities, down=deep)]
        below: list[Drawn] = []
        if nested:
            top.append(self._head("Qualifications" if self._english else "지원 조건", right=2))
            below = [self._head(heads.requirements), self._head(heads.preferred)]
        else:
            top += [self._head(heads.requirements), self._head(heads.preferred)]
        if shared:
            top.append(self._head(where, down=deep))
        rows = [top, below] if nested else [top]
        for number, posting in enumerate(self._postings):
            row = [Drawn((posting["job_title"],)), *(self._list(posting[name]) for name in _TEXTS)]
            if shared and number == 0:
                row.append(Drawn((posting["location"],), rowspan=len(self._postings)))
            rows.append(row)
        draw_table(canvas, rows, (13, 26, 26, 24, 11) if shared else (14, 29, 29, 28))

    def _fields_table(self, canvas: Canvas, posting: Posting) -> None:
        heads = self._heads
        self._heading(canvas, posting["job_title"])
        labels = (heads.responsibilities, heads.requirements, heads.preferred)
        rows = [
            [self._head(label), self._list(posting[name], right=3)]
            for label, name in zip(labels, _TEXTS, strict=True)
        ]
        kind, where = ("Employment", "Location") if self._english else ("고용형태", "근무지")
        rows.append(
            [
                self._head(kind),
                Drawn((posting["employment_type"],)),
                self._head(where),
                Drawn((posting["location"],)),
            ]
        )
        draw_table(canvas, rows, (16, 34, 16, 34))

    def _sections(self, canvas: Canvas, posting: Posting) -> None:
        heads = self._heads
        if len(self._postings) > 1:
            self._heading(canvas, posting["job_title"])
        for label, name in zip(
            (heads.responsibilities, heads.requirements, heads.preferred), _TEXTS, strict=True
        ):
            self._heading(canvas, label)
            bullets(canvas, posting[name].split("\n"))
        pills(canvas, posting["skills"])

    def _columns(self, canvas: Canvas, posting: Posting) -> None:
        heads = self._heads
        self._heading(canvas, posting["job_title"])
        left, right = posting["responsibilities"].split("\n"), posting["requirements"].split("\n")
        two_columns(canvas, ((heads.responsibilities, left), (heads.requirements, right)))
        self._heading(canvas, heads.preferred)
        bullets(canvas, posting["preferred"].split("\n"))

    def _cards(self, canvas: Canvas, posting: Posting) -> None:
        heads = self._heads
        self._heading(canvas, posting["job_title"])
        for label, name in zip(
            (heads.responsibilities, heads.requirements, heads.preferred), _TEXTS, strict=True
        ):
            card(canvas, label, posting[name].split("\n"))
        pills(canvas, posting["skills"])

    def _conditions(self, canvas: Canvas) -> None:
        first = self._postings[0]
        self._heading(canvas, self._heads.conditions)
        pairs = (
            (("Employment", first["employment_type"]), ("Experience", first["experience"] or "Any"))
            if self._english
            else (("고용형태", first["employment_type"]), ("경력", first["experience"] or "경력 무관"))
        )
        where = ("Location", first["location"]) if self._english else ("근무지", first["location"])
        rows = [
            [cell for head, text in pairs for cell in (self._head(head), Drawn((text,)))],
            [self._head(where[0]), Drawn((where[1],), colspan=3)],
        ]
        draw_table(canvas, rows, (16, 34, 16, 34))

    def _process(self, canvas: Canvas) -> None:
        self._heading(canvas, self._heads.process)
        steps(canvas, _STEPS_EN if self._english else self._random.choice(_STEPS))

    def _notes(self, canvas: Canvas) -> None:
        self._heading(canvas, self._heads.notes)
        notes = _NOTES_EN if self._english else self._random.sample(_NOTES, 3)
        bullets(canvas, notes, scale=0.9)

    @staticmethod
    def _head(text: str, *, down: int = 1, right: int = 1) -> Drawn:
        return Drawn((text,), rowspan=down, colspan=right, header=True)

    @staticmethod
    def _list(text: str, *, right: int = 1) -> Drawn:
        return Drawn(tuple(text.split("\n")), colspan=right, bullets=True)


_TEXTS = ("responsibilities", "requirements", "preferred")

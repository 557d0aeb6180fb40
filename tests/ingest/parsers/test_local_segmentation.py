"""Where the local parser finds lines, on pictures drawn for the purpose."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from ingest.parsers.local.layout import Box
from ingest.parsers.local.line_image import leading_mark
from ingest.parsers.local.segmentation import find_ink, find_rules
from samples.programs.drawing.fonts import find_fonts
from tools.core.errors import SetupError
from tools.core.settings import Settings

SIZE = 16
WIDE, TALL = 700, 400
ON_PAGE = 1.3


@pytest.fixture(scope="module")
def fonts() -> Path:
    """The fonts. Who has none may go without these tests; CI may not."""
    try:
        return find_fonts(Settings().home)
    except SetupError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"drawing is not tested: {error}")


class Paper:
    """A page to draw on."""

    def __init__(self, fonts: Path, font: str = "NanumGothic.ttf", size: int = SIZE) -> None:
        self.image = Image.new("RGB", (WIDE, TALL), "white")
        self.draw = ImageDraw.Draw(self.image)
        self.font = ImageFont.truetype(fonts / font, size)

    def write(self, x: int, y: int, text: str, fill: str = "black") -> int:
        """Writes a line; returns where it ends."""
        self.draw.text((x, y), text, font=self.font, fill=fill)
        return round(x + self.font.getlength(text))

    def lines(self) -> list[Box]:
        pixels = np.asarray(self.image)
        return find_ink(pixels, find_rules(pixels)).lines(Box(0, 0, WIDE, TALL), apart=ON_PAGE)


LINES = (
    "운영 데이터베이스의 변경 데이터를 수집",
    "배포 이후 핵심 기능을 점검하고 (품질) 개선",
    "여러 조직의 결제 안정성 개선",
)


@pytest.mark.parametrize("pitch", [18, 19, 20, 26])
@pytest.mark.parametrize("font", ["NanumGothic.ttf", "NanumMyeongjo.ttf", "NanumSquareR.ttf"])
def test_wrapped_lines_are_lines_however_tight_they_are_set(fonts: Path, pitch: int, font: str) -> None:
    paper = Paper(fonts, font)
    for number, line in enumerate(LINES * 2):
        paper.write(20, 20 + pitch * number, line)
    # The feet of brackets reach into the next line.
    tops = [box.top for box in paper.lines() if box.height > SIZE / 2]
    assert len(tops) == 2 * len(LINES)
    assert all(abs(below - above - pitch) <= 3 for above, below in itertools.pairwise(tops))


@pytest.mark.parametrize("size", [30, 40, 48])
@pytest.mark.parametrize(
    "title", ["솔개온라인", "매듭웍스", "두루미보험기술", "누리돌시스템즈", "대사물인터넷"]
)
def test_a_title_of_large_letters_is_one_line(fonts: Path, title: str, size: int) -> None:
    """Stems of large letters are no rules, and letters that touch no frames."""
    paper = Paper(fonts, "NanumMyeongjoBold.ttf", size)
    paper.draw.rectangle((0, 0, WIDE, 110), fill="#702080")
    right = paper.write(40, 30, title, "white")
    [found] = [box for box in paper.lines() if 5 < box.top < 100]
    assert abs(found.right - right) <= 6


@pytest.mark.parametrize("gap", [14, 18, 30])
def test_columns_that_stand_close_are_parted(fonts: Path, gap: int) -> None:
    paper = Paper(fonts)
    column = 20 + max(round(paper.font.getlength(line)) for line in LINES) + gap
    for number, line in enumerate(LINES):
        paper.write(20, 20 + 26 * number, line)
        paper.write(
            column, 20 + 26 * number, ("웹 개발 실무 경력", "데이터 분석 경험", "BI 대시보드")[number]
        )
    assert len(paper.lines()) == 2 * len(LINES)


def test_a_name_beside_the_middle_of_a_list_is_no_part_of_it(fonts: Path) -> None:
    paper = Paper(fonts)
    end = paper.write(20, 20 + 26 + 13, "센서 개발")
    for number, line in enumerate(LINES):
        paper.write(end + 18, 20 + 26 * number, line)
    assert sorted(box.left > end for box in paper.lines()) == [False, True, True, True]


def test_wide_spaces_and_bullets_do_not_part_a_line(fonts: Path) -> None:
    paper = Paper(fonts)
    for number, line in enumerate(LINES):
        paper.write(20, 20 + 26 * number, f"•   {line}")
    paper.write(20, 120, "담당업무   서버 개발")
    assert len(paper.lines()) == len(LINES) + 1


@pytest.mark.parametrize("padding", [2, 3, 5])
def test_words_in_pills_are_read_without_them(fonts: Path, padding: int) -> None:
    paper = Paper(fonts)
    for number, line in enumerate(LINES):
        paper.write(20, 100 + 26 * number, line)
    x, ends = 20, []
    for word in ("Python", "EtherCAT", "I2C", "Gazebo"):
        end = paper.write(x + 14, 40, word)
        box = (x, 40 - padding, end + 14, 40 + SIZE + 2 + padding)
        paper.draw.rounded_rectangle(box, radius=12, outline="green")
        ends.append((x + 14, end))
        x = end + 24
    found = [(box.left, box.right) for box in paper.lines() if box.top < 80]
    assert len(found) == len(ends)
    assert np.abs(np.array(found) - np.array(ends)).max() <= 4


def test_a_mark_before_a_text_is_seen_by_itself(fonts: Path) -> None:
    marks = []
    for text in ("✓ 서버 개발", "✓ 데이터 분석", "- 서버", "서버 개발", "웹 개발"):
        paper = Paper(fonts)
        if text[0] == "✓":
            paper.draw.line((20, 30, 24, 34, 31, 24), fill="black", width=2)
            paper.write(40, 20, text[2:])
        else:
            paper.write(20, 20, text)
        pixels = np.asarray(paper.image)[18:40, 15:200]
        marks.append(leading_mark(pixels, np.zeros(pixels.shape[:2], dtype=np.uint8)))
    first, second, dash, *words = marks
    assert first is not None and second is not None and dash is not None
    assert first.is_like(second)
    assert not first.is_like(dash)
    assert words == [None, None]


@pytest.mark.parametrize("font", ["NanumSquareRoundR.ttf", "NanumGothic.ttf", "NanumSquareB.ttf"])
@pytest.mark.parametrize("size", [14, 17, 26])
def test_words_in_latin_letters_are_no_pills(fonts: Path, font: str, size: int) -> None:
    paper = Paper(fonts, font, size)
    words = (
        "E2E",
        "PCI DSS",
        "Responsibilities",
        "C#",
        "Nice to have",
        "CSS",
        "DB",
        "SSR",
        "iOS",
        "AWS",
        "DD",
    )
    rights = [paper.write(20, 5 + 35 * number, word) for number, word in enumerate(words)]
    found = paper.lines()
    assert len(found) == len(words)
    assert all(
        box.left <= 22 and abs(box.right - right) <= 3 for box, right in zip(found, rights, strict=True)
    )

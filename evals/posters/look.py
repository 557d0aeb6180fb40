"""How a poster of the browser looks: what differs from page to page, chosen by a seed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal, get_args

Layout = Literal["ruled", "open", "cards", "columns", "plain", "mixed"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
Rules = Literal["grid", "horizontal", "none", "zebra"]
HeadingLook = Literal["bare", "underlined", "bar", "pill", "band", "bracketed"]

FONTS = (
    *("NanumGothic", "NanumBarunGothic", "NanumSquare", "NanumSquareRound", "NanumMyeongjo"),
    *("Noto Sans CJK KR", "Noto Serif CJK KR", "UnDotum", "UnBatang", "Baekmuk Dotum", "Baekmuk Batang"),
)
"""Families of the packages in `photographs.FONT_PACKAGES`."""


@dataclass(frozen=True)
class Words:
    """What a company calls the parts of a posting."""

    position: str
    work: str
    must: str
    welcome: str
    terms: str
    steps: str
    notes: str


_KOREAN = (
    Words("모집부문", "담당업무", "자격요건", "우대사항", "근무조건", "전형절차", "유의사항"),
    Words("채용분야", "주요업무", "지원자격", "우대조건", "근무환경", "채용절차", "기타사항"),
    Words("포지션", "하는 일", "필수요건", "우대요건", "근무조건", "전형방법", "참고사항"),
)
ENGLISH = Words(
    "Position",
    "Responsibilities",
    "Requirements",
    "Nice to have",
    "Working conditions",
    "Hiring process",
    "Notes",
)


@dataclass(frozen=True)
class Look:
    """One look. Lengths in CSS pixels."""

    layout: Layout
    font: str
    size: int
    leading: float
    """Times the size, from line to line."""
    spacing: float
    """Between letters, beside what the font has."""
    keep_all: bool
    """Whether lines break between words only; else also between any two syllables, as CSS does by itself."""
    width: int
    padding: int
    """Of cells and cards."""
    hue: int
    """Of all colours, in degrees."""
    ink: str
    page: str
    rules: Rules
    rule_width: int
    head_fill: Literal["dark", "pale", "none"]
    heading: HeadingLook
    bullet: str
    """In front of items; empty for none."""
    words: Words
    quality: int
    """Of WebP."""

    @property
    def accent(self) -> str:
        """The colour of bands, pills and bars."""
        return f"hsl({self.hue} 62% 34%)"

    @property
    def pale(self) -> str:
        """The colour of cards and of heads of tables."""
        return f"hsl({self.hue} 48% 94%)"

    @property
    def line(self) -> str:
        """The colour of rules."""
        return f"hsl({self.hue} 18% 76%)"


def random_look(random: Random, layout: Layout) -> Look:
    """Puts a look together."""
    size = random.randint(13, 20)
    kinds: tuple[Rules, ...] = ("none", "zebra") if layout == "open" else ("grid", "horizontal")
    return Look(
        layout=layout,
        font=random.choice(FONTS),
        size=size,
        leading=round(random.uniform(1.25, 1.85), 2),
        spacing=random.choice((0.0, 0.0, 0.0, -0.3, -0.5, 0.3)),
        keep_all=random.random() < 0.6,  # noqa: PLR2004 - most designers ask for it
        width=size * random.randint(46, 64),
        padding=random.randint(6, 20),
        hue=random.randrange(360),
        ink=random.choice(("#1a1a1a", "#333333", "#2b3440", "#444444")),
        page=random.choice(("#ffffff", "#ffffff", "#fafaf7", "#f4f6f9")),
        rules=random.choice(kinds),
        rule_width=random.choice((1, 1, 1, 2)),
        head_fill=random.choice(("dark", "pale", "none")),
        heading=random.choice(("bare", "underlined", "bar", "pill", "band", "bracketed")),
        bullet=random.choice(("•", "-", "·", "○", "▪", "✓", "")),
        words=random.choice(_KOREAN),
        quality=random.randint(75, 92),
    )

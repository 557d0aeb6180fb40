"""How a poster looks: everything that differs from designer to designer.

Two wardrobes share no font, palette, bullet or wording of heads: the parser is tuned on posters of
one and judged on posters of the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

Colour = tuple[int, int, int]
Rules = Literal["full", "horizontal", "vertical", "dashed", "none", "zebra"]
HeadFill = Literal["accent", "pale", "none"]
Heading = Literal["band", "bar", "pill", "plain", "numbered", "underlined"]
Layout = Literal["table", "fields", "sections", "columns", "cards"]

WHITE: Colour = (255, 255, 255)


@dataclass(frozen=True)
class Palette:
    """The colours of a poster."""

    accent: Colour
    pale: Colour
    ink: Colour
    page: Colour = WHITE
    rule: Colour = (190, 196, 204)


@dataclass(frozen=True)
class Heads:
    """What a company calls the parts of a posting."""

    position: str
    responsibilities: str
    requirements: str
    preferred: str
    conditions: str
    process: str
    notes: str


@dataclass(frozen=True)
class Wardrobe:
    """What a random style is put together from."""

    fonts: tuple[tuple[str, str], ...]
    """File names of the regular and the bold face."""
    palettes: tuple[Palette, ...]
    bullets: tuple[str, ...]
    heads: tuple[Heads, ...]


TUNING = Wardrobe(
    fonts=(
        ("NanumGothic.ttf", "NanumGothicBold.ttf"),
        ("NanumSquareR.ttf", "NanumSquareB.ttf"),
        ("NanumMyeongjo.ttf", "NanumMyeongjoBold.ttf"),
    ),
    palettes=(
        Palette((28, 78, 160), (230, 238, 250), (34, 38, 46)),
        Palette((18, 120, 104), (226, 243, 238), (40, 44, 44), rule=(150, 176, 170)),
        Palette((52, 58, 72), (238, 240, 243), (30, 30, 34), page=(250, 250, 248)),
        Palette((206, 74, 46), (252, 236, 230), (52, 44, 42), rule=(220, 190, 180)),
    ),
    bullets=("-", "·", "▶", "■"),
    heads=(
        Heads("모집부문", "담당업무", "자격요건", "우대사항", "근무조건", "전형절차", "유의사항"),
        Heads("포지션", "주요업무", "지원자격", "우대조건", "근무환경", "채용절차", "기타사항"),
    ),
)
HELD_OUT = Wardrobe(
    fonts=(
        ("NanumBarunGothic.ttf", "NanumBarunGothicBold.ttf"),
        ("NanumSquareRoundR.ttf", "NanumSquareRoundB.ttf"),
    ),
    palettes=(
        Palette((98, 56, 168), (240, 233, 250), (44, 38, 60), rule=(196, 184, 220)),
        Palette((12, 108, 176), (228, 242, 252), (28, 44, 60), page=(247, 251, 254), rule=(140, 170, 196)),
        Palette((34, 34, 34), (242, 242, 242), (24, 24, 24), rule=(120, 120, 120)),
        Palette((150, 30, 62), (250, 232, 238), (58, 36, 44), page=(255, 252, 250), rule=(214, 186, 196)),
        Palette((58, 110, 40), (234, 244, 228), (40, 50, 36), rule=(176, 200, 166)),
    ),
    bullets=("-", "ㆍ", "※", "●", "○"),
    heads=(
        Heads("모집분야", "담당업무", "자격요건", "우대사항", "근무조건", "전형절차", "유의사항"),
        Heads("채용직무", "업무내용", "필수요건", "우대요건", "처우조건", "전형일정", "참고사항"),
        Heads("모집직무", "수행업무", "응시자격", "우대사항", "근로조건", "채용절차", "안내사항"),
    ),
)
ENGLISH = Heads(
    "Position",
    "Responsibilities",
    "Requirements",
    "Preferred",
    "Working Conditions",
    "Hiring Process",
    "Notes",
)


@dataclass(frozen=True)
class Style:
    """One look."""

    fonts: tuple[str, str]
    palette: Palette
    heads: Heads
    bullet: str
    layout: Layout
    rules: Rules
    head_fill: HeadFill
    heading: Heading
    width: int
    size: int
    """Of body text, pixels: what CSS calls font-size."""
    leading: float
    padding: int
    rule_width: int
    heading_gap: int
    """Between a heading and what it stands above, pixels."""
    gradient: bool
    quality: int
    """Of WebP; 100 is lossless."""


def random_style(random: Random, wardrobe: Wardrobe, *, layout: Layout, rules: Rules) -> Style:
    """Puts a style together from what the wardrobe has."""
    size = random.choice((11, 12, 13, 14, 15, 16, 17))
    return Style(
        fonts=random.choice(wardrobe.fonts),
        palette=random.choice(wardrobe.palettes),
        heads=random.choice(wardrobe.heads),
        bullet=random.choice(wardrobe.bullets),
        layout=layout,
        rules=rules,
        head_fill=random.choice(("accent", "pale", "none")),
        heading=random.choice(("band", "bar", "pill", "plain", "numbered", "underlined")),
        width=round(size * random.uniform(52, 64) / 10) * 10,
        size=size,
        leading=random.uniform(1.35, 1.75),
        padding=random.randint(7, 14),
        rule_width=random.choice((1, 1, 1, 2)),
        heading_gap=random.choice((2, 6, 12, 18)),
        gradient=random.random() < 0.4,  # noqa: PLR2004 - two posters in five
        quality=random.choice((72, 80, 88, 100)),
    )

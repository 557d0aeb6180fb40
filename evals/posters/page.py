"""Posters as pages of HTML with the truth about them: their texts, their looks, their layouts.

Texts are the sample postings, their lines mixed and made longer; a seed chooses texts and looks.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, Literal, NamedTuple, get_args

from ingest.load import SAMPLES

Posting = dict[str, Any]
Layout = Literal["ruled", "open", "cards", "columns", "plain", "mixed"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

FONTS = (
    *("NanumGothic", "NanumBarunGothic", "NanumSquare", "NanumSquareRound", "NanumMyeongjo"),
    *("Noto Sans CJK KR", "Noto Serif CJK KR", "UnDotum", "UnBatang", "Baekmuk Dotum", "Baekmuk Batang"),
)
"""Families of the packages in `photographs.FONT_PACKAGES`."""
_ENGLISH_EVERY = 7
"""Not as many as there are layouts, so that English comes up in each of them."""
_MOST = 3
"""Positions on one poster."""
_FEWEST_LINES, _MOST_LINES = 2, 5
_LONG = 0.35
"""Share of lines that are two of the samples' in one: on a real poster more lines wrap than not."""
_STEPS = (
    ("서류전형", "실무면접", "임원면접", "최종합격"),
    ("지원서 접수", "코딩테스트", "1차 면접", "2차 면접", "입사"),
)
_STEPS_EN = ("Application", "Coding test", "Interview", "Offer")
_NOTES = (
    "입사지원서에 사실과 다른 내용이 있으면 채용이 취소될 수 있습니다.",
    "상시 채용이며, 적합한 분을 찾으면 일찍 마감합니다.",
    "장애인과 국가유공자는 관련 법에 따라 우대합니다.",
    "면접 일정은 서류전형 합격자에게 따로 알려 드립니다.",
)
_NOTES_EN = ("We read every application, and answer each within two weeks.", "Please send a resume as a PDF.")
_MOTTOES = ("같이 일할 동료를 기다립니다", "문제를 함께 풀어 갈 분을 찾아요", "우리와 다음 걸음을 내디뎌요")
_MOTTOES_EN = ("Come and build it with us", "Do the best work of your life")
_FIELDS = ("responsibilities", "requirements", "preferred")


class Words(NamedTuple):
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


class Look:
    """How a poster looks, by chance. Lengths in CSS pixels; `hue` is that of all colours, in degrees."""

    def __init__(self, random: Random, layout: Layout) -> None:
        self.layout = layout
        self.size = random.randint(13, 20)
        self.font = random.choice(FONTS)
        self.leading = round(random.uniform(1.25, 1.85), 2)
        self.spacing = random.choice((0.0, 0.0, 0.0, -0.3, -0.5, 0.3))
        # Most designers ask for lines that break between words only, not between any two syllables.
        self.keep_all = random.random() < 0.6  # noqa: PLR2004
        self.width = self.size * random.randint(46, 64)
        self.padding = random.randint(6, 20)
        self.hue = random.randrange(360)
        self.ink = random.choice(("#1a1a1a", "#333333", "#2b3440", "#444444"))
        self.page = random.choice(("#ffffff", "#ffffff", "#fafaf7", "#f4f6f9"))
        self.rules = random.choice(("none", "zebra") if layout == "open" else ("grid", "horizontal"))
        self.rule_width = random.choice((1, 1, 1, 2))
        self.head_fill = random.choice(("dark", "pale", "none"))
        self.heading = random.choice(("bare", "underlined", "bar", "pill", "band", "bracketed"))
        self.bullet = random.choice(("•", "-", "·", "○", "▪", "✓", ""))
        self.words = random.choice(_KOREAN)
        self.quality = random.randint(75, 92)


def varied_postings(count: int, seed: int) -> Iterator[list[Posting]]:
    """Yields what stands on `count` posters: companies with one to three positions each."""
    random = Random(seed)  # noqa: S311 - no secret is made of it
    every = _companies()
    random.shuffle(every)
    english = [company for company in every if company[0]["company"].isascii()]
    korean = [company for company in every if not company[0]["company"].isascii()]
    for number in range(count):
        pool = english if number % _ENGLISH_EVERY == _ENGLISH_EVERY - 1 else korean
        company = pool[number % len(pool)]
        lines = {name: [line for one in chain(*pool) for line in one[name].split("\n")] for name in _FIELDS}
        positions = company[: random.randint(1, _MOST)]
        yield [_varied(position, lines, random) for position in positions]


def _varied(posting: Posting, lines: dict[str, list[str]], random: Random) -> Posting:
    mixed = {}
    for name in _FIELDS:
        own = posting[name].split("\n")
        wanted = random.randint(_FEWEST_LINES, _MOST_LINES)
        chosen = [*own[: wanted // 2], *random.sample(lines[name], wanted - min(wanted // 2, len(own)))]
        mixed[name] = "\n".join(_line(text, random.choice(lines[name]), random) for text in chosen)
    return {**posting, **mixed}


def _line(text: str, other: str, random: Random) -> str:
    longer = f"{text}, {other}" if random.random() < _LONG else text
    return re.sub(r"(\d+)(?=년|\+? years)", lambda _: str(random.randint(1, 12)), longer)


def _companies() -> list[list[Posting]]:
    """The sample postings by company, without near-duplicates and hostile ones."""
    excluded = {
        row["source_id"]
        for row in _rows(SAMPLES.with_name("truth.jsonl"))
        if row["hostile"] or row["near_duplicate_of"]
    }
    companies: dict[str, list[Posting]] = defaultdict(list)
    for posting in _rows(SAMPLES):
        if posting["source_id"] not in excluded and posting["preferred"]:
            companies[posting["company"]].append(posting)
    return list(companies.values())


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


class Page:
    """A page. `lines` are its texts in reading order, without bullets; `tables` are its tables as HTML."""

    def __init__(self, postings: Sequence[Posting], look: Look, random: Random) -> None:
        self.lines: list[str] = []
        self.tables: list[str] = []
        self._look = look
        self._random = random
        self._postings = postings
        self._english = postings[0]["company"].isascii()
        self._words = ENGLISH if self._english else look.words
        style = f"<meta charset='utf-8'><style>{_css(look)}</style>"
        self.html = f"<!DOCTYPE html>{style}<body>{self._body()}</body>"

    def _body(self) -> str:
        parts = [self._banner(), *map(self._posting, self._postings)]
        match self._look.layout:
            case "plain" | "cards":
                tail = [self._pairs, self._process, self._notes]
            case "columns":
                tail = [self._process, self._notes]
            case _:
                tail = [self._process, self._notes, self._pairs]
        self._random.shuffle(tail)
        return "".join([*parts, *(part() for part in tail[: self._random.randint(1, 3)])])

    def _banner(self) -> str:
        motto = self._random.choice(_MOTTOES_EN if self._english else _MOTTOES)
        title = self._postings[0]["job_title"]
        if len(self._postings) > 1:
            korean = ("채용", "인재 모집", "개발자 공개채용")
            hiring = "is hiring" if self._english else self._random.choice(korean)
            title = f"{self._postings[0]['company']} {hiring}"
        return f"<header><p>{self._write(motto)}</p><h1>{self._write(title)}</h1></header>"

    def _posting(self, posting: Posting) -> str:
        match self._look.layout:
            case "ruled" | "open":
                return self._position_table() if posting is self._postings[0] else ""
            case "cards":
                return self._name(posting) + self._cards(posting)
            case "columns":
                return self._name(posting) + self._columns(posting)
            case "plain":
                return self._name(posting) + self._sections(posting)
            case "mixed":
                part = self._random.choice((self._sections, self._label_table, self._columns, self._cards))
                return self._name(posting) + part(posting)

    def _name(self, posting: Posting) -> str:
        return f"<h2>{self._write(posting['job_title'])}</h2>" if len(self._postings) > 1 else ""

    def _labels(self) -> tuple[str, str, str]:
        return self._words.work, self._words.must, self._words.welcome

    def _parts(self, posting: Posting) -> Iterator[str]:
        """The three lists of a posting under their headings."""
        for label, name in zip(self._labels(), _FIELDS, strict=True):
            yield self._heading(label) + self._list(_lines(posting[name]))

    def _sections(self, posting: Posting) -> str:
        return "".join(self._parts(posting))

    def _cards(self, posting: Posting) -> str:
        cards = "".join(f"<div class='card'>{part}</div>" for part in self._parts(posting))
        pills = "".join(f"<span class='tag'>{self._write(skill)}</span>" for skill in posting["skills"])
        return f"{cards}<div>{pills}</div>"

    def _columns(self, posting: Posting) -> str:
        """Two columns side by side, and the third part below them."""
        halves = [f"<div class='half'>{part}</div>" for part in self._parts(posting)]
        return f"<div class='halves'>{''.join(halves[:2])}</div>{halves[2]}"

    def _position_table(self) -> str:
        over = "Open positions" if self._english else self._random.choice(("모집요강", "모집개요"))
        heading = self._heading(over)
        heads = [self._cell("th", head) for head in (self._words.position, *self._labels())]
        rows = [
            [
                self._cell("td", posting["job_title"], "name"),
                *(self._cell("td", posting[field], "list") for field in _FIELDS),
            ]
            for posting in self._postings
        ]
        return heading + self._table([heads, *rows])

    def _label_table(self, posting: Posting) -> str:
        """Labels at the left, lists at the right."""
        fields = zip(self._labels(), _FIELDS, strict=True)
        return self._table(
            [self._cell("th", label), self._cell("td", posting[field], "list")] for label, field in fields
        )

    def _pairs(self) -> str:
        first = self._postings[0]
        labels = ("Employment", "Experience", "Location") if self._english else ("고용형태", "경력", "근무지")
        pairs = zip(labels, (first["employment_type"], first["experience"], first["location"]), strict=True)
        heading = self._heading(self._words.terms)
        return heading + self._table(
            [self._cell("th", label), self._cell("td", value)] for label, value in pairs if value
        )

    def _process(self) -> str:
        steps = _STEPS_EN if self._english else self._random.choice(_STEPS)
        head = self._heading(self._words.steps)
        shown = [f"<span class='step'>{self._write(step)}</span>" for step in steps]
        return f"{head}<div class='steps'>{'<i>›</i>'.join(shown)}</div>"

    def _notes(self) -> str:
        notes = _NOTES_EN if self._english else self._random.sample(_NOTES, 3)
        return self._heading(self._words.notes) + f"<div class='notes'>{self._list(notes)}</div>"

    def _heading(self, text: str) -> str:
        shown = f"[{text}]" if self._look.heading == "bracketed" else text
        return f"<h3><span>{self._write(shown)}</span></h3>"

    def _list(self, texts: Sequence[str]) -> str:
        return f"<ul>{''.join(f'<li>{self._write(text)}</li>' for text in texts)}</ul>"

    def _table(self, rows: Iterable[Sequence[str]]) -> str:
        shown = "".join(f"<tr>{''.join(row)}</tr>" for row in rows)
        table = f"<table>{shown}</table>"
        self.tables.append(table)
        return table

    def _cell(self, tag: str, text: str, kind: str = "") -> str:
        content = self._list(_lines(text)) if kind == "list" else self._write(text)
        return f"<{tag} class='{kind}'>{content}</{tag}>"

    def _write(self, text: str) -> str:
        self.lines.append(text)
        return escape(text)


def _lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line.strip()]


def _css(look: Look) -> str:
    accent, pale = f"hsl({look.hue} 62% 34%)", f"hsl({look.hue} 48% 94%)"
    rule = f"{look.rule_width}px solid hsl({look.hue} 18% 76%)"
    dark = f"background:{accent};color:#fff"
    head = {"dark": dark, "pale": f"background:{pale}", "none": ""}[look.head_fill]
    borders = {
        "grid": f"th,td{{border:{rule}}}",
        "horizontal": f"tr{{border-bottom:{rule}}} table{{border-top:{rule}}}",
        "none": "",
        "zebra": f"tr:nth-child(odd) td{{background:{pale}}}",
    }[look.rules]
    heading = {
        "bare": f"color:{accent}",
        "underlined": f"border-bottom:2px solid {accent};padding-bottom:.3em",
        "bar": f"border-left:5px solid {accent};padding-left:.5em",
        "pill": "",
        "band": f"{dark};padding:.4em .7em",
        "bracketed": "",
    }[look.heading]
    pill = f"{dark};border-radius:1em;padding:.2em .9em" if look.heading == "pill" else ""
    mark = f"li::before{{content:'{look.bullet} '}}" if look.bullet else ""
    return f"""
        body{{margin:0;padding:{2 * look.padding}px;width:{look.width}px;background:{look.page};
            color:{look.ink};font:{look.size}px/{look.leading} '{look.font}';
            letter-spacing:{look.spacing}px;word-break:{"keep-all" if look.keep_all else "normal"}}}
        header{{{dark};padding:1.2em;text-align:center}} h1{{font-size:1.8em;margin:.2em 0}}
        h2{{font-size:1.35em;margin:1.2em 0 .4em}} h3{{font-size:1.1em;margin:1.1em 0 .5em;{heading}}}
        h3 span{{{pill}}} p{{margin:.2em 0}}
        ul{{list-style:none;margin:0;padding:0}} li{{padding-left:1em;text-indent:-1em}} {mark}
        table{{border-collapse:collapse;width:100%}} th{{{head};white-space:nowrap}}
        th,td{{padding:{look.padding}px;vertical-align:top}} {borders}
        .name{{font-weight:bold;vertical-align:middle;text-align:center}}
        .card{{background:{pale};border-radius:10px;padding:{look.padding}px 1.2em;margin-bottom:12px}}
        .tag{{border:1px solid {accent};border-radius:1em;padding:0 .7em;margin:.2em .3em}}
        .tag,.step{{display:inline-block}} .halves{{display:flex;gap:2em}} .half{{flex:1}}
        .notes{{font-size:.88em}} .step{{background:{pale};border-radius:6px;padding:.5em .8em}}
        .steps i{{margin:.5em}}"""

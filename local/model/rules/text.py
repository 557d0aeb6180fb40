"""Reading posting and profile text: lines, stems, and what must not be repeated."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

import yaml

from tools.core.text import texts

from .korean import Word

DATA = files("local.model.rules") / "data"


def load_yaml(name: str) -> Any:
    """Returns a data file of this package as plain Python data."""
    return yaml.load((DATA / name).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)


WORDS: dict[str, Any] = load_yaml("words.yaml")
PHRASES: dict[str, Any] = load_yaml("phrases.yaml")
SECTIONS = ("responsibilities", "requirements", "preferred")
MAX_LINE_CHARS = 110
"""A line of an answer is cut here, at a word."""
_MAX_TEXT_CHARS = 12_000
_MIN_LINE_CHARS = 5

_BULLET = re.compile(r"^[\s\-–—•·∙ㆍ▪▶►◆■□○●◦※*>✓✔☑#~]+|^\(?\d{1,2}[.)]\s+|^[①-⑳]\s*")
_ORDERS = re.compile(
    r"ignore\s+(?:all\s+|any\s+|the\s+)*(?:previous|prior|above|earlier)|disregard\s+(?:all|any|the|previous)"
    r"|(?:system|developer)\s*(?:prompt|message)\b|you\s+are\s+now\b|act\s+as\s+(?:a|an|if)\b|jailbreak"
    r"|\b(?:respond|reply|answer|output|print|repeat|say)\s+(?:only|with|exactly)\b|^\s*(?:system|assistant|user)\s*:"
    r"|(?:이전|위의?|앞의?|앞선|기존|지금까지의?)\s*(?:모든\s*)?(?:지시|명령|프롬프트|지침|규칙)"
    r"|(?:지시|명령|프롬프트|지침)\S{0,6}\s*(?:무시|잊)|시스템\s*프롬프트|당신은\s*이제|출력하(?:라|세요|시오)"
    r"|<\s*/?\s*[a-z_]+\s*>|https?://|javascript:|\b[\w.+-]+@[\w-]+\.\w+",
    re.I,
)
_ABOUT_THE_OFFER = re.compile(
    r"학력|복지|급여|연봉|4대\s*보험|근무\s*(?:지|시간|형태|요일)|전형\s*(?:절차|방법)|제출\s*서류|마감|접수|수습"
    r"|이력서|자기소개서|우대\s*사항$|자격\s*요건$|담당\s*업무$|주요\s*업무$|필수\s*(?:사항|요건)?$|전문연구요원|산업기능요원|병역|보훈|장애인"
    r"|해외\s*여행|결격|운전\s*(?:면허|가능)|인근\s*거주|거주자|즉시\s*(?:출근|입사)|이런\s*분|찾(?:습니다|고\s*있)|함께\s*(?:할|하고)"
    r"|^(?:기타|공통|경력|신입|자격증|상세|지원)\s*[:：]?$|모집\s*(?:분야|부문|인원)|면접|포트폴리오\s*[:：]|^요구\s*사항$|^우대\s*조건$",
)


def read(row: Mapping[str, Any], name: str) -> str:
    """Returns the text of a field: "" when missing, its items as lines when it is a list."""
    value = row.get(name)
    if isinstance(value, str):
        return value[:_MAX_TEXT_CHARS]
    if isinstance(value, list):
        return "\n".join(str(item) for item in value if isinstance(item, str | int | float))[:_MAX_TEXT_CHARS]
    return ""


def read_list(row: Mapping[str, Any], name: str) -> list[str]:
    """Returns the words of a list field, without what is empty or no text."""
    value = row.get(name)
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        return []
    return [item.strip() for item in value if isinstance(item, str) and item.strip()]


def rows(row: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """Returns the mappings of a list field, without what is none."""
    value = row.get(name)
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def everything(row: Mapping[str, Any]) -> str:
    """Returns every text inside a row, however deep, a line each."""
    return "\n".join(texts(row))[:_MAX_TEXT_CHARS]


@lru_cache(maxsize=4096)
def lines(text: str) -> tuple[str, ...]:
    """Returns the items of a text that tell of the work, without bullets, each a part of one line.

    Left out: orders to a model, addresses, what is about the offer (pay, papers) and mere headings.
    """
    found: dict[str, None] = {}
    for raw in re.split(r"[\n\r]+|(?<=\S)\s+[•▪■●ㆍ]\s*", text):
        line = _BULLET.sub("", raw.strip()).strip()
        if len(line) < _MIN_LINE_CHARS or is_order(line) or _ABOUT_THE_OFFER.search(line):
            continue
        if line.endswith((":", "：", "]", ">")) or line.startswith(("[", "<", "【")):
            continue
        found[shorten(line)] = None
    return tuple(found)


def posting_lines(posting: Mapping[str, Any]) -> list[str]:
    """Returns the lines of a posting's row that tell of the work, each once, without its title: of the row's
    `lines`, or of its three texts."""
    title = same_title(read(posting, "job_title"))
    listed = [line for name in ("lines", *SECTIONS) for line in lines(read(posting, name))]
    return [line for line in dict.fromkeys(listed) if same_title(line) != title]


def say(name: str, language: str, **values: object) -> str:
    """Returns a phrase of `data/phrases.yaml` with its values."""
    text: str = PHRASES[name][language].format_map({key: Word(value) for key, value in values.items()})
    return text[:1].upper() + text[1:] if text.endswith(".") else text


def is_order(line: str) -> bool:
    """Whether the line speaks to a model, or carries an address, rather than about the work."""
    return _ORDERS.search(line) is not None


def shorten(line: str, limit: int = MAX_LINE_CHARS) -> str:
    """Returns the beginning of a line, cut between words; always letter for letter a part of it."""
    if len(line) <= limit:
        return line
    cut = line[:limit]
    at = max(cut.rfind(" "), cut.rfind(","))
    return cut[: at if at > limit // 2 else limit].rstrip(" ,·/(-")


@lru_cache(maxsize=32_768)
def same_title(title: str) -> str:
    """Returns a title without what does not make it another one: case, spaces, punctuation."""
    return re.sub(r"[\W_]+", "", title).lower()

"""Which group of jobs a posting or a wish belongs to: title first, then the words of the work."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from tools.lexicon import KIND_OF, find_skills


@dataclass(frozen=True, eq=False)
class Family:
    """A group of jobs. `name` and `does` by language; `craft` names its project templates."""

    key: str
    it: bool
    name: Mapping[str, str]
    does: Mapping[str, str]
    craft: str
    title: re.Pattern[str]
    body: re.Pattern[str]
    kinds: frozenset[str]
    only_titled: bool
    """Whether a posting is of this family only if its title says so, whatever its work names."""


@dataclass(frozen=True)
class Reading:
    """What a posting is about. `scores` by family key; `titled` are the families its title names."""

    scores: Mapping[str, float]
    titled: tuple[str, ...]
    technical: int

    @property
    def top(self) -> str | None:
        """The family with the highest score, None when nothing speaks for any."""
        best = max(self.scores, key=self.scores.__getitem__, default=None)
        return best if best is not None and self.scores[best] > 0 else None


_LISTED: dict[str, Any] = yaml.load(
    (Path(__file__).parent / "families.yaml").read_text(encoding="utf-8"), Loader=yaml.CSafeLoader
)


def _load() -> dict[str, Family]:
    found: dict[str, Family] = {}
    for side in ("it", "other"):
        for key, entry in _LISTED[side].items():
            found[key] = Family(
                key=key,
                it=side == "it",
                name=entry["name"],
                does=entry["does"],
                craft=entry["craft"],
                title=re.compile(entry["title"], re.I),
                body=re.compile(entry["body"]),
                kinds=frozenset(entry.get("kinds", ())),
                only_titled=entry.get("only_titled", False),
            )
    return found


FAMILIES = _load()
GENERAL = FAMILIES["general"]

TECHNICAL_KINDS = frozenset(_LISTED["technical_kinds"])
"""Kinds of skills that make a posting technical."""
_SOFTWARE_WORDS = re.compile(
    r"소프트웨어|software|프로그래밍|코딩|코드|서버|펌웨어|임베디드|회로|알고리즘"
    r"|데이터 ?베이스|아키텍처|디버깅|api\b"
    r"|s/w|h/w|\bfw\b|시스템 ?개발|웹 ?개발|앱 ?개발|로봇|머신|모델 ?(?:개발|학습)|인공지능",
)
# What turns a word of another field into a technical job: "교육 플랫폼 개발자", "광고 서버 엔지니어".
_MAKER = re.compile(
    r"개발자|엔지니어|프로그래머|engineer|developer|programmer|개발(?!\s*(?:팀장|실장|매니저|담당|영업|기획))|researcher|scientist|아키텍트|architect"
    r"|\bqa\b|tester|퍼블리셔|분석가|analyst|연구원|dba\b|frontend|backend|devops",
    re.I,
)
_NOT_A_MAKER = re.compile(
    r"(?:사업|상품|제품|서비스|비즈니스|콘텐츠|컨텐츠|교육|시장|고객|소재|부품|채널|거래처|영업|신규|메뉴|화장품|의류|패션)\s*(?:기획\s*[/및]?\s*)?개발(?!자)"
    r"|개발\s*(?:팀장|실장|본부|부서?\])|연구\s*개발|(?:cs|sales|영업|서비스|필드|field|현장)\s*(?:지원\s*)?(?:엔지니어|engineer)|기술\s*영업",
    re.I,
)
_BRACKETS = re.compile(r"\[[^\]]*\]|\([^)]*\)|【[^】]*】")
_NOISE = re.compile(
    r"전문연구요원|산업기능요원|병역\s*특례|보충역|병특|채용|모집|신입|경력|정규직|계약직|인턴|가능|수시|\d+\s*년(?:\s*이상|차)?"
)
_SPECIFIC = 8.0
_BROAD = 2.0
_OTHER = 7.0
_MAX_BODY = 1500
_LAST = 4.0
_LAST_NOUN = re.compile(r"\W*(?:담당자?|매니저|manager|팀원|팀장|팀|lead|리드)?\W*$", re.I)
_BODY_CAP = 8
_SKILL_CAP = 5
_SKILL_WEIGHT = 0.6
_GENERAL_BODY = 0.35


@lru_cache(maxsize=4096)
def read_posting(title: str, body: str) -> Reading:
    """Returns what a posting (or a wish: title and profile) is about."""
    bare = _NOISE.sub(" ", _BRACKETS.sub(" ", title)).strip()
    names = _NOISE.sub(" ", title)
    whole = f"{title}\n{body}"
    lower = body[:_MAX_BODY].lower()  # much quicker than patterns that ignore case
    kinds = [KIND_OF[skill] for skill in find_skills(whole)]
    technical = sum(kind in TECHNICAL_KINDS for kind in kinds) + len(set(_SOFTWARE_WORDS.findall(lower)))
    scores: dict[str, float] = {}
    titled = []
    for key, family in FAMILIES.items():
        score = float(min(len(set(family.body.findall(lower))), _BODY_CAP))
        score += _SKILL_WEIGHT * min(sum(kind in family.kinds for kind in kinds), _SKILL_CAP)
        if family is GENERAL:
            score *= _GENERAL_BODY
        hit = family.title.search(bare) or (
            family.title.search(names) if family.it and not _other(bare) else None
        )
        if hit:
            titled.append(key)
            score += _BROAD if family is GENERAL else (_SPECIFIC if family.it else _OTHER)
            # The last noun of a Korean title is the job, what stands before it only its field.
            score += hit.start() / 100
            if not family.it and _LAST_NOUN.match(
                bare, max(match.end() for match in family.title.finditer(bare))
            ):
                score += _LAST
        scores[key] = score
    return Reading(scores, tuple(titled), technical)


def _other(title: str) -> bool:
    return any(not family.it and family.title.search(title) for family in FAMILIES.values())


def is_technical(title: str, reading: Reading) -> bool:
    """Whether a posting is for an IT job at all.

    A title that names another field counts as technical only if it also names a maker ("교육 플랫폼
    개발자") and the work below it is technical; a general title ("개발 팀장") only by its work.
    """
    bare = _NOISE.sub(" ", _BRACKETS.sub(" ", title))
    maker = _MAKER.search(_NOT_A_MAKER.sub(" ", bare)) is not None
    named = [key for key in reading.titled if FAMILIES[key].it and FAMILIES[key] is not GENERAL]
    # A rank is no field: "백엔드 개발 팀장" is asked for by its work.
    other = [key for key in reading.titled if not FAMILIES[key].it and not (named and key == "office")]
    if other and not maker:
        return False
    best_other = max(score for key, score in reading.scores.items() if not FAMILIES[key].it)
    best_it = max(score for key, score in reading.scores.items() if FAMILIES[key].it)
    if named and maker:
        return reading.technical >= (_MIN_WITH_OTHER if other else 0)
    if named:
        return reading.technical >= _MIN_NAMED and best_it > best_other
    return reading.technical >= _MIN_UNNAMED and best_it > best_other


_MIN_WITH_OTHER = 3
_MIN_NAMED = 2
_MIN_UNNAMED = 3

# Who else would answer such a posting: a full-stack posting suits both sides, as long as its own
# text names the wanted work.
NEAR = {
    "backend": ("fullstack",),
    "frontend": ("fullstack",),
    "fullstack": ("frontend", "backend"),
    "data_engineering": (),
    "blockchain": (),
    "general": ("backend", "frontend", "fullstack", "mobile"),
}
_SECOND = 0.75
_MIN_UNTITLED = 3.0
_MIN_NEAR = 3.0


def family_of(title: str, reading: Reading, wanted: Sequence[Family]) -> Family | None:
    """Returns the family a posting is for; between near equals the wanted one. None: cannot tell."""
    technical = is_technical(title, reading)
    scores = {
        key: score
        for key, score in reading.scores.items()
        if FAMILIES[key].it == technical and (key in reading.titled or not FAMILIES[key].only_titled)
    }
    best = max(scores.values())
    if best < (1 if reading.titled else _MIN_UNTITLED):
        return None
    for family in wanted:
        titled = family.key in reading.titled and family.key != "general"
        if titled and scores.get(family.key, 0.0) >= best * _SECOND:
            return family
    top = max(scores, key=scores.__getitem__)
    if not technical and top not in reading.titled and best < _MIN_UNTITLED:
        return FAMILIES["office"]
    return FAMILIES[top]


def fits(found: Family | None, reading: Reading, wanted: Sequence[Family]) -> bool:
    """Whether a posting of the family `found` is for who wishes for one of the families `wanted`."""
    if found is None:
        return False
    for family in wanted:
        if found is family:
            # Research that names nothing one builds with is theory.
            return found.key != "ai_ml" or reading.technical > 0
        if found.key in NEAR.get(family.key, ()) and reading.scores[family.key] >= _MIN_NEAR:
            return True
    return False


def posting_families(title: str, body: str) -> tuple[str, ...]:
    """Returns the keys of the families a posting is for, the likeliest first: that of its work, and those
    that its title names and its work supports. Empty where nothing tells."""
    reading = read_posting(title, body)
    found = family_of(title, reading, ())
    if found is None:
        return ()
    best = max(score for key, score in reading.scores.items() if FAMILIES[key].it == found.it)
    named = (
        key
        for key in reading.titled
        if key != GENERAL.key and FAMILIES[key].it == found.it and reading.scores[key] >= best * _SECOND
    )
    return tuple(dict.fromkeys((found.key, *named)))

"""Whether each posting is for the desired job: the rules behind `JobVerdicts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .families import FAMILIES, Family, Reading, is_technical, read_posting
from .korean import Word
from .person import Wish, wish
from .text import everything, read

Row = Mapping[str, Any]

# Who else would answer such a posting: a full-stack posting suits both sides, as long as its own
# text names the wanted work.
_NEAR = {
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


def judge(request: Row, profile: Row, postings: Sequence[Row]) -> dict[str, Any]:
    """Returns a `JobVerdicts`: one verdict a posting, in the order given."""
    language = "en" if request.get("language") == "en" else "ko"
    wanted = wish(read(request, "desired_job") or read(profile, "desired_job"), everything(profile))
    return {"verdicts": [_verdict(posting, wanted, language) for posting in postings]}


def _verdict(posting: Row, wanted: Wish, language: str) -> dict[str, Any]:
    title = read(posting, "job_title")
    # The filter's rows have lines; those of the one prompt for all have a posting's texts.
    body = "\n".join(
        read(posting, name) for name in ("lines", "responsibilities", "requirements", "preferred", "skills")
    )
    reading = read_posting(title, body)
    found = family_of(title, reading, wanted)
    fits = _fits(found, reading, wanted)
    return {
        "posting_id": read(posting, "posting_id"),
        "fits": fits,
        "reason": _reason(found, wanted, fits=fits, language=language),
    }


def family_of(title: str, reading: Reading, wanted: Wish) -> Family | None:
    """Returns the family a posting is for; between near equals the wanted one. None: cannot tell."""
    technical = is_technical(title, reading)
    scores = {key: score for key, score in reading.scores.items() if FAMILIES[key].it == technical}
    best = max(scores.values())
    if best < 1:
        return None
    for family in wanted.families:
        titled = family.key in reading.titled and family.key != "general"
        if titled and scores.get(family.key, 0.0) >= best * _SECOND:
            return family
    top = max(scores, key=scores.__getitem__)
    if not technical and top not in reading.titled and best < _MIN_UNTITLED:
        return FAMILIES["office"]
    return FAMILIES[top]


def _fits(found: Family | None, reading: Reading, wanted: Wish) -> bool:
    if found is None:
        return False
    for family in wanted.families:
        if found is family:
            # Research that names nothing one builds with is theory.
            return found.key != "ai_ml" or reading.technical > 0
        if found.key in _NEAR.get(family.key, ()) and reading.scores[family.key] >= _MIN_NEAR:
            return True
    return False


def _reason(found: Family | None, wanted: Wish, *, fits: bool, language: str) -> str:
    want = wanted.family
    if found is None:
        return (
            "직무를 알 수 있는 내용이 없음"
            if language == "ko"
            else "The posting does not say what the job is"
        )
    does = found.does[language]
    if language == "ko":
        return f"{does} 직무" if fits else f"{Word(does + ' 직무'):이라} {Word(want.name['ko']):와} 다름"
    if fits:
        return f"A job in {does}"
    return f"A job in {does}, not in {want.name['en']}"

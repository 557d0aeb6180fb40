"""Whether each posting is for the desired job: the rules behind `JobVerdicts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tools.lexicon.families import Family, family_of, fits, read_posting
from tools.lexicon.wishes import Wish, wish

from .korean import Word
from .text import everything, read

Row = Mapping[str, Any]


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
    found = family_of(title, reading, wanted.families)
    fit = fits(found, reading, wanted.families)
    return {
        "posting_id": read(posting, "posting_id"),
        "fits": fit,
        "reason": _reason(found, wanted, fits=fit, language=language),
    }


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

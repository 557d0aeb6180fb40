"""Schema and language: whether there is an answer at all, in its shape and the person's language, and what
the service itself found wrong with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from typing import get_args

import orjson
from pydantic import ValidationError

from evals.evaluators.base import (
    Check,
    Json,
    Metric,
    Score,
    all_absent,
    answers,
    failures,
    mean,
    number,
    sentences,
)
from evals.evaluators.words import words
from tools.core.contracts import Answer, CareerStage, Profile, Wishes

METRICS = {
    "answered": Metric("higher", "turns that ended in an answer", guarded=True, tolerance=0.0),
    "schema_valid": Metric("higher", "answers that are valid by the contract", guarded=True, tolerance=0.0),
    "language_match": Metric("higher", "texts in the language asked for", guarded=True, tolerance=0.01),
    "prose_clean": Metric("higher", "texts without field names, ids and enum words", guarded=True),
    "warned": Metric("lower", "answers that go out with a warning", guarded=True, tolerance=0.05),
    "warnings": Metric("lower", "warnings that an answer goes out with", unit="warnings", tolerance=0.3),
}

_CANDIDATES = 3
QUOTED = re.compile(r"[“\"‘'「『](?=\S)[^”\"’'」』\n]{2,200}[”\"’'」』]")
"""What stands in quotation marks: not an answer's own words."""
_LATIN_NAME = re.compile(
    # Names of things: an inner or a leading capital, a digit, a mark inside, or behind an apostrophe.
    r"[A-Za-z]*[A-Z0-9][\w.+#/-]*|[a-z]+[.+#/_-][\w.+#/-]*"
)
_LATIN = re.compile(r"[A-Za-z]")
_SMALL_WORD = re.compile(r"[a-z]{2,}")
_HANGUL = re.compile(r"[가-힣]")
_LETTERS_OF_A_SYLLABLE = 2.5
"""Latin letters that say as much as one Hangul syllable does."""
_ID = re.compile(r"[A-Za-z0-9_-]+")
_SNAKE_CASE = re.compile(r"(?<![\w.])[a-z]+(?:_[a-z]+)+(?![A-Za-z0-9_])")
_OF_THE_TRADE = frozenset({"session_id"})
"""Names of the contract that a project may have use for."""
_FEWEST = 6
"""Letters that are left of a text when its names are gone; of a shorter rest nothing can be said."""


def form(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores shape and language.

    `answered`: share of the turns of the case (the first answer, and each regeneration) that ended in an
    answer; those that an error kept from being asked count as failed.
    `schema_valid`: share of answers that validate strictly as `Answer`, have no empty text and account for
    three candidates.
    `language_match`: share of the texts of all answers (`sentences`) that are in the language asked for, by
    their letters; names of technologies and what stands in quotation marks are not counted.
    `prose_clean`: share of those texts without the id of a posting or a subject and without a name of the
    contract's fields (`skill_gaps`); in Korean also without its Latin words (profile, advanced).
    `warned`, `warnings`: share of the answers with `warnings`, which the service itself wrote, and how many
    an answer has.

    Cannot see whose fault an error was, what the texts say, bad grammar, nor tell English from another
    language in Latin letters.
    """
    asked = 1 + max(len(inputs.get("turns") or []), len(outputs.get("turns") or []))
    error = outputs.get("error") or {}
    codes = [error.get("code"), *((t["error"] or {}).get("code") for t in outputs.get("turns") or [])]
    language = inputs.get("language") or reference_outputs.get("language") or "ko"
    listed = answers(outputs)
    return [
        number("answered", len(listed) / asked, ", ".join(str(code) for code in codes if code)),
        mean("schema_valid", (_valid(answer) for answer in listed), none="no answer"),
        mean(
            "language_match",
            (
                (korean == (language == "ko"), f"{where}: {text}")
                for answer in listed
                for where, text in sentences(answer)
                if (korean := is_korean(text)) is not None
            ),
            none="no answer, or no text long enough",
        ),
        mean(
            "prose_clean",
            (check for answer in listed for check in _clean(answer, korean=language == "ko")),
            none="no answer",
        ),
        *_warned(listed),
    ]


def _valid(answer: Json) -> Check:
    try:
        read = Answer.model_validate_json(orjson.dumps(answer), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        return False, f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    empty = [where for where, text in sentences(answer) if not text.strip()]
    if empty:
        return False, f"empty: {empty[0]}"
    if not read.project.steps or any(not step.tasks for step in read.project.steps):
        return False, "a step without tasks"
    accounted = len(read.candidates) + read.missing == _CANDIDATES
    return accounted, f"{len(read.candidates)} candidates, {read.missing} missing"


def _clean(answer: Json, *, korean: bool) -> Iterator[Check]:
    ids = {posting["posting_id"] for posting in answer["postings"]}
    ids |= {answer["project"]["subject_id"], *(subject["id"] for subject in answer["candidates"])}
    for where, text in sentences(answer):
        leaks = ids & set(_ID.findall(text)) | _field_names() & set(_SNAKE_CASE.findall(text))
        if korean and is_korean(text):
            leaks |= words("contract_words") & set(_SMALL_WORD.findall(QUOTED.sub(" ", text)))
        yield not leaks, f"{where}: {', '.join(sorted(leaks))} in {text}"


@cache
def _field_names() -> frozenset[str]:
    """Every name of the contract that no prose has, because it is of several words."""
    shapes = [model.model_json_schema() for model in (Answer, Profile, Wishes)]
    models = [shape for whole in shapes for shape in (whole, *whole.get("$defs", {}).values())]
    names = {name for model in models for name in model.get("properties", {})} | set(get_args(CareerStage))
    return frozenset(name for name in names if "_" in name) - _OF_THE_TRADE


def _warned(listed: list[Json]) -> list[Score]:
    if not listed:
        return all_absent(["warned", "warnings"])
    warnings = [answer.get("warnings") or [] for answer in listed]
    codes = Counter(f"{one['code']} of {one['node']}" for each in warnings for one in each)
    said = failures([f"{count} {code}" for code, count in codes.most_common()])
    return [
        number("warned", sum(map(bool, warnings)) / len(listed), said),
        number("warnings", codes.total() / len(listed), said),
    ]


def is_korean(text: str) -> bool | None:
    """Returns whether a text is Korean; None when that cannot be said."""
    share = hangul_share(text)
    return None if share is None else share >= 0.5  # noqa: PLR2004 - a majority


def hangul_share(text: str) -> float | None:
    """Returns how much of a text is Korean, from 0 to 1; None when too little is left without names."""
    unquoted = QUOTED.sub(" ", text)
    rest = _LATIN_NAME.sub(" ", unquoted)
    if not _HANGUL.search(unquoted):
        # "README" and "Docker Compose" are names in either language; a sentence has small words.
        rest = unquoted if len(_SMALL_WORD.findall(rest)) > 1 else ""
    hangul = len(_HANGUL.findall(rest)) * _LETTERS_OF_A_SYLLABLE
    latin = len(_LATIN.findall(rest))
    return hangul / (hangul + latin) if hangul + latin >= _FEWEST else None

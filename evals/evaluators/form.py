"""Schema and language: whether there is an answer at all, in its shape, in the language asked for."""

from __future__ import annotations

import re

import orjson
from pydantic import ValidationError

from evals.evaluators.base import Check, Json, Metric, Score, answers, mean, number, sentences
from tools.core.contracts import Answer

METRICS = {
    "answered": Metric("higher", "turns that ended in an answer", guarded=True, tolerance=0.0),
    "schema_valid": Metric("higher", "answers that are valid by the contract", guarded=True, tolerance=0.0),
    "language_match": Metric("higher", "texts in the language asked for", guarded=True, tolerance=0.01),
}

_CANDIDATES = 3
_QUOTED = re.compile(r"[“\"‘'「『](?=\S)[^”\"’'」』\n]{2,200}[”\"’'」』]")
_LATIN_NAME = re.compile(
    # Names of things: an inner or a leading capital, a digit, a mark inside, or behind an apostrophe.
    r"[A-Za-z]*[A-Z0-9][\w.+#/-]*|[a-z]+[.+#/_-][\w.+#/-]*"
)
_LATIN = re.compile(r"[A-Za-z]")
_SMALL_WORD = re.compile(r"[a-z]{2,}")
_HANGUL = re.compile(r"[가-힣]")
_LETTERS_OF_A_SYLLABLE = 2.5
"""Latin letters that say as much as one Hangul syllable does."""
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
                ((share >= 0.5) == (language == "ko"), f"{where}: {text}")  # noqa: PLR2004 - a majority
                for answer in listed
                for where, text in sentences(answer)
                if (share := hangul_share(text)) is not None
            ),
            none="no answer, or no text long enough",
        ),
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


def hangul_share(text: str) -> float | None:
    """Returns how much of a text is Korean, from 0 to 1; None when too little is left without names."""
    words = _QUOTED.sub(" ", text)
    rest = _LATIN_NAME.sub(" ", words)
    if not _HANGUL.search(words):
        # "README" and "Docker Compose" are names in either language; a sentence has small words.
        rest = words if len(_SMALL_WORD.findall(rest)) > 1 else ""
    hangul = len(_HANGUL.findall(rest)) * _LETTERS_OF_A_SYLLABLE
    latin = len(_LATIN.findall(rest))
    return hangul / (hangul + latin) if hangul + latin >= _FEWEST else None

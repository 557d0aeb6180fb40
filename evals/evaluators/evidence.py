"""Evidence valid and relevant: every quote stands in its posting, is kept, and speaks of the project."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from evals.evaluators.base import Metric, Score, absent, mean, number, tally
from evals.evaluators.form import hangul_share
from evals.evaluators.reading import (
    Json,
    answers,
    built_with,
    folded,
    kept_ids,
    named,
    posting_text,
    spoken,
    task_words,
    tasks,
)
from evals.evaluators.similarity import morphemes

METRICS = {
    "evidence_valid": Metric("higher", "quotes that stand in their posting", guarded=True, tolerance=0.0),
    "evidence_kept": Metric("higher", "quotes of postings that were kept", guarded=True, tolerance=0.0),
    "evidence_relevant": Metric("higher", "quotes that speak of the project", guarded=True, tolerance=0.03),
    "evidence_postings": Metric("higher", "different postings quoted", unit="postings", tolerance=0.3),
}

_SHORTEST = 4
"""Characters: a shorter quote stands in any posting."""
_ENOUGH = 0.5
"""What shared words must weigh together. A word weighs the share of the retrieved postings without it, so one
word that half of them have is enough, and one that all of them have ("개발") is nothing."""


def evidence(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores the quotes of all projects.

    `evidence_valid`: share of the quotes that stand in their posting, letter for letter after white space
    is folded, at least four characters long; a project without quotes counts as one that fails; 0 to 1,
    higher is better.
    `evidence_kept`: share of the quotes whose posting was kept; 0 to 1, higher is better.
    `evidence_relevant`: share of the quotes that name a skill of the project's work, or share enough words
    with it that not every posting of the trade has (`_ENOUGH`); 0 to 1, higher is better. A quote in
    the other language than the project, without a skill in common, is left out.
    `evidence_postings`: different postings quoted in an answer, on average; higher is better.

    It cannot see whether a relevant quote is the best one, nor relevance without a common word or skill, and
    so none between a Korean posting and an English project.
    """
    listed = answers(outputs)
    if not listed:
        return [absent(key, "no answer") for key in METRICS]
    postings = outputs["postings"]
    weights = _weights(postings)
    quotes = [(answer, quote) for answer in listed for quote in answer["project"]["evidence"]]
    missing = [
        (0.0, f"no evidence for {answer['project']['title']}")
        for answer in listed
        if not answer["project"]["evidence"]
    ]
    said = [
        (float(_stands(quote, postings)), f"{quote['posting_id']}: {quote['quote']}") for _, quote in quotes
    ]
    different = [len({quote["posting_id"] for quote in answer["project"]["evidence"]}) for answer in listed]
    return [
        mean("evidence_valid", [*said, *missing], none="no answer"),
        tally(
            "evidence_kept",
            ((quote["posting_id"] in kept_ids(answer), quote["posting_id"]) for answer, quote in quotes),
            none="no quotes",
        ),
        tally(
            "evidence_relevant",
            (check for answer in listed for check in _relevant(answer["project"], weights)),
            none="no quotes",
        ),
        number("evidence_postings", sum(different) / len(different)),
    ]


def _stands(quote: Json, postings: Json) -> bool:
    words = folded(quote["quote"])
    posting = postings.get(quote["posting_id"])
    return posting is not None and len(words) >= _SHORTEST and words in folded(posting_text(posting))


def _weights(postings: Json) -> dict[str, float]:
    """The share of the postings that do not have a word, for every word that one of them has."""
    texts = [morphemes(posting_text(posting)) for posting in postings.values()]
    counts = Counter(word for text in texts for word in text)
    return {word: 1 - count / len(texts) for word, count in counts.items()}


def _relevant(project: Json, weights: dict[str, float]) -> Iterator[tuple[bool, str]]:
    skills = built_with(project) | named(project["skills"])
    said = [project["title"], project["description"], *map(task_words, tasks(project))]
    words = morphemes("\n".join(said))
    korean = _korean(project["description"])
    for quote in project["evidence"]:
        shared = sum(weights.get(word, 0.0) for word in morphemes(quote["quote"]) if word in words)
        relevant = shared >= _ENOUGH or bool(spoken(quote["quote"]) & skills)
        if relevant or _korean(quote["quote"]) in (korean, None):
            yield relevant, f"{quote['posting_id']}: {quote['quote']}"


def _korean(text: str) -> bool | None:
    """Whether a text is Korean; None when that cannot be said."""
    share = hangul_share(text)
    return None if share is None else share >= 0.5  # noqa: PLR2004 - a majority

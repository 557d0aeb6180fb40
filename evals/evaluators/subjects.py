"""Subjects distinct from each other, and new against all that the session showed before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from evals.evaluators.base import Metric, Score, absent, mean, tally
from evals.evaluators.reading import Json, answers, turns
from evals.evaluators.similarity import SAME, likeness

METRICS = {
    "candidates_offered": Metric("higher", "candidates offered, of three an answer", guarded=True),
    "subjects_distinct": Metric("higher", "subjects unlike the others of their answer", guarded=True),
    "subjects_new": Metric("higher", "subjects unlike all of earlier turns", guarded=True),
    "subjects_asked_for": Metric("higher", "subjects that cite kept postings only", guarded=True),
}

_CANDIDATES = 3


def subjects(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores the subjects of all answers: each project, and the candidates beside it. All are 0 to 1,
    higher is better.

    `candidates_offered`: candidates, of three an answer.
    `subjects_distinct`: share of an answer's subjects that are like none before them in the answer.
    `subjects_new`: share of the subjects of regenerations that are like none of the answers before, the
    candidate that was chosen left out; None without a regeneration.
    `subjects_asked_for`: share of candidates that cite at least one posting, and kept ones only.

    Alike is a likeness from `likeness.SAME`, by words and not only by title: another noun in the same plan is
    no new subject. See `likeness.py` for what that cannot see.
    """
    listed = answers(outputs)
    if not listed:
        return [absent(key, "no answer") for key in METRICS]
    return [
        mean(
            "candidates_offered",
            [(min(1.0, len(a["candidates"]) / _CANDIDATES), f"{len(a['candidates'])}") for a in listed],
            none="no answer",
        ),
        tally("subjects_distinct", (check for answer in listed for check in _distinct(answer)), none="none"),
        tally("subjects_new", _new(outputs), none="no regeneration"),
        tally("subjects_asked_for", (check for a in listed for check in _cited(a)), none="no candidates"),
    ]


def shown(answer: Json) -> list[Json]:
    """The subjects that an answer shows: the project's and the candidates."""
    return [answer["project"], *answer["candidates"]]


def _distinct(answer: Json) -> Iterator[tuple[bool, str]]:
    listed = shown(answer)
    for number, subject in enumerate(listed):
        yield _verdict(subject, listed[:number])


def _new(outputs: Json) -> Iterator[tuple[bool, str]]:
    earlier: list[Json] = []
    for turn in turns(outputs):
        earlier += shown(turn.before)
        chosen = turn.wishes.get("subject_id")
        for subject in shown(turn.after):
            # What was chosen is to come again; anything else that does is a repetition, under whatever id.
            if chosen is None or (subject.get("id") or subject["subject_id"]) != chosen:
                yield _verdict(subject, earlier)


def _verdict(subject: Json, others: Iterable[Json]) -> tuple[bool, str]:
    alike = [other["title"] for other in others if likeness(subject, other) >= SAME]
    return not alike, f"'{subject['title']}' is like '{alike[0]}'" if alike else ""


def _cited(answer: Json) -> Iterator[tuple[bool, str]]:
    kept = {posting["posting_id"] for posting in answer["postings"] if posting["kept"]}
    for subject in answer["candidates"]:
        ids = set(subject["posting_ids"])
        yield (
            bool(ids) and ids <= kept,
            f"{subject['title']}: {', '.join(sorted(ids - kept)) or 'cites none'}",
        )

"""Subjects: distinct from each other, new against what the session showed before, and stable over repeats."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import combinations

from evals.evaluators.base import (
    Check,
    Json,
    Metric,
    Score,
    all_absent,
    answers,
    canonical_skills,
    kept_ids,
    mean,
    number,
    plain,
    turns,
)
from evals.evaluators.similarity import SAME, similarity

SUBJECTS = {
    "candidates_offered": Metric("higher", "candidates offered, of three an answer", guarded=True),
    "subjects_distinct": Metric("higher", "subjects unlike the others of their answer", guarded=True),
    "subjects_new": Metric("higher", "subjects unlike all of earlier turns", guarded=True),
    "subjects_asked_for": Metric("higher", "subjects that cite kept postings only", guarded=True),
    "candidates_narrower": Metric("higher", "candidates of no more skills and wishes than the project"),
}
STABILITY = {
    "stable_kept": Metric("higher", "overlap of the kept postings of two runs"),
    "stable_skills": Metric("higher", "overlap of the summary's skills of two runs"),
    "stable_subjects": Metric("higher", "likeness of the subjects of two runs", tolerance=0.05),
}
_CANDIDATES = 3
_TITLE = 6
"""Characters of a title that, with more behind or before it, is the same title."""


def subjects(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores the subjects of all answers: each project, and the candidates beside it.

    `candidates_offered`: candidates, of three an answer.
    `subjects_distinct`: share of an answer's subjects that are like none before them in the answer.
    `subjects_new`: share of the subjects of regenerations that are like none of the answers before, the
    candidate that was chosen left out; None without a regeneration.
    `subjects_asked_for`: share of candidates that cite at least one posting, and kept ones only.
    `candidates_narrower`: share of candidates that name no more skills, and say to serve no more wishes, than
    the project beside them.

    Alike is a similarity from `SAME`, or a title that goes on where another ends: another noun in the same
    plan is no new subject, and neither is a suffix. Cannot see whether a narrow candidate is a bold one.
    """
    listed = answers(outputs)
    if not listed:
        return all_absent(SUBJECTS)
    offered = [len(answer["candidates"]) for answer in listed]
    shown = [_subjects_of(answer) for answer in listed]
    distinct = (_unlike(one, subjects[:place]) for subjects in shown for place, one in enumerate(subjects))
    return [
        mean("candidates_offered", [(min(1.0, n / _CANDIDATES), f"{n}") for n in offered], none="no answer"),
        mean("subjects_distinct", distinct, none="none"),
        mean("subjects_new", _new(outputs), none="no regeneration"),
        mean("subjects_asked_for", (check for a in listed for check in _cited(a)), none="no candidates"),
        mean("candidates_narrower", (check for a in listed for check in _narrower(a)), none="no candidates"),
    ]


def stability(repeats: Sequence[Json]) -> list[Score]:
    """Scores the first answers of several runs of one case (the `outputs` of each), averaged over all
    pairs of runs; None for fewer than two runs with an answer.

    `stable_kept`, `stable_skills`: Jaccard overlap of the ids kept and of the skills the summary names.
    `stable_subjects`: similarity of each subject to the nearest one of the other run.

    Stability is no virtue by itself: compare it at equal quality. Cannot see whether what changed mattered.
    """
    firsts = [listed[0] for outputs in repeats if (listed := answers(outputs))]
    if len(firsts) < 2:  # noqa: PLR2004 - a pair
        return all_absent(STABILITY, "fewer than two runs with an answer")

    def over_pairs(key: str, measure: Callable[[Json, Json], float]) -> Score:
        values = [measure(a, b) for a, b in combinations(firsts, 2)]
        return number(key, sum(values) / len(values), f"{len(firsts)} runs")

    return [
        over_pairs("stable_kept", lambda a, b: jaccard(set(kept_ids(a)), set(kept_ids(b)))),
        over_pairs("stable_skills", lambda a, b: jaccard(_summary_skills(a), _summary_skills(b))),
        over_pairs("stable_subjects", _nearest_subjects),
    ]


def jaccard(a: set[str], b: set[str]) -> float:
    """Returns the overlap of two sets, from 0 to 1; two empty ones are the same."""
    return len(a & b) / len(a | b) if a | b else 1.0


def _subjects_of(answer: Json) -> list[Json]:
    return [answer["project"], *answer["candidates"]]


def _new(outputs: Json) -> Iterator[Check]:
    earlier: list[Json] = []
    for turn in turns(outputs):
        earlier += _subjects_of(turn.before)
        chosen = turn.wishes.get("subject_id")
        for subject in _subjects_of(turn.after):
            # The chosen subject is to come again; anything else that does is a repetition, under whatever id.
            if chosen is None or (subject.get("id") or subject["subject_id"]) != chosen:
                yield _unlike(subject, earlier)


def _unlike(subject: Json, others: Iterable[Json]) -> Check:
    alike = [
        other["title"]
        for other in others
        if similarity(subject, other) >= SAME or _goes_on(subject["title"], other["title"])
    ]
    return not alike, f"'{subject['title']}' is like '{alike[0]}'" if alike else ""


def _goes_on(one: str, other: str) -> bool:
    """Whether one title is the other with a prefix or a suffix."""
    short, long = sorted((plain(one), plain(other)), key=len)
    return len(short) >= _TITLE and (long.startswith(short) or long.endswith(short))


def _narrower(answer: Json) -> Iterator[Check]:
    skills, wishes = _breadth(answer["project"])
    for subject in answer["candidates"]:
        of_subject = _breadth(subject)
        yield of_subject[0] <= skills and of_subject[1] <= wishes, f"{subject['title']}: {of_subject}"


def _breadth(subject: Json) -> tuple[int, int]:
    return len(canonical_skills(subject["skills"])), len(subject.get("wishes") or [])


def _cited(answer: Json) -> Iterator[Check]:
    kept = set(kept_ids(answer))
    for subject in answer["candidates"]:
        ids = set(subject["posting_ids"])
        wrong = ", ".join(sorted(ids - kept)) or "cites none"
        yield bool(ids) and ids <= kept, f"{subject['title']}: {wrong}"


def _summary_skills(answer: Json) -> set[str]:
    return canonical_skills(line["text"] for line in (answer.get("summary") or {}).get("skills", []))


def _nearest_subjects(a: Json, b: Json) -> float:
    table = [[similarity(one, other) for other in _subjects_of(b)] for one in _subjects_of(a)]
    nearest = [max(row) for row in table] + [max(column) for column in zip(*table, strict=True)]
    return sum(nearest) / len(nearest)

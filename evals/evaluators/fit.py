"""Job fit of the kept postings, by the families that are known of the sample corpus."""

from __future__ import annotations

from evals.evaluators.base import Metric, Score, absent, number, tally
from evals.evaluators.reading import Json, answers, kept_ids

METRICS = {
    "fit_precision": Metric("higher", "kept postings that are for the desired job", guarded=True),
    "fit_recall": Metric("higher", "retrieved postings for the desired job that were kept", guarded=True),
    "fit_retrieved": Metric("higher", "retrieved postings that are for the desired job"),
    "closest_said": Metric("higher", "cases that say rightly whether any posting is for the job"),
}


def fit(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores what the filter kept, against the families that fit the case (`expect.fits`).

    `fit_precision`: share of the kept postings of known family that fit; 0 to 1, higher is better.
    `fit_recall`: share of the retrieved postings that fit which were kept; 0 to 1, higher is better.
    `fit_retrieved`: share of the retrieved postings that fit: what the filter had to work with, and the
    precision of a design without one; 0 to 1, higher is better.
    `closest_said`: 1 when the answer says that it rests on the nearest postings only, and none that was
    retrieved fits, or when it does not say so and one does; else 0.

    None where no family is known or the desired job is none of IT; precision is None too where nothing
    that fits was retrieved, because the service then keeps the nearest ones and says so. They cannot
    see fit within a family: a senior's posting for a beginner fits.
    """
    listed = answers(outputs)
    if not listed:
        return [absent(key, "no answer") for key in METRICS]
    postings = outputs["postings"]
    families = {i: posting["family"] for i, posting in postings.items() if posting.get("family")}
    fits = set(reference_outputs.get("fits") or [])
    if not families:
        return [absent(key, "families unknown") for key in METRICS]
    fitting = {i for i, family in families.items() if family in fits}
    said = bool(listed[0]["closest_only"])
    told = number("closest_said", said == (not fitting), "" if said == (not fitting) else f"said {said}")
    if reference_outputs.get("family") is None:
        why = "no job of IT"
        return [*(absent(key, why) for key in ("fit_precision", "fit_recall", "fit_retrieved")), told]
    kept = set(kept_ids(listed[0]))
    if not fitting:
        scores = [absent(key, "nothing that fits was retrieved") for key in ("fit_precision", "fit_recall")]
    else:
        scores = [
            tally(
                "fit_precision", _judged(sorted(kept & set(families)), fitting, postings), none="none known"
            ),
            tally("fit_recall", _judged(sorted(fitting), kept, postings), none="none fits"),
        ]
    return [*scores, tally("fit_retrieved", _judged(list(families), fitting, postings), none="none"), told]


def _judged(ids: list[str], right: set[str], postings: Json) -> list[tuple[bool, str]]:
    return [(i in right, f"{i} {postings[i]['job_title']} ({postings[i]['family']})") for i in ids]

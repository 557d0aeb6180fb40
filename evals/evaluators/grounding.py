"""What an answer makes of the postings: what it keeps, summarises and quotes, and the gaps it closes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from evals.evaluators.base import (
    Check,
    Json,
    Metric,
    Score,
    absent,
    all_absent,
    answers,
    asks_for,
    canonical_skills,
    chosen_subject,
    failures,
    folded,
    kept_ids,
    kept_postings,
    known_skills,
    mean,
    mentioned_skills,
    number,
    posting_text,
    task_text,
    tasks,
    used_skills,
)
from evals.evaluators.form import hangul_share
from evals.evaluators.similarity import morphemes
from tools.lexicon import canonical

FIT = {
    "fit_precision": Metric("higher", "kept postings that are for the desired job", guarded=True),
    "fit_recall": Metric("higher", "retrieved postings for the desired job that were kept", guarded=True),
    "fit_retrieved": Metric("higher", "retrieved postings that are for the desired job"),
    "closest_said": Metric("higher", "cases that say rightly whether any posting is for the job"),
}
MARKET = {
    "skill_coverage": Metric("higher", "the market's demand for skills that the summary names", guarded=True),
    "counts_honest": Metric("higher", "summary lines whose count is that of kept postings", guarded=True),
    "skills_cited_truly": Metric("higher", "postings cited for a skill that do name it", guarded=True),
    "skills_cited_fully": Metric("higher", "postings that name a skill and are cited for it", tolerance=0.03),
    "project_demand": Metric("higher", "demand for the project's skills, of the most there is"),
}
GAPS = {
    "gaps_asked_for": Metric("higher", "named gaps that a kept posting names", guarded=True),
    "gaps_new": Metric("higher", "named gaps that the person does not have already", guarded=True),
    "gaps_worked_on": Metric("higher", "gaps of the project that its tasks work on", guarded=True),
}
EVIDENCE = {
    "evidence_valid": Metric("higher", "quotes that stand in their posting", guarded=True, tolerance=0.0),
    "evidence_kept": Metric("higher", "quotes of postings that were kept", guarded=True, tolerance=0.0),
    "evidence_relevant": Metric("higher", "quotes that speak of the project", guarded=True, tolerance=0.03),
    "evidence_postings": Metric("higher", "different postings quoted", unit="postings", tolerance=0.3),
}
_GAP_WORDS = 0.5
"""Of the words of a gap that is no skill of the dictionary, the share that must be found."""
_SHORTEST_QUOTE = 4
"""Characters: a shorter quote stands in any posting."""
_RELEVANT = 0.5
"""What the words that a quote shares with its project must weigh together. A word weighs the share of the
retrieved postings without it: one that half of them have is enough, one that all have ("개발") is nothing."""


def fit(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores what the filter kept, against the families that fit the case (`expect.fits`).

    `fit_precision`: share of the kept postings of known family that fit.
    `fit_recall`: share of the retrieved postings that fit which were kept.
    `fit_retrieved`: share of the retrieved postings that fit, which is the precision without a filter.
    `closest_said`: 1 when the answer says that it rests on the nearest postings only, and none that was
    retrieved fits, or when it does not say so and one does; else 0.

    None where no family is known or the desired job is none of IT; precision also where nothing that fits was
    retrieved, because the service then keeps the nearest ones and says so. Cannot see fit within a family: a
    senior's posting for a beginner fits.
    """
    listed = answers(outputs)
    if not listed:
        return all_absent(FIT)
    postings = outputs["postings"]
    families = {i: posting["family"] for i, posting in postings.items() if posting.get("family")}
    if not families:
        return all_absent(FIT, "families unknown")
    fits = set(reference_outputs.get("fits") or [])
    fitting = {i for i, family in families.items() if family in fits}
    said = bool(listed[0]["closest_only"])
    right = said == (not fitting)
    closest = number("closest_said", right, "" if right else f"said {said}")
    if reference_outputs.get("family") is None:
        return [*all_absent(list(FIT)[:3], "no job of IT"), closest]
    kept = set(kept_ids(listed[0]))

    def share(key: str, ids: Iterable[str], right: set[str]) -> Score:
        checks = ((i in right, f"{i} {postings[i]['job_title']} ({postings[i]['family']})") for i in ids)
        return mean(key, checks, none="no posting of known family")

    of_kept = all_absent(["fit_precision", "fit_recall"], "nothing that fits was retrieved")
    if fitting:
        known = sorted(kept & set(families))
        of_kept = [share("fit_precision", known, fitting), share("fit_recall", sorted(fitting), kept)]
    return [*of_kept, share("fit_retrieved", families, fitting), closest]


def market(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores the summary and the project against the skills that postings list.

    `skill_coverage`: of the demand of the kept postings (`demand`), the part whose skill the summary names.
    `counts_honest`: share of the summary's lines whose count is the number of their posting ids, all
    different and kept.
    `skills_cited_truly`, `skills_cited_fully`: over the summary's lines of skills, the share of cited
    postings that name the skill, and of kept postings with the skill in their list that are cited.
    `project_demand`: demand for the skills that the projects use, of the demand for the most wanted skills of
    the same number; in the postings that fit the case where families are known, so that a design without a
    filter is measured against the same market.

    The first four are None for an answer that has no summary by design (the baseline). Cannot see whether
    lines of responsibilities are true, nor skills outside lists and dictionary.
    """
    listed = answers(outputs)
    if not listed:
        return all_absent(MARKET)
    kept, summary = kept_postings(outputs), listed[0]["summary"]
    fits = set(reference_outputs.get("fits") or [])
    fitting = [p for p in outputs["postings"].values() if p.get("family") in fits]
    wanted = demand(fitting or kept)
    demanded = mean(
        "project_demand",
        [_share_of_demand(answer["project"], wanted) for answer in listed],
        none="no skills in the postings",
    )
    if outputs.get("variant") == "baseline" and not any(summary.values()):
        return [*all_absent(list(MARKET)[:-1], "no summary in this variant"), demanded]
    ids = set(kept_ids(listed[0]))
    lines = [line for part in summary.values() for line in part]
    cited = [(line["text"], set(line["posting_ids"])) for line in summary["skills"]]
    return [
        _coverage(kept, lines, summary),
        mean("counts_honest", (_honest(line, ids) for line in lines), none="no lines"),
        mean("skills_cited_truly", _cited_truly(cited, kept), none="no lines of skills"),
        mean("skills_cited_fully", _cited_fully(cited, kept), none="no lines of skills"),
        demanded,
    ]


def demand(postings: Iterable[Json]) -> Counter[str]:
    """Returns how many postings list each skill; without those that one posting alone lists, unless
    there are no others."""
    counts = Counter(skill for posting in postings for skill in canonical_skills(posting.get("skills") or []))
    return Counter({skill: count for skill, count in counts.items() if count > 1}) or counts


def _share_of_demand(project: Json, wanted: Counter[str]) -> tuple[float, str]:
    used = used_skills(project) | canonical_skills(project["skills"])
    most = sum(count for _, count in wanted.most_common(len(used)))
    met = sum(wanted[skill] for skill in used)
    return (met / most if most else 0.0), f"{project['title']}: {met} of {most}"


def _coverage(kept: list[Json], lines: list[Json], summary: Json) -> Score:
    wanted = demand(kept)
    if not wanted:
        return absent("skill_coverage", "the kept postings list no skills")
    named = canonical_skills(line["text"] for line in summary["skills"])
    named |= mentioned_skills(*(line["text"] for line in lines))
    missed = [f"{skill} ({count})" for skill, count in wanted.most_common() if skill not in named]
    covered = sum(count for skill, count in wanted.items() if skill in named)
    return number("skill_coverage", covered / wanted.total(), failures(missed))


def _honest(line: Json, kept: set[str]) -> Check:
    ids = line["posting_ids"]
    honest = bool(ids) and line["count"] == len(ids) == len(set(ids)) and set(ids) <= kept
    return honest, f"{line['text']}: {line['count']} by {', '.join(ids)}"


def _cited_truly(cited: list[tuple[str, set[str]]], kept: list[Json]) -> Iterator[Check]:
    by_id = {posting["posting_id"]: posting for posting in kept}
    for skill, ids in cited:
        for i in sorted(ids):
            yield i in by_id and asks_for(by_id[i], skill), f"{skill} in {i}"


def _cited_fully(cited: list[tuple[str, set[str]]], kept: list[Json]) -> Iterator[Check]:
    for skill, ids in cited:
        for posting in kept:
            if canonical(skill).casefold() in canonical_skills(posting.get("skills") or []):
                yield posting["posting_id"] in ids, f"{skill} in {posting['posting_id']}"


def gaps(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores the gaps that candidates name, and what projects do about them.

    `gaps_asked_for`: share of the candidates' gaps that a kept posting names, in its list or its text; a
    gap in free words ("handling failures") counts when half of its words stand in one posting.
    `gaps_new`: share of the candidates' gaps that are not among what the person can do (profile, its
    projects, the case's `known_skills`).
    `gaps_worked_on`: of a project's gaps, those that its tasks use, averaged over the projects. A project
    without any gap, for somebody to whom the market has something new, scores 0. A project's gaps are those
    of the candidate that it was built from; where that was not shown (the first project of a session), the
    skills of the project that the person lacks and a kept posting names.

    Cannot see whether a gap is the one most worth closing (`project_demand` is near that), nor how deep a
    task goes into it.
    """
    listed = answers(outputs)
    if not listed:
        return all_absent(GAPS)
    kept, known = kept_postings(outputs), known_skills(inputs, reference_outputs)
    subjects = {subject["id"]: subject for answer in listed for subject in answer["candidates"]}
    named = [
        (gap["skill"], f"{gap['skill']} of {subject['title']}")
        for subject in subjects.values()
        for gap in subject["skill_gaps"]
    ]
    market_has_new = bool(set(demand(kept)) - known)

    def asked_for(gap: str) -> bool:
        return any(asks_for(p, gap) or _mostly_in(gap, morphemes(posting_text(p))) for p in kept)

    return [
        mean("gaps_asked_for", ((asked_for(gap), what) for gap, what in named), none="no gaps named"),
        mean(
            "gaps_new",
            ((not canonical_skills([gap]) & known, what) for gap, what in named),
            none="no gaps named",
        ),
        mean(
            "gaps_worked_on",
            [part for answer in listed for part in _worked_on(outputs, answer, kept, known, market_has_new)],
            none="the market asks nothing that the person lacks",
        ),
    ]


def _mostly_in(gap: str, words: Counter[str]) -> bool:
    wanted = morphemes(gap)
    # One word alone is a name; half of it is nothing.
    return len(wanted) > 1 and sum(word in words for word in wanted) / len(wanted) >= _GAP_WORDS


def _worked_on(
    outputs: Json, answer: Json, kept: list[Json], known: set[str], market_has_new: bool
) -> Iterator[tuple[float, str]]:
    project = answer["project"]
    subject = chosen_subject(outputs, project)
    if subject is not None:
        wanted = [gap["skill"] for gap in subject["skill_gaps"]]
    else:
        lacking = sorted(canonical_skills(project["skills"]) - known)
        wanted = [skill for skill in lacking if any(asks_for(posting, skill) for posting in kept)]
    if wanted:
        used, words = used_skills(project), morphemes("\n".join(map(task_text, tasks(project))))
        unused = [gap for gap in wanted if not canonical_skills([gap]) & used and not _mostly_in(gap, words)]
        yield 1 - len(unused) / len(wanted), f"{project['title']}: no task on {', '.join(unused)}"
    elif market_has_new:
        yield 0.0, f"{project['title']}: closes no gap"


def evidence(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores the quotes of all projects.

    `evidence_valid`: share of the quotes that stand in their posting, letter for letter after white space
    is folded, at least four characters long; a project without quotes counts as one that fails.
    `evidence_kept`: share of the quotes whose posting was kept.
    `evidence_relevant`: share of the quotes that name a skill of the project's work, or share enough words
    with it that not every posting has (`_RELEVANT`). A quote in another language than the project, without a
    skill in common, is left out.
    `evidence_postings`: different postings quoted in an answer, on average.

    Cannot see whether a relevant quote is the best one, nor relevance without a common word or skill, and so
    none between a Korean posting and an English project.
    """
    listed = answers(outputs)
    if not listed:
        return all_absent(EVIDENCE)
    postings = outputs["postings"]
    weights = _weights(postings)
    quotes = [(answer, quote) for answer in listed for quote in answer["project"]["evidence"]]
    missing = [
        (False, f"no evidence for {answer['project']['title']}")
        for answer in listed
        if not answer["project"]["evidence"]
    ]
    texts = {i: folded(posting_text(posting)) for i, posting in postings.items()}
    stand = []
    for _, quote in quotes:
        words = folded(quote["quote"])
        valid = len(words) >= _SHORTEST_QUOTE and words in texts.get(quote["posting_id"], "")
        stand.append((valid, f"{quote['posting_id']}: {quote['quote']}"))
    different = [len({quote["posting_id"] for quote in answer["project"]["evidence"]}) for answer in listed]
    return [
        mean("evidence_valid", [*stand, *missing], none="no answer"),
        mean(
            "evidence_kept",
            ((quote["posting_id"] in kept_ids(answer), quote["posting_id"]) for answer, quote in quotes),
            none="no quotes",
        ),
        mean(
            "evidence_relevant",
            (check for answer in listed for check in _relevant(answer["project"], weights)),
            none="no quotes",
        ),
        number("evidence_postings", sum(different) / len(different)),
    ]


def _weights(postings: Json) -> dict[str, float]:
    """The share of the postings that do not have a word, for every word that one of them has."""
    texts = [morphemes(posting_text(posting)) for posting in postings.values()]
    counts = Counter(word for text in texts for word in text)
    return {word: 1 - count / len(texts) for word, count in counts.items()}


def _relevant(project: Json, weights: dict[str, float]) -> Iterator[Check]:
    skills = used_skills(project) | canonical_skills(project["skills"])
    words = morphemes("\n".join([project["title"], project["description"], *map(task_text, tasks(project))]))
    korean = _korean(project["description"])
    for quote in project["evidence"]:
        shared = sum(weights.get(word, 0.0) for word in morphemes(quote["quote"]) if word in words)
        relevant = shared >= _RELEVANT or bool(mentioned_skills(quote["quote"]) & skills)
        if relevant or _korean(quote["quote"]) in (korean, None):
            yield relevant, f"{quote['posting_id']}: {quote['quote']}"


def _korean(text: str) -> bool | None:
    """Whether a text is Korean; None when that cannot be said."""
    share = hangul_share(text)
    return None if share is None else share >= 0.5  # noqa: PLR2004 - a majority

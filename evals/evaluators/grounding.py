"""Coverage of the market's skills, and whether the summary's counts are honest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from evals.evaluators.base import Metric, Score, absent, failures, mean, number, tally
from evals.evaluators.reading import (
    Json,
    answers,
    asks_for,
    built_with,
    kept_ids,
    kept_postings,
    named,
    spoken,
)
from tools.lexicon import canonical

METRICS = {
    "skill_coverage": Metric("higher", "the market's demand for skills that the summary names", guarded=True),
    "counts_honest": Metric("higher", "summary lines whose count is that of kept postings", guarded=True),
    "skills_cited_truly": Metric("higher", "postings cited for a skill that do name it", guarded=True),
    "skills_cited_fully": Metric("higher", "postings that name a skill and are cited for it", tolerance=0.03),
    "project_demand": Metric("higher", "demand for the project's skills, of the most there is"),
}


def market(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores the summary and the project against the skills that postings list.

    `skill_coverage`: of the demand of the kept postings (each of their listed skills, once a posting; of
    skills that at least two postings name, where there are so many), the part whose skill the summary
    names; 0 to 1, higher is better.
    `counts_honest`: share of the summary's lines whose count is the number of their posting ids, all
    different and kept; 0 to 1, higher is better.
    `skills_cited_truly`, `skills_cited_fully`: over the summary's lines of skills, the share of cited
    postings that name the skill, and of kept postings that name the skill in their list which are
    cited; 0 to 1, higher is better.
    `project_demand`: demand for the skills that the projects' tasks use, of the demand for the most wanted
    skills of the same number; asked of the postings that fit the case where families are known, so that a
    design without a filter is measured against the same market; 0 to 1, higher is better.

    The first four are None for an answer that has no summary by design (the baseline). They cannot see
    whether lines of responsibilities are true, nor skills outside lists and dictionary.
    """
    listed = answers(outputs)
    if not listed:
        return [absent(key, "no answer") for key in METRICS]
    kept, summary = kept_postings(outputs), listed[0]["summary"]
    asked = mean(
        "project_demand",
        [_demanded(answer["project"], _market(outputs, reference_outputs)) for answer in listed],
        none="no skills in the postings",
    )
    if outputs.get("variant") == "baseline" and not any(summary.values()):
        return [*(absent(key, "no summary in this variant") for key in list(METRICS)[:-1]), asked]
    ids = set(kept_ids(listed[0]))
    lines = [line for part in summary.values() for line in part]
    cited = [(line["text"], set(line["posting_ids"])) for line in summary["skills"]]
    return [
        _coverage(kept, lines, summary),
        tally("counts_honest", (_honest(line, ids) for line in lines), none="no lines"),
        tally("skills_cited_truly", _truly(cited, kept), none="no lines of skills"),
        tally("skills_cited_fully", _fully(cited, kept), none="no lines of skills"),
        asked,
    ]


def demand(postings: Iterable[Json]) -> Counter[str]:
    """Returns how many postings list each skill; without those that one posting alone lists, unless
    there are no others."""
    counts = Counter(skill for posting in postings for skill in named(posting.get("skills") or []))
    return Counter({skill: count for skill, count in counts.items() if count > 1}) or counts


def _market(outputs: Json, reference: Json) -> Counter[str]:
    fits = set(reference.get("fits") or [])
    fitting = [p for p in outputs["postings"].values() if p.get("family") in fits]
    return demand(fitting or kept_postings(outputs))


def _demanded(project: Json, wanted: Counter[str]) -> tuple[float, str]:
    used = built_with(project) | named(project["skills"])
    best = sum(count for _, count in wanted.most_common(len(used)))
    got = sum(wanted[skill] for skill in used)
    return (got / best if best else 0.0), f"{project['title']}: {got} of {best}"


def _coverage(kept: list[Json], lines: list[Json], summary: Json) -> Score:
    wanted = demand(kept)
    if not wanted:
        return absent("skill_coverage", "the kept postings list no skills")
    told = named(line["text"] for line in summary["skills"]) | spoken(*(line["text"] for line in lines))
    missed = [f"{skill} ({count})" for skill, count in wanted.most_common() if skill not in told]
    covered = sum(count for skill, count in wanted.items() if skill in told)
    return number("skill_coverage", covered / wanted.total(), failures(missed))


def _honest(line: Json, kept: set[str]) -> tuple[bool, str]:
    ids = line["posting_ids"]
    honest = bool(ids) and line["count"] == len(ids) == len(set(ids)) and set(ids) <= kept
    return honest, f"{line['text']}: {line['count']} by {', '.join(ids)}"


def _truly(cited: list[tuple[str, set[str]]], kept: list[Json]) -> Iterator[tuple[bool, str]]:
    by_id = {posting["posting_id"]: posting for posting in kept}
    for skill, ids in cited:
        for i in sorted(ids):
            yield i in by_id and asks_for(by_id[i], skill), f"{skill} in {i}"


def _fully(cited: list[tuple[str, set[str]]], kept: list[Json]) -> Iterator[tuple[bool, str]]:
    for skill, ids in cited:
        for posting in kept:
            if canonical(skill).casefold() in named(posting.get("skills") or []):
                yield posting["posting_id"] in ids, f"{skill} in {posting['posting_id']}"

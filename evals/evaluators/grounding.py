"""What an answer makes of the postings: what it keeps, how it sums them up, and the gaps it closes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from evals.evaluators.base import (
    EVERYDAY,
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
    kept_ids,
    kept_postings,
    known_skills,
    mean,
    mentioned_skills,
    most_wanted,
    names_as_left,
    number,
    plain,
    posting_skills,
    posting_text,
    task_text,
    tasks,
    used_skills,
    works_with,
)
from evals.evaluators.form import is_korean
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
    "lines_cited_truly": Metric("higher", "postings cited for a line that do say it", guarded=True),
    "skills_cited_fully": Metric("higher", "postings that name a skill and are cited for it", guarded=True),
    "project_demand": Metric("higher", "demand for the project's skills, of the most there is"),
}
GAPS = {
    "gaps_asked_for": Metric("higher", "named gaps that a kept posting names", guarded=True),
    "gaps_new": Metric("higher", "named gaps that the person does not have already", guarded=True),
    "gaps_worked_on": Metric("higher", "gaps of the project that its tasks work on", guarded=True),
    "commonest_gap": Metric("higher", "projects that use the commonest gap or name it as left", guarded=True),
}
_GAP_WORDS = 0.5
"""Of the words of a gap that is no skill of the dictionary, the share that must be found."""
_LINE_WORDS = 0.5
"""Of the words of a line of the summary, the share that a posting must have to say it."""
_WIDESPREAD = 0.25
"""Share of the kept postings from which a skill is one that the market asks for."""


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
    """Scores the summary and the project against the postings.

    `skill_coverage`: of the demand of the kept postings (`demand`), the part whose skill the summary names.
    `counts_honest`: share of the summary's lines whose count is the number of their posting ids, all
    different and kept; of a line of skills also that of the kept postings that name the skill in their list
    or text.
    `lines_cited_truly`: over all lines but those of domains, the share of cited postings that say the line:
    they name its skills and have half of its words (`_says`).
    `skills_cited_fully`: over the lines of skills, the share of the kept postings that name the skill, in
    their list or text, and are cited.
    `project_demand`: demand for the skills that the projects use, of the demand for the most wanted skills of
    the same number; in the postings that fit the case where families are known, so that a design without a
    filter is measured against the same market.

    The first four are None for an answer that has no summary by design (the baseline). Cannot see whether a
    line is true that says it in other words than the posting or in another language (left out), nor what the
    companies make, nor skills outside lists and dictionary.
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
    honest = [
        check
        for part, rows in summary.items()
        for line in rows
        for check in _honest(line, ids, kept if part == "skills" else None)
    ]
    return [
        _coverage(kept, lines, summary),
        mean("counts_honest", honest, none="no lines"),
        mean("lines_cited_truly", _cited_truly(summary, kept), none="no lines"),
        mean("skills_cited_fully", _cited_fully(summary["skills"], kept), none="no lines of skills"),
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


def _honest(line: Json, kept: set[str], named_in: list[Json] | None) -> Iterator[Check]:
    """Whether a line's count is that of its postings; for a skill, of the postings that name it."""
    ids, count = line["posting_ids"], line["count"]
    honest = bool(ids) and count == len(ids) == len(set(ids)) and set(ids) <= kept
    said = f"{line['text']}: {count} by {', '.join(ids)}"
    if honest and named_in is not None:
        named = sum(asks_for(posting, line["text"]) for posting in named_in)
        honest, said = count == named, f"{said}; {named} name it"
    yield honest, said


@dataclass(frozen=True, slots=True)
class _Read:
    """A posting as it is read for many lines: skills, words, letters, and whether it is Korean."""

    skills: set[str]
    words: Counter[str]
    letters: str
    korean: bool | None


def _cited_truly(summary: Json, kept: list[Json]) -> Iterator[Check]:
    by_id = {posting["posting_id"]: posting for posting in kept}
    read = {i: _read(posting) for i, posting in by_id.items()}
    for part, lines in summary.items():
        for line in lines if part != "domains" else []:
            for i in dict.fromkeys(line["posting_ids"]):
                # That one was not kept is the count's fault.
                if i in by_id:
                    text = line["text"]
                    said = asks_for(by_id[i], text) if part == "skills" else _says(read[i], text)
                    if said is not None:
                        yield said, f"{text} in {i}"


def _read(posting: Json) -> _Read:
    text = posting_text(posting)
    return _Read(posting_skills(posting), morphemes(text), plain(text), is_korean(text))


def _says(posting: _Read, line: str) -> bool | None:
    """Whether a posting says a line; None where that cannot be said, because the two are in two languages."""
    named = mentioned_skills(line)
    if not named <= posting.skills:
        return False
    # A name is in both languages; words are not.
    words = [word for word in morphemes(line) if not mentioned_skills(word) & named]
    if not words or is_korean(line) != posting.korean:
        return True if named else None
    # In whatever way the analyser parts it: 멱등성 stands in "멱등성을 고려한".
    found = sum(word in posting.words or word in posting.letters for word in words)
    return found >= _LINE_WORDS * len(words)


def _cited_fully(lines: list[Json], kept: list[Json]) -> Iterator[Check]:
    for line in lines:
        for posting in kept:
            if canonical(line["text"]).casefold() in posting_skills(posting):
                yield (
                    posting["posting_id"] in line["posting_ids"],
                    f"{line['text']} in {posting['posting_id']}",
                )


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
    `commonest_gap`: share of the projects that use the skill which most of the kept postings name and the
    person lacks, or name it as left; of several named equally often any; everyday ones are left out. None
    where fewer than two postings, or than a quarter, name the same.

    Cannot see whether a gap is the one most worth closing, nor how deep a task goes into it.
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
        mean(
            "commonest_gap",
            _commonest([answer["project"] for answer in listed], kept, known),
            none="no skill that the person lacks is asked for by many",
        ),
    ]


def _commonest(projects: list[Json], kept: list[Json], known: set[str]) -> Iterator[Check]:
    lacking = {skill: count for skill, count in most_wanted(kept).items() if skill not in known | EVERYDAY}
    most = max(lacking.values(), default=0)
    if most > 1 and most >= _WIDESPREAD * len(kept):
        commonest = [skill for skill, count in lacking.items() if count == most]
        for project in projects:
            met = any(works_with(project, skill) or names_as_left(project, skill) for skill in commonest)
            yield met, f"{project['title']}: {' or '.join(commonest)}, of {most} postings"


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

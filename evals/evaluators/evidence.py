"""The evidence: quotes that stand, are enough, speak of the project, and carry its claims of the market."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from evals.evaluators.base import (
    EVERYDAY,
    Check,
    Json,
    Metric,
    Score,
    all_absent,
    answers,
    asks_for,
    canonical_skills,
    folded,
    kept_ids,
    kept_postings,
    mean,
    mentioned_skills,
    names_as_left,
    plain,
    posting_text,
    used_skills,
    work_text,
    works_with,
)
from evals.evaluators.form import QUOTED, is_korean
from evals.evaluators.similarity import morphemes

METRICS = {
    "evidence_valid": Metric("higher", "quotes that stand in their posting", guarded=True, tolerance=0.0),
    "evidence_kept": Metric("higher", "quotes of postings that were kept", guarded=True, tolerance=0.0),
    "evidence_relevant": Metric("higher", "quotes that speak of the project", guarded=True, tolerance=0.03),
    "evidence_enough": Metric("higher", "projects with four to ten quotes", guarded=True, tolerance=0.03),
    "evidence_spread": Metric(
        "higher", "quotes that are one of two of their posting at most", guarded=True, tolerance=0.0
    ),
    "quoted_skills_used": Metric("higher", "skills in quotes that are used or named as left", guarded=True),
    "claims_true": Metric("higher", "numbers of postings that the postings bear out", guarded=True),
    "claims_quoted": Metric("higher", "numbers of postings that a quote speaks for", guarded=True),
}
_SHORTEST_QUOTE = 4
"""Characters: a shorter quote stands in any posting."""
_RELEVANT = 0.5
"""What the words that a quote shares with its project must weigh together. A word weighs the share of the
retrieved postings without it: one that half of them have is enough, one that all have ("개발") is nothing."""
_ENOUGH = (4, 10)
"""Quotes of a project, least and most."""
_A_POSTING = 2
"""Quotes of one posting at most."""

_EITHER = re.compile(r"또는|혹은|이나\s|나\s|\bor\b|중\s*(?:하나|한)", re.IGNORECASE)
"""Of the skills that a posting names so, one is what it asks for."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_OF_POSTINGS = re.compile(r"공고|회사\s*\d|\bpostings?\b|\bcompanies\b", re.IGNORECASE)
_PART_OF_TOTAL = re.compile(
    r"(?P<total>\d+)\s*(?:건|개|곳)의?\s*(?:공고|회사)?\s*(?:중|가운데)(?:에서|에)?[^.\d]{0,20}?(?P<part>\d+)\s*(?:건|개|곳)"
    r"|(?P<part_en>\d+) (?:out )?of (?:the |these |those |all )?(?P<total_en>\d+)\b"
    r"|\bof (?:the |these |those |all )?(?P<total_of>\d+) [^.\d]{0,40}?(?P<part_of>\d+)\b",
    re.IGNORECASE,
)
_ALONE = re.compile(
    r"공고\s*(?P<after>\d+)\s*(?:건|개|곳)(?!\s*(?:중|가운데|의\s*공고))"
    r"|(?P<before>\d+)\s*(?:건|개|곳)의?\s*공고(?!\s*(?:중|가운데))"
    r"|(?P<en>\d+) (?:\w+ )?(?:postings?|companies)\b",
    re.IGNORECASE,
)


def evidence(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores the quotes of all projects.

    `evidence_valid`: share of the quotes that stand in their posting, letter for letter after white space
    is folded, at least four characters long; a project without quotes counts as one that fails.
    `evidence_kept`: share of the quotes whose posting was kept.
    `evidence_relevant`: share of the quotes that name a skill of the project's work, or share enough words
    with it that not every posting has (`_RELEVANT`). A quote in another language than the project, without a
    skill in common, is left out.
    `evidence_enough`: 1 for four to ten quotes, or as many as there are kept postings where these are fewer
    than four; falling to 0 with none, and with ever more.
    `evidence_spread`: share of the quotes that are no third one of their posting, nor one that is there.
    `quoted_skills_used`: of the skills that quotes name, the share that the project's work uses or that are
    named as left; of those that a quote names with "or", one is enough. Everyday ones are left out.
    `claims_true`: share of the claims with a number of postings ("공고 13건 중 9건") whose number is that of
    the kept postings which name a skill of the sentence (one of them, all, or any), and whose total is that
    of the kept postings. Claims without a skill are left out; quotation marks are not read.
    `claims_quoted`: share of the project's own claims with a number of which a quote names a skill, or, where
    the claim names none, shares enough words.

    Cannot see whether a relevant quote is the best one, nor relevance without a common word or skill, and so
    none between a Korean posting and an English project; numbers that are spelled out.
    """
    listed = answers(outputs)
    if not listed:
        return all_absent(METRICS)
    postings, kept = outputs["postings"], kept_postings(outputs)
    weights = _weights(postings)
    projects = [answer["project"] for answer in listed]
    quotes = [(answer, quote) for answer in listed for quote in answer["project"]["evidence"]]
    return [
        mean("evidence_valid", [*_stand(quotes, postings), *_none(projects)], none="no answer"),
        mean(
            "evidence_kept",
            ((quote["posting_id"] in kept_ids(answer), quote["posting_id"]) for answer, quote in quotes),
            none="no quotes",
        ),
        mean(
            "evidence_relevant",
            (check for project in projects for check in _relevant(project, weights)),
            none="no quotes",
        ),
        mean("evidence_enough", (_enough(project, len(kept)) for project in projects), none="no answer"),
        mean(
            "evidence_spread", (check for project in projects for check in _spread(project)), none="no quotes"
        ),
        mean(
            "quoted_skills_used",
            (check for project in projects for check in _quoted_skills(project)),
            none="no quote names a skill",
        ),
        mean(
            "claims_true",
            (check for answer in listed for check in _true(answer, kept)),
            none="no claim with a number and a skill",
        ),
        mean(
            "claims_quoted",
            (check for project in projects for check in _quoted(project, weights)),
            none="no claim with a number",
        ),
    ]


def _stand(quotes: list[tuple[Json, Json]], postings: Json) -> Iterator[Check]:
    texts = {i: folded(posting_text(posting)) for i, posting in postings.items()}
    for _, quote in quotes:
        words = folded(quote["quote"])
        valid = len(words) >= _SHORTEST_QUOTE and words in texts.get(quote["posting_id"], "")
        yield valid, f"{quote['posting_id']}: {quote['quote']}"


def _none(projects: list[Json]) -> Iterator[Check]:
    return ((False, f"no evidence for {project['title']}") for project in projects if not project["evidence"])


def _weights(postings: Json) -> dict[str, float]:
    """The share of the postings that do not have a word, for every word that one of them has."""
    texts = [morphemes(posting_text(posting)) for posting in postings.values()]
    counts = Counter(word for text in texts for word in text)
    return {word: 1 - count / len(texts) for word, count in counts.items()}


def _shared_weight(words: Counter[str], text: str, weights: Mapping[str, float]) -> float:
    return sum(weights.get(word, 0.0) for word in morphemes(text) if word in words)


def _relevant(project: Json, weights: Mapping[str, float]) -> Iterator[Check]:
    skills = used_skills(project) | canonical_skills(project["skills"])
    words = morphemes(work_text(project))
    korean = is_korean(project["description"])
    for quote in project["evidence"]:
        relevant = _shared_weight(words, quote["quote"], weights) >= _RELEVANT or bool(
            mentioned_skills(quote["quote"]) & skills
        )
        if relevant or is_korean(quote["quote"]) in (korean, None):
            yield relevant, f"{quote['posting_id']}: {quote['quote']}"


def _enough(project: Json, kept: int) -> tuple[float, str]:
    number = len(project["evidence"])
    least, most = min(_ENOUGH[0], kept), _ENOUGH[1]
    share = min(1.0, number / least if least else 1.0, most / max(1, number))
    return share, f"{project['title']}: {number} quotes"


def _spread(project: Json) -> Iterator[Check]:
    of_posting: Counter[str] = Counter()
    seen: set[tuple[str, str]] = set()
    for quote in project["evidence"]:
        same = (quote["posting_id"], plain(quote["quote"]))
        of_posting[quote["posting_id"]] += 1
        within = of_posting[quote["posting_id"]] <= _A_POSTING and same not in seen
        yield within, f"{quote['posting_id']}, number {of_posting[quote['posting_id']]}"
        seen.add(same)


def _quoted_skills(project: Json) -> Iterator[Check]:
    for quote in project["evidence"]:
        named = sorted(mentioned_skills(quote["quote"]) - EVERYDAY)
        met = [works_with(project, skill) or names_as_left(project, skill) for skill in named]
        one_is_enough = _EITHER.search(quote["quote"]) is not None and any(met)
        for skill, is_met in zip(named, met, strict=True):
            yield is_met or one_is_enough, f"{skill} of {quote['posting_id']}"


@dataclass(frozen=True, slots=True)
class Claim:
    """A number of postings that a sentence names, and of how many; `total` is null where that is not said."""

    number: int
    total: int | None
    sentence: str


def claims_in(text: str) -> Iterator[Claim]:
    """Yields the numbers of postings that a text names in digits, where a sentence speaks of postings."""
    for sentence in _SENTENCE.split(QUOTED.sub(" ", text)):
        if not _OF_POSTINGS.search(sentence):
            continue
        for match in _PART_OF_TOTAL.finditer(sentence):
            number = match["part"] or match["part_en"] or match["part_of"]
            total = match["total"] or match["total_en"] or match["total_of"]
            yield Claim(int(number), int(total), sentence)
        for match in _ALONE.finditer(_PART_OF_TOTAL.sub(" ", sentence)):
            yield Claim(int(match["after"] or match["before"] or match["en"]), None, sentence)


def _own_claims(project: Json) -> Iterator[Claim]:
    """Claims of what a project says of itself and its market."""
    for text in (project["title"], project["description"], project["summary"], project.get("goal") or ""):
        yield from claims_in(text)


def _all_claims(answer: Json) -> Iterator[tuple[Claim, set[str]]]:
    """Every claim of an answer, with the skills that it is about."""
    project = answer["project"]
    for claim in _own_claims(project):
        yield claim, mentioned_skills(claim.sentence)
    for part in (project, *answer["candidates"]):
        for item in part.get("not_covered") or []:
            yield from _about(item["reason"], item["name"])
    for quote in project["evidence"]:
        yield from _about(quote.get("claim") or "", "")
    for subject in answer["candidates"]:
        yield from _about(subject["description"], "")
        for gap in subject["skill_gaps"]:
            yield from _about(gap["reason"], gap["skill"])


def _about(text: str, name: str) -> Iterator[tuple[Claim, set[str]]]:
    for claim in claims_in(text):
        yield claim, mentioned_skills(claim.sentence) or ({name} if name else set())


def _true(answer: Json, kept: list[Json]) -> Iterator[Check]:
    unread = len(set((answer.get("left_out") or {}).get("summarize", [])))
    totals = {None, len(kept), len(kept) - unread}
    for claim, skills in _all_claims(answer):
        if skills:
            naming = [{p["posting_id"] for p in kept if asks_for(p, skill)} for skill in sorted(skills)]
            numbers = {*map(len, naming), len(set.union(*naming)), len(set.intersection(*naming))}
            right = claim.number in numbers and claim.total in totals
            counted = ", ".join(str(one) for one in sorted(numbers))
            yield right, f"{claim.sentence} ({counted} of {len(kept)})"


def _quoted(project: Json, weights: Mapping[str, float]) -> Iterator[Check]:
    quotes = [quote["quote"] for quote in project["evidence"]]
    for claim in _own_claims(project):
        skills, words = mentioned_skills(claim.sentence), morphemes(claim.sentence)
        spoken = any(
            bool(skills & mentioned_skills(quote))
            if skills
            else _shared_weight(words, quote, weights) >= _RELEVANT
            for quote in quotes
        )
        yield spoken, claim.sentence

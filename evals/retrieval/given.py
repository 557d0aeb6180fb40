"""Retrieval on postings and profiles of one's own, named on the command line.

Postings are lines of JSON as `ingest load` takes them, with a `category` beside: the field of the job.
Profiles are lines of JSON with `desired_work`, and where known `skills_text`, `experience` and an `id`;
their `target_categories` are the categories that they look for, or `비개발` when they look for no IT job.

Two shares of the first 20, by profile: `wanted@20`, those in a wanted category (for `비개발`: those from
other fields), and `other_fields@20`, those from other fields, of profiles that look for an IT job. What
the corpus holds of the wanted categories limits the first: `possible@20` is what a perfect ranking would
reach.

    async with open_corpus(settings, files) as corpus, open_services(corpus.settings) as services:
        results = [result async for result in run(services, files, profiles)]
    summary, categories = estimates(results), by_family(results)
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from evals.datasets.cases import records, refused
from evals.evaluators.base import Metric
from evals.retrieval.metrics import DEEPEST
from evals.retrieval.ranking import Nearest, Ranker
from evals.retrieval.suites import AT_ONCE
from evals.runs.results import CaseResult, Score
from ingest.errors import DocumentUnreadableError
from ingest.structured import as_posting
from tools.core.errors import InvalidRequestError
from tools.postings.contracts import FoundPosting
from tools.services import Services

NO_IT_JOB = "비개발"
_ENGLISH = {
    "ai-ml": "AI/ML",
    "software-general": "SW개발 기타",
    "devops-infra": "DevOps/인프라",
    "data": "데이터",
    "backend": "백엔드",
    "fullstack": "풀스택",
    "security": "보안",
    "qa": "QA",
    "mobile": "모바일",
    "frontend": "프론트엔드",
    "embedded-hw": "임베디드/HW",
    "game": "게임",
}
"""Categories of English files, which are those of Korean ones under another name."""
IT_CATEGORIES = frozenset({*_ENGLISH.values(), "SI/솔루션", "PM/리드"})
"""Every other category is of another field."""
METRICS: dict[str, Metric] = {
    f"wanted@{DEEPEST}": Metric("higher", "first 20 that are in a wanted category", guarded=True),
    f"possible@{DEEPEST}": Metric("higher", "the same of a perfect ranking of this corpus"),
    f"other_fields@{DEEPEST}": Metric("lower", "first 20 from other fields, for those who look for IT jobs"),
}

Category = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Key: TypeAlias = tuple[str, str, int]
"""Source, source id and position: what makes a posting one."""


class _Read(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)


class _GivenPosting(_Read):
    category: Category


class GivenProfile(_Read):
    """Somebody who looks for a job, and the categories that postings for it have."""

    id: str | None = None
    desired_work: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
    skills_text: str = ""
    experience: str = ""
    target_categories: list[Category] = Field(min_length=1)

    def search_text(self) -> str:
        """The text that is searched for: what the person wants to do first, as in `build_query`."""
        return "\n".join(part for part in (self.desired_work, self.skills_text, self.experience) if part)


async def run(
    services: Services,
    postings: Sequence[Path],
    profiles: Sequence[Path],
    *,
    ranker: Ranker | None = None,
) -> AsyncIterator[CaseResult]:
    """Ranks the loaded postings for each profile and yields its shares, in the order of the files. The
    corpus of `services` must hold the postings of the files, and no others. Families are the wanted
    categories.

    Raises:
        InvalidRequestError: a file cannot be read, a line has not what is told above, or the search found
            a posting that is in none of the files.
        ModelUnavailableError, StoreUnavailableError, EmbeddingMismatchError, NoPostingsError: as in a
            search of the service.
    """
    await services.postings.corpus()
    categories = await asyncio.to_thread(_categories, postings)
    people = await asyncio.to_thread(read_profiles, profiles)
    held = Counter(categories.values())
    asked = ranker or Nearest(services)
    rest = iter(people.items())
    while batch := list(itertools.islice(rest, AT_ONCE)):
        for result in await asyncio.gather(*(_result(asked, *one, categories, held) for one in batch)):
            yield result


async def _result(
    ranker: Ranker,
    case_id: str,
    profile: GivenProfile,
    categories: Mapping[Key, str],
    held: Counter[str],
) -> CaseResult:
    text = profile.search_text()
    wanted = {_ENGLISH.get(category, category) for category in profile.target_categories}
    found = [(posting, _category(posting, categories)) for posting in await ranker.rank(text, DEEPEST)]
    other = sum(_other_field(category) for _, category in found) / DEEPEST
    ranked = [
        {"source_id": posting.source_id, "job_title": posting.job_title, "category": category}
        for posting, category in found
    ]
    shares = {
        f"wanted@{DEEPEST}": sum(_hit(category, wanted) for _, category in found) / DEEPEST,
        f"possible@{DEEPEST}": min(1.0, sum(n for c, n in held.items() if _hit(c, wanted)) / DEEPEST),
        f"other_fields@{DEEPEST}": None if NO_IT_JOB in wanted else other,
    }
    return CaseResult(
        case_id=case_id,
        family=" · ".join(sorted(wanted)),
        inputs={"query": text, "wanted": sorted(wanted)},
        outputs={"ranked": ranked},
        scores=[Score(key=key, score=share) for key, share in shares.items()],
    )


def _hit(category: str, wanted: set[str]) -> bool:
    return category in wanted or (NO_IT_JOB in wanted and _other_field(category))


def _other_field(category: str) -> bool:
    return category not in IT_CATEGORIES


def _category(posting: FoundPosting, categories: Mapping[Key, str]) -> str:
    key = (posting.source, posting.source_id, posting.position)
    if key not in categories:
        raise InvalidRequestError(
            f"The corpus holds {posting.source_id} of {posting.source}, which is in none of the given "
            "files, so its category is not known."
        )
    return categories[key]


def _categories(files: Sequence[Path]) -> dict[Key, str]:
    """The category of each posting. Rows that are no postings are passed over, as `ingest load` does,
    which names them."""
    found: dict[Key, str] = {}
    for path in files:
        for _, row in records(path, _GivenPosting):
            try:
                posting = as_posting(row.model_dump(exclude={"category"}), source=path.stem)
            except DocumentUnreadableError:
                continue
            found[posting.source, posting.source_id, posting.position] = _ENGLISH.get(
                row.category, row.category
            )
    return found


def read_profiles(files: Sequence[Path]) -> dict[str, GivenProfile]:
    """The profiles by id; one without an id is named by its file and line."""
    found: dict[str, GivenProfile] = {}
    for path in files:
        for line, profile in records(path, GivenProfile):
            name = profile.id or f"{path.stem}-{line}"
            if name in found:
                raise refused(path, line, [("id", f"{name} stands twice")])
            found[name] = profile
    return found

"""load: structured postings from JSONL or CSV files into the store."""

from __future__ import annotations

import csv
import itertools
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from tools.contracts import Posting
from tools.embeddings import BATCH
from tools.errors import InvalidRequestError
from tools.services import Services

logger = logging.getLogger(__name__)

SAMPLES = Path(str(files("ingest") / "samples" / "postings.jsonl"))
"""The sample postings, written for this project: fictional companies, twelve job families."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that is not a posting, and why."""

    file: str
    line: int
    problem: str


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """A line that is not JSON at all."""

    problem: str


@dataclass(slots=True)
class Loaded:
    """What a load did."""

    postings: int = 0
    revision: int | None = None
    refused: list[Refused] = field(default_factory=list)


def read(path: Path) -> Iterator[Posting | Refused]:
    """Yields the postings of a `.jsonl` or `.csv` file; a row that is none is yielded as Refused.

    A plain `id` is taken for the source id, and the file's name for a missing source. In a CSV,
    skills are separated by commas.

    Raises:
        InvalidRequestError: the file cannot be read, or is neither JSONL nor CSV.
    """
    readers = {".jsonl": _json_rows, ".csv": _csv_rows}
    if path.suffix.lower() not in readers:
        raise InvalidRequestError(f"{path.name}: `ingest load` reads .jsonl and .csv files.", file=str(path))
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            for line, row in readers[path.suffix.lower()](text):
                yield _posting(row, path, line)
    except UnicodeDecodeError as error:
        raise InvalidRequestError(f"{path} is not UTF-8. Save it as UTF-8.", file=str(path)) from error
    except OSError as error:
        raise InvalidRequestError(f"{path} cannot be read: {error}", file=str(path)) from error


async def load(
    services: Services, paths: Iterable[Path], progress: Callable[[int], None] = lambda _: None
) -> Loaded:
    """Embeds and upserts the postings of `paths`, in batches; calls `progress` with how many rows
    each had. Refused rows are passed over and listed in the result.

    Raises:
        InvalidRequestError: a file cannot be read.
        ModelUnavailableError, EmbeddingMismatchError, StoreUnavailableError: nothing more is loaded;
            what was written stays, and loading again goes over it without harm.
    """
    loaded = Loaded()
    rows = itertools.chain.from_iterable(read(path) for path in paths)
    while batch := list(itertools.islice(rows, BATCH)):
        loaded.refused += [row for row in batch if isinstance(row, Refused)]
        postings = _last_of_each([row for row in batch if isinstance(row, Posting)])
        if postings:
            vectors = await services.embedder.postings(postings)
            loaded.revision = await services.postings.upsert(
                postings, vectors, model=services.embedder.model_name
            )
            loaded.postings += len(postings)
        progress(len(batch))
    logger.info("postings loaded", extra={"postings": loaded.postings, "refused": len(loaded.refused)})
    return loaded


async def load_samples_where_empty(services: Services) -> None:
    """Loads the sample postings when nothing else is loaded and they are not all there.

    Raises:
        ModelUnavailableError, StoreUnavailableError: they could not be loaded. What was loaded stays,
            and the next call loads the rest.
    """
    samples = [row for row in read(SAMPLES) if isinstance(row, Posting)]
    sources = await services.postings.sources()
    if set(sources) <= {samples[0].source} and sum(sources.values()) < len(samples):
        await load(services, [SAMPLES])


def _last_of_each(postings: list[Posting]) -> list[Posting]:
    """Of rows with one (source, source id) the last counts, as it would over two loads."""
    return list({(posting.source, posting.source_id): posting for posting in postings}.values())


def _json_rows(text: Iterable[str]) -> Iterator[tuple[int, Any]]:
    for line, row in enumerate(text, start=1):
        if row.strip():
            try:
                yield line, orjson.loads(row)
            except orjson.JSONDecodeError as error:
                yield line, _Unreadable(f"not JSON: {error}")


def _csv_rows(text: Iterable[str]) -> Iterator[tuple[int, Any]]:
    # A cell above the module's limit would end the whole file; so long a text is refused by itself.
    csv.field_size_limit(sys.maxsize)
    rows = csv.DictReader(text)
    for row in rows:
        # `line_num` is where the row ends; its cells say how many lines it spans.
        line = rows.line_num - sum(str(value).count("\n") for value in row.values())
        # Absent columns and empty cells say nothing, in a CSV.
        values: dict[str, Any] = {key: value for key, value in row.items() if key and value}
        if "skills" in values:
            values["skills"] = [skill.strip() for skill in values["skills"].split(",") if skill.strip()]
        yield line, values


def _posting(row: Any, path: Path, line: int) -> Posting | Refused:
    if not isinstance(row, dict):
        return Refused(path.name, line, row.problem if isinstance(row, _Unreadable) else "not a JSON object")
    stated = {key: value for key, value in row.items() if value is not None}
    given = {"source": path.stem, "source_id": row.get("id"), **stated}
    try:
        return Posting.model_validate(given)
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        return Refused(path.name, line, "; ".join(problems))

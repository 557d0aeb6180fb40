"""The postings of a load test: as many as are wanted, made of the sample postings."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from ingest.load import SAMPLES
from ingest.structured.files import read_postings
from tools.postings.contracts import Posting

SOURCE = "load"


def postings(number: int) -> list[Posting]:
    """Returns `number` postings. Each sample comes again under other companies, because one that a company
    publishes twice would count as one."""
    samples = [row for row in read_postings(SAMPLES) if isinstance(row, Posting)]
    return list(itertools.islice(_variants(samples), number))


def _variants(samples: list[Posting]) -> Iterator[Posting]:
    for round_ in itertools.count():
        for sample in samples:
            yield sample.model_copy(
                update={
                    "source": SOURCE,
                    "source_id": f"{sample.source_id}-{round_}",
                    "company": f"{sample.company} {round_}계열" if round_ else sample.company,
                }
            )

"""Records of CSV files: as `csv` reads them, and none longer than it may be."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.csv_records import Record, records
from ingest.rows import LONGEST_LINE, rows
from tools.errors import InvalidRequestError

TEXTS = st.text(st.sampled_from('ab",\r\n'), max_size=60)


def cells(text: str, longest: int = 1_000) -> list[Record]:
    return list(records(io.StringIO(f"x,y\n{text}", newline=""), longest))


def as_csv_reads(text: str) -> list[dict[str | None, object]]:
    return list(csv.DictReader(io.StringIO(f"x,y\n{text}", newline="")))


@given(TEXTS)
def test_records_within_the_limit_are_those_of_the_csv_module(text: str) -> None:
    assert [record.cells for record in cells(text)] == as_csv_reads(text)


@given(TEXTS, st.integers(4, 12))
@example('"aaaaaaaaaaaa""\n",b\n1,2\n', 5)
@example('a"aaaaaaaaaa\n1,2\n', 5)
@example('"a"b,"aaaaaaaa\n\n",c\n1,2\n', 5)
def test_what_is_too_long_is_passed_over_to_its_end_and_the_rest_is_read(text: str, longest: int) -> None:
    whole, bounded = cells(text), cells(text, longest)
    assert len(bounded) == len(whole)
    for one, other in zip(whole, bounded, strict=True):
        assert other in (one, Record(one.line, None))


def test_the_line_of_a_record_counts_what_was_passed_over_above_it() -> None:
    text = '"1\n\n",' + "a" * 100 + "\n\n2,3\n" + "b" * 100 + ',"\n"\n4,5'
    assert [(record.line, record.cells is None) for record in cells(text, 20)] == [
        (2, True),
        (6, False),
        (7, True),
        (9, False),
    ]


CHILD = """
import resource, sys
from pathlib import Path
from ingest.rows import rows
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 200_000_000,) * 2)
for row in rows(Path(sys.argv[1])):
    print(row.line, row.problem, row.value)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="macOS takes no limit of memory")
@pytest.mark.parametrize("quote", ["", '"'], ids=["in one line", "in quotes"])
def test_a_cell_of_600_megabytes_takes_no_memory_and_the_next_row_is_read(tmp_path: Path, quote: str) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.write(b"source_id,job_title\n1," + quote.encode())
        file.seek(600_000_000, os.SEEK_CUR)  # a hole: nothing but NUL
        file.write(quote.encode() + b"\n2,QA\n")
    read = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True, check=False
    )
    assert read.stdout.splitlines() == [
        f"2 longer than {LONGEST_LINE} characters None",
        "3 None {'source_id': '2', 'job_title': 'QA'}",
    ], read.stderr


def test_a_first_record_that_is_too_long_is_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    path.write_text("a" * (LONGEST_LINE + 1) + "\n1,2\n")
    with pytest.raises(InvalidRequestError, match="first record is longer"):
        list(rows(path))

"""How long a row of a CSV file may be, and what becomes of the rows around one that is too long."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ingest.structured.files import LONGEST_RECORD, read_rows
from tests.pace import time_limit
from tools.core.errors import InvalidRequestError

TOO_LONG = f"longer than {LONGEST_RECORD} characters"
CHILD = """
import resource, sys
from pathlib import Path
from ingest.structured.files import read_rows
taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + 200_000_000,) * 2)
for row in read_rows(Path(sys.argv[1])):
    print(row.line, row.problem, row.value)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="macOS takes no limit of memory")
@pytest.mark.parametrize("quote", ["", '"'], ids=["bare", "in quotes"])
def test_a_cell_of_600_megabytes_takes_no_memory_and_the_next_row_is_read(tmp_path: Path, quote: str) -> None:
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.write(b"source_id,job_title\n1," + quote.encode())
        file.seek(600_000_000, os.SEEK_CUR)  # a hole: nothing but NUL
        file.write(quote.encode() + b"\n2,QA\n")
    read = subprocess.run(
        [sys.executable, "-c", CHILD, str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=time_limit(),
    )
    assert read.stdout.splitlines() == [
        f"2 {TOO_LONG} None",
        "3 None {'source_id': '2', 'job_title': 'QA'}",
    ], read.stderr


def test_a_row_of_many_lines_is_bounded_too(tmp_path: Path) -> None:
    """A quote that is not closed would take the rest of the file, however long."""
    path = tmp_path / "open.csv"
    beyond = LONGEST_RECORD // 60 + 10
    path.write_text('id,title\n1,"QA\n' + ("x" * 59 + "\n") * beyond + "2,DBA\n", encoding="utf-8")
    found = list(read_rows(path))
    assert (found[0].line, found[0].problem) == (2, TOO_LONG)
    assert (found[-1].line, found[-1].value) == (beyond + 3, {"id": "2", "title": "DBA"})


def test_a_first_row_that_is_too_long_is_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    path.write_text("a" * (LONGEST_RECORD + 1) + "\n1,2\n", encoding="utf-8")
    with pytest.raises(InvalidRequestError, match="first row is longer"):
        list(read_rows(path))

"""The sample posters and the truth about them."""

from __future__ import annotations

import json
import os
from itertools import groupby
from pathlib import Path

import pytest
from PIL import Image

from ingest.load import SAMPLES
from samples.programs.draw_posters import POSTERS, SAMPLE_COUNT, TRUTH, random_posters, write_posters
from samples.programs.drawing.fonts import find_fonts
from samples.programs.drawing.style import HELD_OUT, TUNING
from samples.programs.drawing.tables import Drawn, as_html
from tools.core.errors import SetupError
from tools.core.settings import Settings

ROWS = [json.loads(line) for line in (POSTERS / TRUTH).read_text(encoding="utf-8").splitlines()]
POSTINGS = {
    row["source_id"]: row for row in map(json.loads, SAMPLES.read_text(encoding="utf-8").splitlines())
}


def test_there_are_thirty_and_every_image_belongs_to_one() -> None:
    assert len(ROWS) == SAMPLE_COUNT == 30
    named = [name for row in ROWS for name in row["files"]]
    assert sorted(named) == sorted(path.name for path in POSTERS.glob("*.webp"))
    assert sum(len(row["files"]) == 2 for row in ROWS) >= 5
    assert sum((POSTERS / name).stat().st_size for name in named) < 2_500_000


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_the_truth_is_what_the_sample_postings_say(row: dict) -> None:  # type: ignore[type-arg]
    assert len(row["pages"]) == len(row["files"])
    shown = "".join(line for page in row["pages"] for line in page["lines"]).replace(" ", "")
    for source_id, position in zip(row["source_ids"], row["positions"], strict=True):
        posting = POSTINGS[source_id]
        assert all(posting[name] == value for name, value in position.items())
        for name in ("responsibilities", "requirements", "preferred"):
            for line in posting[name].split("\n"):
                assert line.replace(" ", "") in shown
    for name in row["files"]:
        with Image.open(POSTERS / name) as image:
            assert image.format == "WEBP"


def test_the_samples_show_every_way_to_draw_a_table() -> None:
    tables = [table for row in ROWS for page in row["pages"] for table in page["tables"]]
    assert any("rowspan" in table for table in tables)
    assert any("colspan" in table for table in tables)
    assert sum(len(list(group)) for _, group in groupby(sorted(len(r["source_ids"]) for r in ROWS))) == 30
    assert {len(row["source_ids"]) for row in ROWS} >= {1, 2, 3}


def test_tuning_and_judging_share_no_look() -> None:
    for part in ("fonts", "palettes", "heads"):
        assert not set(getattr(TUNING, part)) & set(getattr(HELD_OUT, part))


def test_a_table_in_html_keeps_its_spans_and_escapes_its_text() -> None:
    rows = [[Drawn(("A & B",), rowspan=2), Drawn(("C", "D"), colspan=2)], [Drawn(("E",)), Drawn(("F",))]]
    assert as_html(rows) == (
        '<table><tr><td rowspan="2">A &amp; B</td><td colspan="2">C<br>D</td></tr>'
        "<tr><td>E</td><td>F</td></tr></table>"
    )


def test_the_same_seed_draws_the_same_poster(tmp_path: Path) -> None:
    try:
        fonts = find_fonts(Settings().home)
    except SetupError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"drawing is not tested: {error}")
    for name in ("one", "two"):
        write_posters(random_posters(1, 7, HELD_OUT, fonts), tmp_path / name)
    one, two = ((tmp_path / name / "p01-1.webp").read_bytes() for name in ("one", "two"))
    assert one == two

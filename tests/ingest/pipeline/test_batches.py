"""Tagging by the Batch API: half the price, and one batch whatever happens to the run."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.pipeline.batch_run import run_by_batches
from ingest.pipeline.local_engine import Counts
from ingest.pipeline.run import open_ingest
from tests.ingest.pipeline.runs import MENU, aside, ingested, rows, stages, write, write_postings
from tests.offline import Offline
from tools.core.errors import ModelUnavailableError
from tools.core.settings import Settings

TAGGING = "PostingPositions"


async def by_batches(settings: Settings, *folders: Path) -> Counts:
    counts = Counts()
    async with open_ingest(settings, [f"folder:{folder}" for folder in folders]) as parts:
        await parts.tidy()
        await run_by_batches(parts, counts)
    return counts


async def test_documents_are_tagged_by_one_batch_and_rows_by_none(
    empty_settings: Settings, offline: Offline, tmp_path: Path
) -> None:
    write_postings(tmp_path, 3)
    write(tmp_path, "menu.txt", MENU)
    write(tmp_path, "blank.html", "<html></html>")
    write(tmp_path, "rows.jsonl", '{"id": "a", "job_title": "앱 개발자", "responsibilities": "앱 개발"}\n')
    counts = await by_batches(empty_settings, tmp_path)
    assert counts.reached["loaded"] == 4
    assert await aside(empty_settings) == {
        "menu.txt": "not_a_posting",
        "blank.html": "document_unreadable",
    }
    assert len(await rows(empty_settings, "select from postings")) == 4
    [row] = await rows(empty_settings, "select count(distinct batch_id) as batches from documents")
    assert row["batches"] == 1


async def test_a_run_that_ends_while_its_batch_is_out_is_followed_by_one_that_waits_for_the_same(
    empty_settings: Settings, offline: Offline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_postings(tmp_path, 3)

    async def out(*_: object) -> None:
        raise ModelUnavailableError("The batch has not ended.")

    with monkeypatch.context() as patch:
        patch.setattr("ingest.tagging.batch_api.BatchTagger.collect", out)
        with pytest.raises(ModelUnavailableError):
            await by_batches(empty_settings, tmp_path)
    assert await stages(empty_settings) == {"parsed": 3}
    [before] = await rows(empty_settings, "select distinct batch_id from documents")
    assert before["batch_id"]
    # A run without batches leaves them to the batch that is paid for.
    assert (await ingested(empty_settings)).reached["tagged"] == 0
    counts = await by_batches(empty_settings, tmp_path)
    assert counts.reached["loaded"] == 3
    assert await rows(empty_settings, "select distinct batch_id from documents") == [before]


async def test_a_batch_that_the_api_refuses_is_sent_again_by_the_next_run(
    empty_settings: Settings, offline: Offline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_postings(tmp_path, 2)

    async def refused(*_: object) -> None:
        raise ModelUnavailableError("The API refused the batch.", cause="batch_failed")

    with monkeypatch.context() as patch:
        patch.setattr("ingest.tagging.batch_api.BatchTagger.collect", refused)
        with pytest.raises(ModelUnavailableError):
            await by_batches(empty_settings, tmp_path)
    assert await rows(empty_settings, "select distinct batch_id from documents") == [{"batch_id": None}]
    # Without batches it goes on as well.
    assert (await ingested(empty_settings)).reached["loaded"] == 2

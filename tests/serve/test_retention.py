"""`checkerboard prune`, on a real PostgreSQL and a folder of raw files: what is over its time goes, and
nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ingest.documents import RawFile
from ingest.pipeline.retention import Ages
from ingest.pipeline.store import RawFiles, retry
from serve.cli import app
from serve.retention import prune
from tests.ingest.pipeline.runs import MENU, POSTING, ingested, rows, write
from tests.ingest.pipeline.test_withdrawn import are_open, listed
from tools.core.database import connect, open_pool
from tools.core.settings import Settings
from tools.postings.contracts import Posting
from tools.services import open_services

AGES = Ages(withdrawn=90, answers=7, raw=90)
NOTHING = dict.fromkeys(("postings", "documents", "vectors", "answers", "raw_files", "kept_projects"), 0)
DAY_SECONDS = 24 * 60 * 60


@pytest.fixture
def own(empty_settings: Settings, tmp_path: Path) -> Settings:
    """Settings with an empty database and an empty folder of raw files."""
    return empty_settings.model_copy(update={"raw": tmp_path / "raw"})


async def change(settings: Settings, *statements: str) -> None:
    async with await connect(str(settings.database_url)) as connection:
        for statement in statements:
            await connection.execute(statement)


def raw_file(settings: Settings, content: str) -> Path:
    """Where the raw file with this content is, or would be."""
    content_hash = hashlib.sha256(content.encode()).hexdigest()
    assert settings.raw is not None
    return settings.raw / content_hash[:2] / content_hash


def aged(*paths: Path, days: int = 100) -> None:
    then = time.time() - days * DAY_SECONDS
    for path in paths:
        os.utime(path, (then, then))


async def everything(settings: Settings) -> dict[str, Any]:
    """Every row that a clean-up may touch, and every raw file."""
    tables = ("postings", "documents", "embeddings", "posting_terms", "answers", "kept_projects", "corpus")
    found: dict[str, Any] = {
        table: await rows(settings, f"select md5(t::text) as row from {table} as t order by 1")  # noqa: S608
        for table in tables
    }
    assert settings.raw is not None
    return found | {"raw": sorted(path for path in settings.raw.rglob("*") if path.is_file())}


async def test_what_is_over_its_time_goes_and_the_rest_stays(
    own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.pipeline.retention.DELETED_AT_ONCE", 1)  # in several steps
    await listed(own, 1, 2, 3, 4)
    await listed(own, 1)
    aged(*(raw_file(own, POSTING.format(n=n)) for n in (1, 2, 3)))
    await change(
        own,
        "update postings set withdrawn_at = now() - interval '100 days' where source_id in ('j2', 'j3')",
        "update documents set withdrawn_at = now() - interval '100 days' where source_id in ('j2', 'j3')",
        "update embeddings set created_at = now() - interval '2 days'",
        "delete from answers",
        "insert into answers (question, answer, created_at)"
        " select 'old ' || n, '', now() - interval '8 days' from generate_series(1, 1100) as n",
        "insert into answers (question, answer, created_at)"
        " select 'new ' || n, '', now() - interval '6 days' from generate_series(1, 3) as n",
        "insert into kept_projects (id, owner, session_id, number, content, expires_at)"
        " select 'k' || n, '', 's', n, '{}', now() + make_interval(days => 2 * n - 1)"
        " from generate_series(0, 2) as n",
    )
    over = {
        "postings": 2,
        "documents": 2,
        "vectors": 2,
        "answers": 1100,
        "raw_files": 3,
        "kept_projects": 1,
    }
    before = await everything(own)
    assert await prune(own, AGES, dry_run=True) == over
    assert await everything(own) == before
    assert await prune(own, AGES, dry_run=False) == over
    left = await rows(own, "select source_id from documents order by 1")
    assert [row["source_id"] for row in left] == ["j1", "j4"]
    assert [row["source_id"] for row in await rows(own, "select source_id from postings order by 1")] == [
        "j1",
        "j4",
    ]
    assert await are_open(own) == ["j1"]
    assert len(await rows(own, "select from embeddings")) == 2
    assert {row["question"][:3] for row in await rows(own, "select question from answers")} == {"new"}
    assert raw_file(own, POSTING.format(n=4)).exists()
    after = await everything(own)
    assert await prune(own, AGES, dry_run=False) == NOTHING
    assert await everything(own) == after


async def test_a_raw_file_stays_as_long_as_a_stage_has_to_read_it(own: Settings, tmp_path: Path) -> None:
    """A document that was set aside is not done: `ingest retry` may take it up after a year."""
    write(tmp_path / "in", "menu.txt", MENU)
    write(tmp_path / "in", "1.md", POSTING.format(n=1))
    await ingested(own, tmp_path / "in")
    aged(raw_file(own, MENU), raw_file(own, POSTING.format(n=1)))
    assert (await prune(own, AGES, dry_run=False))["raw_files"] == 1
    assert raw_file(own, MENU).exists()
    async with await open_pool(own) as pool:
        await retry(pool, ids=[], source=None, again_from="parse")
    await ingested(own)
    aside = await rows(
        own, "select source_id, error ->> 'code' as code from documents where set_aside_at is not null"
    )
    assert sorted((row["source_id"], row["code"]) for row in aside) == [
        ("1.md", "document_unreadable"),
        ("menu.txt", "not_a_posting"),
    ]


async def test_what_is_collected_again_is_as_good_as_new(own: Settings) -> None:
    await listed(own, 1)
    file = raw_file(own, POSTING.format(n=1))
    aged(file)
    await listed(own, 1)
    assert (await prune(own, AGES, dry_run=False))["raw_files"] == 0
    aged(file)
    assert (await prune(own, AGES, dry_run=False))["raw_files"] == 1
    await listed(own, 1)
    async with await open_pool(own) as pool:
        assert await retry(pool, ids=[], source=None, again_from="parse") == 1
    assert (await ingested(own)).reached["loaded"] == 1


async def test_what_a_killed_run_left_half_written_goes_too(own: Settings) -> None:
    whole = raw_file(own, "whole")
    await RawFiles.of(own).save((RawFile("a.txt", "text/plain", b"whole"),))
    draft = whole.with_name("tmpabcdefgh")
    draft.write_bytes(b"wh")
    aged(whole, draft)
    assert (await prune(own, AGES, dry_run=False))["raw_files"] == 2
    assert not draft.exists()


async def test_copies_of_a_posting_that_goes_stay_copies_of_each_other(own: Settings) -> None:
    text = " ".join(f"낱말{n}" for n in range(60))
    copies = [
        Posting(
            source="test", source_id=str(n), company="도토리상점", job_title="서버 개발자", requirements=text
        )
        for n in range(3)
    ]
    async with open_services(own) as services:
        await services.writer.upsert(copies)
    await change(own, "update postings set withdrawn_at = now() - interval '100 days' where source_id = '0'")
    assert (await prune(own, AGES, dry_run=False))["postings"] == 1
    linked = await rows(
        own,
        "select p.source_id, o.source_id as of"
        " from postings as p left join postings as o on o.id = p.duplicate_of order by 1",
    )
    assert [(row["source_id"], row["of"]) for row in linked] == [("1", None), ("2", "1")]


async def test_it_waits_for_nobody(own: Settings) -> None:
    """Rows that another clean-up, or a run, has at the moment are left for the next time."""
    await listed(own, 1, 2)
    await listed(own, 2)
    await change(
        own,
        "update answers set created_at = now() - interval '8 days'",
        "update postings set withdrawn_at = now() - interval '100 days' where source_id = 'j1'",
        "update documents set withdrawn_at = now() - interval '100 days' where source_id = 'j1'",
    )
    [counted] = await rows(own, "select count(*) as n from answers")
    async with await connect(str(own.database_url)) as other, other.transaction():
        await other.execute("select from answers limit 1 for update")
        await other.execute("select from documents where source_id = 'j1' for update")
        pruned = await prune(own, AGES, dry_run=False)
        assert (pruned["answers"], pruned["documents"]) == (counted["n"] - 1, 0)
    pruned = await prune(own, AGES, dry_run=False)
    assert (pruned["answers"], pruned["documents"]) == (1, 1)


async def test_two_at_once_delete_each_thing_once(own: Settings) -> None:
    await listed(own, *range(1, 7))
    await listed(own, 1)
    await change(
        own,
        "update postings set withdrawn_at = now() - interval '100 days' where withdrawn_at is not null",
        "update documents set withdrawn_at = now() - interval '100 days' where withdrawn_at is not null",
    )
    pruned = await asyncio.gather(*(prune(own, AGES, dry_run=False) for _ in range(2)))
    assert sum(one["postings"] for one in pruned) == 5
    assert [row["source_id"] for row in await rows(own, "select source_id from postings")] == ["j1"]


async def test_the_command_says_what_it_did(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECKERBOARD_HOME", str(own.home))
    monkeypatch.setenv("CHECKERBOARD_RAW", str(own.raw))
    monkeypatch.setenv("DATABASE_URL", str(own.database_url))
    monkeypatch.setattr("tools.core.logs.configure", lambda *_: None)  # it would take pytest's handlers off
    await listed(own, 1)
    words = ("prune", "--raw-days", "0", "--answers-days", "0")
    told = [
        await asyncio.to_thread(CliRunner().invoke, app, [*words, *more]) for more in (["--dry-run"], [], [])
    ]
    assert [one.exit_code for one in told] == [0, 0, 0]
    kinds = "0 postings, 0 documents, 0 vectors, {0} answers, {0} raw files, 0 kept projects\n"
    assert told[0].output == "would delete: " + kinds.format(1)
    assert told[1].output == "deleted: " + kinds.format(1)
    assert told[2].output == "deleted: " + kinds.format(0)

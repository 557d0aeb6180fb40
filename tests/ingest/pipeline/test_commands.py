"""`checkerboard ingest …`, as a person types it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from ingest.commands import app
from tests.ingest.pipeline.runs import MENU, write, write_postings
from tools.settings import Settings

Type = Callable[..., Result]


@pytest.fixture
def typed(empty_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Runs a command with the test's own database."""
    monkeypatch.setenv("CHECKERBOARD_HOME", str(empty_settings.home))
    monkeypatch.setenv("DATABASE_URL", str(empty_settings.database_url))
    monkeypatch.setenv("COLUMNS", "200")
    # It would take pytest's own handlers off.
    monkeypatch.setattr("tools.logs.configure", lambda *_: None)

    def typed(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return typed


async def test_run_status_retry_and_run_again(typed: Type, tmp_path: Path) -> None:
    write_postings(tmp_path, 2)
    write(tmp_path, "menu.txt", MENU)
    ran = await asyncio.to_thread(typed, "run", f"folder:{tmp_path}")
    assert ran.exit_code == 1, ran.output
    assert (
        "3 new, 0 changed, 0 unchanged; 3 parsed, 2 tagged, 2 embedded, 2 loaded; 1 set aside" in ran.output
    )
    assert "checkerboard ingest status" in ran.output
    found = json.loads((await asyncio.to_thread(typed, "status", "--json")).output)
    assert {row["stage"]: row["documents"] for row in found["sources"]} == {"loaded": 2, "set aside": 1}
    shown = (await asyncio.to_thread(typed, "status")).output
    assert "menu.txt" in shown
    assert "not_a_posting" in shown
    # The person mends it, and says so.
    write_postings(tmp_path, 3)
    (tmp_path / "menu.txt").unlink()
    assert "1 documents are due again" in (await asyncio.to_thread(typed, "retry")).output
    again = await asyncio.to_thread(typed, "run", f"folder:{tmp_path}")
    assert "1 new, 0 changed, 2 unchanged" in again.output


async def test_a_stage_can_be_done_again_for_all_documents(typed: Type, tmp_path: Path) -> None:
    write_postings(tmp_path, 2)
    await asyncio.to_thread(typed, "run", f"folder:{tmp_path}")
    retried = await asyncio.to_thread(typed, "retry", "--from", "tag")
    assert "2 documents are due again" in retried.output
    ran = await asyncio.to_thread(typed, "run")
    assert "0 parsed, 2 tagged, 2 embedded, 2 loaded" in ran.output
    assert ran.exit_code == 0


async def test_sources_says_what_there_is_and_why_one_is_off(typed: Type) -> None:
    listed = (await asyncio.to_thread(typed, "sources")).output
    for written in (
        "folder:PATH",
        "greenhouse:BOARD",
        "lever:SITE",
        "ashby:BOARD",
        "jasoseol:2024-01..2024-12",
    ):
        assert written in listed
    assert "CHECKERBOARD_JASOSEOL_PERMISSION" in listed


async def test_a_source_without_permission_is_refused_and_the_others_are_read(
    typed: Type, tmp_path: Path
) -> None:
    write_postings(tmp_path, 1)
    ran = await asyncio.to_thread(typed, "run", "jasoseol:2024-01..2024-12", f"folder:{tmp_path}")
    assert ran.exit_code == 1
    assert "1 loaded" in ran.output
    assert "CHECKERBOARD_JASOSEOL_PERMISSION" in ran.output


async def test_reembed_says_what_it_did(typed: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_postings(tmp_path, 2)
    await asyncio.to_thread(typed, "run", f"folder:{tmp_path}")
    monkeypatch.setenv("CHECKERBOARD_EMBEDDING_DIMENSIONS", "128")
    done = await asyncio.to_thread(typed, "reembed", "--drop-others")
    assert "2 postings embedded" in done.output
    assert "1536 dimensions" in done.output

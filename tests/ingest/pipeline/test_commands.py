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
from tests.offline import Offline
from tools.core.database import open_pool
from tools.core.errors import CheckerboardError
from tools.core.settings import Settings
from tools.core.terminal import plain

Type = Callable[..., Result]


@pytest.fixture
def typed(empty_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Type:
    """Runs a command with the test's own database."""
    monkeypatch.setenv("CHECKERBOARD_HOME", str(empty_settings.home))
    monkeypatch.setenv("DATABASE_URL", str(empty_settings.database_url))
    monkeypatch.setenv("COLUMNS", "200")
    # It would take pytest's own handlers off.
    monkeypatch.setattr("tools.core.logs.configure", lambda *_: None)

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


async def test_a_removed_source_is_collected_anew_and_paid_for_once(
    typed: Type, tmp_path: Path, offline: Offline
) -> None:
    write_postings(tmp_path, 2)
    await asyncio.to_thread(typed, "run", f"folder:{tmp_path}")
    told = (await asyncio.to_thread(typed, "status", "--json")).output
    [source] = {row["source"] for row in json.loads(told)["sources"]}
    removed = await asyncio.to_thread(typed, "remove", "--source", source)
    assert "2 postings and 2 documents removed." in removed.output
    assert "No documents yet" in (await asyncio.to_thread(typed, "status")).output
    asked = (await offline.calls())["by_schema"]
    again = await asyncio.to_thread(typed, "run", f"folder:{tmp_path}")
    assert "2 new, 0 changed, 0 unchanged" in again.output
    assert "2 loaded" in again.output
    assert (await offline.calls())["by_schema"] == asked


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


HOSTILE = "[nope] \x1b[2J\x1b]52;c;aGk=\x07 \x9b2J [bold"


async def test_names_of_folders_and_files_do_not_steer_the_terminal(typed: Type, tmp_path: Path) -> None:
    """A name may hold any character but a slash and a zero, and look like markup."""
    folder = tmp_path / HOSTILE
    write(folder, f"{HOSTILE}.txt", MENU)
    write(folder, "rows.jsonl", f'{{"source": "[/nope]", "id": 1, "job_title": "{HOSTILE}"')
    for words in (
        ("run", f"folder:{folder}"),
        ("status",),
        ("retry", "--source", "[/nope]"),
        ("load", str(folder / "rows.jsonl")),
        ("sources",),
    ):
        ran = await asyncio.to_thread(typed, *words)
        assert ran.exception is None or isinstance(ran.exception, SystemExit | CheckerboardError), words
        assert not {"\x1b", "\x07", "\x9b"} & set(ran.output), words


@pytest.mark.parametrize("source", ["[/nope]", "\\[/nope]", "[bold]x[/bold]", ":boom:", "\x9b2J"])
async def test_whatever_a_source_is_called_it_has_its_status(
    typed: Type, empty_settings: Settings, tmp_path: Path, source: str
) -> None:
    write_postings(tmp_path, 1)
    write(tmp_path, "menu.txt", MENU)
    await asyncio.to_thread(typed, "run", f"folder:{tmp_path}")
    async with await open_pool(empty_settings) as pool, pool.connection() as connection:
        await connection.execute(
            "update documents set source = %s, source_id = source_id || %s", [source] * 2
        )
    shown = await asyncio.to_thread(typed, "status")
    assert shown.exit_code == 0, shown.output
    assert shown.output.count(plain(source)) == 3
    read = json.loads((await asyncio.to_thread(typed, "status", "--json")).output)
    assert read["sources"][0]["source"] == source

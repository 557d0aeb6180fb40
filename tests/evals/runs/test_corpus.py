"""The corpus of an evaluation: its own database, made once, forgotten in time."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from evals.runs.corpus import KEPT_DAYS, open_corpus, truth
from tools.core.errors import InvalidRequestError
from tools.core.settings import Settings
from tools.services import open_services


def posting(folder: Path, title: str) -> Path:
    path = folder / "own.jsonl"
    row = {"source": "own", "source_id": "1", "company": "모퉁이", "job_title": title, "requirements": "Java"}
    path.write_text(json.dumps(row, ensure_ascii=False) + "\nno posting\n", encoding="utf-8")
    return path


async def execute(settings: Settings, statement: str) -> list[tuple[str, ...]]:
    assert settings.database_url is not None
    async with await psycopg.AsyncConnection.connect(settings.database_url, autocommit=True) as connection:
        done = await connection.execute(statement)
        return await done.fetchall() if done.description else []


async def databases(settings: Settings) -> set[str]:
    return {name for (name,) in await execute(settings, "select datname from pg_database")}


async def test_what_the_service_has_loaded_is_left_alone(empty_settings: Settings, tmp_path: Path) -> None:
    async with open_services(empty_settings) as services:
        async with open_corpus(empty_settings, [posting(tmp_path, "백엔드 개발자")]) as corpus:
            assert corpus.postings == 1
            assert corpus.files == ("own.jsonl",)
            assert corpus.settings.database_url != empty_settings.database_url
        assert await services.postings.sources() == {}


async def test_a_corpus_is_made_once_for_its_content(empty_settings: Settings, tmp_path: Path) -> None:
    path = posting(tmp_path, "데이터 엔지니어")

    async def version() -> str:
        async with open_corpus(empty_settings, [path]) as corpus:
            return corpus.version

    one, other = await asyncio.gather(version(), version())
    before = await databases(empty_settings)
    assert one == other == await version()
    assert await databases(empty_settings) == before
    posting(tmp_path, "데이터 분석가")
    another = await version()
    assert await databases(empty_settings) - before == {f"checkerboard_eval_{another}"}


async def test_corpora_that_nobody_has_used_for_long_are_dropped(
    empty_settings: Settings, tmp_path: Path
) -> None:
    today = datetime.now(UTC).date()
    ages = {"old": KEPT_DAYS + 1, "busy": KEPT_DAYS + 1, "recent": KEPT_DAYS - 1}
    for name, days in ages.items():
        await execute(empty_settings, f"create database checkerboard_eval_{name}")
        used = today - timedelta(days=days)
        await execute(empty_settings, f"comment on database checkerboard_eval_{name} is '{used}'")
    busy = psycopg.conninfo.make_conninfo(str(empty_settings.database_url), dbname="checkerboard_eval_busy")
    try:
        async with await psycopg.AsyncConnection.connect(busy):
            async with open_corpus(empty_settings, [posting(tmp_path, "QA 엔지니어")]) as corpus:
                assert corpus.postings == 1
            left = await databases(empty_settings)
            assert "checkerboard_eval_old" not in left
            assert {"checkerboard_eval_busy", "checkerboard_eval_recent"} <= left
    finally:
        for name in ages:
            await execute(empty_settings, f"drop database if exists checkerboard_eval_{name} with (force)")


async def test_a_file_that_is_not_there_is_said(empty_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"none\.jsonl cannot be read"):
        async with open_corpus(empty_settings, [tmp_path / "none.jsonl"]):
            pass


def test_what_is_known_of_the_postings_covers_both_files() -> None:
    known = truth()
    assert {source for source, _ in known} == {"samples", "hostile"}
    assert all(one["hostile"] == ("canary" in one) or not one.get("canary") for one in known.values())
    assert all(one["canary"] for (source, _), one in known.items() if source == "hostile")

"""`make demo-ingest`: from the sample posters to a search result, with a table of what was read."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.table import Table

from ingest.parsers.tessdata import find_tessdata
from ingest.progress import Counts, shown
from ingest.run import open_ingest
from local.servers.files import temporary_home
from tools.core.database import Pool
from tools.core.settings import Settings
from tools.core.sql import queries
from tools.core.terminal import Terminal
from tools.services import Services

POSTERS = Path(str(files("samples") / "posters"))
"""Thirty posters drawn from the sample postings."""
QUERY = "Java와 Spring으로 서버를 만드는 백엔드 개발자"
HITS = 5
SKILLS = 4
_SQL = queries("documents.sql")


@contextmanager
def fresh(settings: Settings) -> Iterator[Settings]:
    """Yields settings with a home of this demo's own: what it loads does not get among your postings.

    Raises:
        SetupError: no parser of images can be used; the message says what to do.
    """
    tessdata = settings.tessdata
    if "local" in settings.parsers and settings.upstage_api_key is None:
        tessdata = find_tessdata(settings)
    with temporary_home() as home:
        own = {"home": home, "database_url": None, "redis_url": None, "raw": None, "tessdata": tessdata}
        yield settings.model_copy(update=own)


async def demo(settings: Settings, console: Terminal, posters: int | None = None) -> bool:
    """Reads the posters, or the first so many, loads them, shows what was read and searches; whether all
    were read."""
    counts = Counts()
    began = time.monotonic()
    folder = POSTERS if posters is None else await asyncio.to_thread(_some, posters, settings.home)
    async with open_ingest(settings, [f"folder:{folder}"]) as parts:
        console.print("Reading the sample posters …")
        async with shown(counts, console):
            await parts.collect_and_work(parts.steps(), counts)
        seconds = time.monotonic() - began
        console.print(await _read(parts.services.pool))
        console.print(f"{counts.reached['loaded']} documents in {seconds:.0f} s.")
        console.print(await _found(parts.services))
    return not counts.set_aside


def _some(number: int, home: Path) -> Path:
    """Copies the first so many posters, each with all its pages, into a folder of `home`; returns that."""
    pages = sorted(POSTERS.glob("*.webp"))
    first = list(dict.fromkeys(page.stem.partition("-")[0] for page in pages))[:number]
    folder = home / POSTERS.name
    folder.mkdir()
    for page in pages:
        if page.stem.partition("-")[0] in first:
            shutil.copy2(page, folder)
    return folder


async def _read(pool: Pool) -> Table:
    """What was read of each document."""
    table = Table(title="what was read", title_justify="left")
    for name in ("document", "files", "sure", "position", "work", "must", "welcome", "skills"):
        table.add_column(name, overflow="fold")
    async with pool.connection() as connection:
        rows = await (await connection.execute(_SQL["read"])).fetchall()
    for row in rows:
        for number, position in enumerate(row["tagged"]["positions"]):
            document = (row["source_id"], str(len(row["files"])), _sure(row)) if number == 0 else ("", "", "")
            lines = [_lines(position[name]) for name in ("responsibilities", "requirements", "preferred")]
            table.add_row(*document, position["job_title"], *lines, _first(position["skills"]))
    return table


def _sure(row: dict[str, Any]) -> str:
    confidence = row["parsed"]["confidence"]
    unsure = " (unsure)" if row["flags"] else ""
    return "" if confidence is None else f"{confidence:.2f}{unsure}"


def _first(skills: list[str]) -> str:
    more = f" +{len(skills) - SKILLS}" if len(skills) > SKILLS else ""
    return ", ".join(skills[:SKILLS]) + more


def _lines(text: str) -> str:
    return str(len(text.splitlines()))


async def _found(services: Services) -> Table:
    """The postings nearest to a query."""
    table = Table(title=f"nearest to “{QUERY}”", title_justify="left")
    for name in ("score", "company", "position", "its first line"):
        table.add_column(name, overflow="fold")
    vector = await services.embedder.query(QUERY)
    for hit in await services.postings.nearest(vector, k=HITS):
        first = next(iter(hit.responsibilities.splitlines()), "")
        table.add_row(f"{hit.score:.2f}", hit.company, hit.job_title, first)
    return table

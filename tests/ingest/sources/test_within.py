"""What a folder shows is what is read, whatever is put in its place between the look and the reading."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ingest.documents import Collected
from ingest.sources.folder import LARGEST_FILE, FolderSource, open_within
from tests.pace import time_limit

SECRET = "root:x:0:0"  # noqa: S105 - what is outside


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder `jobs` with files two folders down, and beside it what is none of its business."""
    for name in ("jobs/a/b", "elsewhere/b"):
        (tmp_path / name).mkdir(parents=True)
    for name, text in {"page.txt": "QA wanted", "rows.jsonl": '{"id": "1"}', "rows.csv": "id\n1\n"}.items():
        (tmp_path / "jobs/a/b" / name).write_text(text)
        (tmp_path / "elsewhere/b" / name).write_text(SECRET)
        os.utime(tmp_path / "jobs/a/b" / name, (1_700_000_000,) * 2)
    return tmp_path / "jobs"


def link_to_a_file(file: Path, elsewhere: Path) -> None:
    file.unlink()
    file.symlink_to(elsewhere / "b" / file.name)


def link_to_a_folder(file: Path, elsewhere: Path) -> None:
    file.parent.rename(file.parent.with_name("moved"))
    file.parent.symlink_to(elsewhere / "b")


def link_to_a_folder_above(file: Path, elsewhere: Path) -> None:
    file.parent.parent.rename(file.parent.parent.with_name("moved"))
    file.parent.parent.symlink_to(elsewhere)


def link_to_a_device(file: Path, elsewhere: Path) -> None:
    file.unlink()
    file.symlink_to("/dev/zero")


def pipe(file: Path, elsewhere: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def larger(file: Path, elsewhere: Path) -> None:
    os.truncate(file, LARGEST_FILE + 1)


Swap = Callable[[Path, Path], None]


@contextmanager
def swapped(name: str, swap: Swap, elsewhere: Path) -> Iterator[None]:
    """Puts another thing in the place of the file `name` after it was looked at, before it is read."""

    def first(reading: Callable[..., Any]) -> Callable[..., Any]:
        def read(source: FolderSource, given: Path | tuple[Path, ...]) -> Any:
            file = given[0] if isinstance(given, tuple) else given
            if file.name == name:
                swap(file, elsewhere)
            return reading(source, given)

        return read

    with pytest.MonkeyPatch.context() as patch:
        for method in ("_pages", "_rows"):
            patch.setattr(FolderSource, method, first(getattr(FolderSource, method)))
        yield


async def contents(folder: Path) -> str:
    async with asyncio.timeout(time_limit()):
        found = [item async for item in FolderSource(str(folder)).documents()]
    files = [file for document in found if isinstance(document, Collected) for file in document.files]
    return b" ".join(file.content for file in files).decode()


@pytest.mark.parametrize("name", ["page.txt", "rows.jsonl", "rows.csv"])
@pytest.mark.parametrize(
    "swap", [link_to_a_file, link_to_a_folder, link_to_a_folder_above, link_to_a_device, pipe, larger]
)
async def test_what_takes_a_files_place_is_not_read(folder: Path, name: str, swap: Swap) -> None:
    if swap is larger and name != "page.txt":
        return  # rows are read one by one, from a file of any length
    before = await contents(folder)
    assert "QA wanted" in before
    with swapped(name, swap, folder.parent / "elsewhere"):
        after = await contents(folder)
    assert SECRET not in after
    assert len(after) < len(before)


def test_a_file_that_is_swapped_again_and_again_is_never_read_from_outside(folder: Path) -> None:
    file, outside = folder / "a/b/page.txt", folder.parent / "elsewhere/b/page.txt"
    inside, link = file.read_bytes(), file.with_name("link")
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            link.symlink_to(outside)
            link.replace(file)
            link.write_bytes(inside)
            link.replace(file)

    swapping = threading.Thread(target=swap)
    swapping.start()
    read = 0
    try:
        for _ in range(5_000):
            with suppress(OSError), os.fdopen(open_within(folder, file), "rb") as opened:
                assert opened.read() in (inside, b"")
                read += 1
    finally:
        over.set()
        swapping.join()
    assert read


async def test_a_link_within_the_folder_is_read_as_what_it_names(folder: Path) -> None:
    (folder / "alias.txt").symlink_to(folder / "a/b/page.txt")
    assert (await contents(folder)).count("QA wanted") == 2

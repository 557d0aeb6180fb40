"""A folder as a source: what is read, under which name, and what is passed over."""

from __future__ import annotations

import asyncio
import os
import time
import tracemalloc
import unicodedata
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any

import orjson
import pytest

from ingest.documents import Collected, Listed
from ingest.errors import DocumentUnreadableError
from ingest.sources.folder import LARGEST_FILE, FolderSource
from ingest.structured.columns import as_posting
from tests.ingest.files import jsonl, row, table
from tools.core.errors import InvalidRequestError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder named `posters`."""
    (tmp_path / "posters").mkdir()
    return tmp_path / "posters"


def put(path: Path, content: bytes = b"content") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def rest(folder: Path) -> None:
    """Lets all files look as if they were written a while ago."""
    for path in folder.rglob("*"):
        if path.exists() and not path.is_symlink():
            os.utime(path, (1_700_000_000, 1_700_000_000))


async def collected(folder: Path) -> dict[str, Collected]:
    rest(folder)
    found = [document async for document in FolderSource(str(folder)).documents()]
    assert not any(isinstance(document, Listed) for document in found), "a removed file withdraws nothing"
    return {document.source_id: document for document in found if isinstance(document, Collected)}


async def test_every_kind_of_file_is_read_under_its_path(folder: Path) -> None:
    kinds = {
        "a.webp": "image/webp",
        "b.PNG": "image/png",
        "c.jpg": "image/jpeg",
        "d.jpeg": "image/jpeg",
        "e.pdf": "application/pdf",
        "f.html": "text/html",
        "g.htm": "text/html",
        "h.md": "text/markdown",
        "i/j/k.txt": "text/plain",
    }
    for name in kinds:
        put(folder / name, name.encode())
    put(folder / "l.docx")
    put(folder / "README")
    found = await collected(folder)
    assert {key: document.files[0].media_type for key, document in found.items()} == kinds
    assert {document.source for document in found.values()} == {"posters"}
    nested = found["i/j/k.txt"]
    assert nested.files[0].content == b"i/j/k.txt"
    assert nested.provenance["url"] == (folder / "i/j/k.txt").as_uri()
    assert nested.provenance["fetched_at"]


async def test_numbered_images_in_one_folder_are_the_pages_of_one_posting(folder: Path) -> None:
    for name in ("acme-2.webp", "acme-1.webp", "other/acme-3.webp", "acme-1.html"):
        put(folder / name, name.encode())
    found = await collected(folder)
    assert set(found) == {"acme-1.webp", "other/acme-3.webp", "acme-1.html"}
    assert [file.content for file in found["acme-1.webp"].files] == [b"acme-1.webp", b"acme-2.webp"]


@pytest.mark.parametrize(
    "name", [".hidden.png", ".git/a.png", "a.png.part", "a.png.crdownload", "~a.png", "~$a.html", "a.tmp"]
)
async def test_hidden_and_half_written_files_are_passed_over(folder: Path, name: str) -> None:
    put(folder / name)
    put(folder / "whole.png")
    assert set(await collected(folder)) == {"whole.png"}


async def test_a_file_that_is_still_growing_is_passed_over_and_one_that_rests_is_read(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    growing, done = put(folder / "growing.png"), put(folder / "done.png")
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            with growing.open("ab") as file:
                file.write(b"more")
            await asyncio.sleep(0.01)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(write())
        found = [document async for document in FolderSource(str(folder)).documents()]
        stop.set()
    assert [document.source_id for document in found if isinstance(document, Collected)] == [done.name]
    assert "still being written" in caplog.text


async def test_links_lead_nowhere_outside_the_folder(folder: Path, tmp_path: Path) -> None:
    secret = put(tmp_path / "outside" / "secret.txt")
    put(folder / "inside.txt", b"inside")
    (folder / "out.txt").symlink_to(secret)
    (folder / "outside").symlink_to(secret.parent)
    (folder / "circle").symlink_to(folder)
    (folder / "broken.txt").symlink_to(folder / "missing.txt")
    (folder / "alias.txt").symlink_to(folder / "inside.txt")
    found = await collected(folder)
    assert set(found) == {"inside.txt", "alias.txt"}
    assert found["alias.txt"].files[0].content == b"inside"


async def test_what_cannot_be_read_stops_nothing(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(folder / "pipe.txt")
    (folder / "folder.txt").mkdir()
    with put(folder / "huge.png").open("r+b") as file:
        file.truncate(LARGEST_FILE + 1)
    jsonl(folder / "korean.jsonl", row("1"), encoding="cp949")
    put(folder / "good.txt")
    assert set(await collected(folder)) == {"good.txt"}
    messages = " ".join(f"{record.message} {vars(record)}" for record in caplog.records)
    assert "huge.png" in messages
    assert "not UTF-8" in messages


async def test_names_are_the_same_on_every_system(folder: Path) -> None:
    put(folder / unicodedata.normalize("NFD", "공고.txt"))
    put(Path(os.fsdecode(os.fsencode(folder) + b"/\xb0\xf8.txt")))
    put(folder / "a\nb.txt")
    put(folder / ("x" * 200) / ("y" * 200 + ".txt"))
    found = await collected(folder)
    assert {"공고.txt", "\\xb0\\xf8.txt", "a\\nb.txt"} < set(found)
    assert max(map(len, found)) == 300


async def test_an_empty_file_is_a_document_for_the_parser_to_refuse(folder: Path) -> None:
    put(folder / "empty.png", b"")
    assert (await collected(folder))["empty.png"].files[0].content == b""


# Rows


def only(documents: dict[str, Collected], key: str) -> tuple[str, Any]:
    """The source and the value of a row."""
    [file] = documents[key].files
    assert file.media_type == "application/json"
    return documents[key].source, orjson.loads(file.content)


async def test_every_row_is_a_document_under_the_source_and_id_it_names(folder: Path) -> None:
    jsonl(folder / "jobs.jsonl", row("1", skills=["Java"]), "", row("2"))
    cells = {"source": "s", "source_id": "3", "job_title": "QA", "skills": "Java, C++", "deadline": ""}
    (folder / "deep").mkdir()
    table(folder / "deep" / "jobs.csv", cells)
    found = await collected(folder)
    assert set(found) == {"1", "2", "3"}
    assert only(found, "1") == ("test", row("1", skills=["Java"]))
    assert only(found, "3") == (
        "s",
        {"source": "s", "source_id": "3", "job_title": "QA", "skills": "Java, C++"},
    )
    assert found["2"].provenance["line"] == 3
    assert found["2"].files[0].name == "jobs.jsonl:3"
    posting = as_posting(only(found, "3")[1], source="s")
    assert (posting.source, posting.source_id, posting.skills) == ("s", "3", ["Java", "C++"])


async def test_rows_that_name_no_source_are_told_apart_by_their_file(folder: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        jsonl(folder / name, {"id": 17, "job_title": "QA", "company": None})
    found = await collected(folder)
    assert set(found) == {"a.jsonl#17", "b.jsonl#17"}
    source, value = only(found, "a.jsonl#17")
    posting = as_posting(value, source=source)
    assert (posting.source, posting.source_id) == ("posters", "a.jsonl#17")


@pytest.mark.parametrize(
    ("bad", "key", "problem"),
    [
        ("{not json", "a.jsonl:2", "not JSON"),
        ("[1]", "a.jsonl:2", "not a JSON object"),
        ("null", "a.jsonl:2", "not a JSON object"),
        ({"source": "s", "source_id": "9"}, "9", "job_title"),
        ({"job_title": "QA"}, "a.jsonl:2", "source_id"),
        ({"source": "s", "source_id": " ", "job_title": "QA"}, "a.jsonl:2", "source_id"),
    ],
)
async def test_a_row_that_is_no_posting_is_a_document_that_says_why_when_it_is_read(
    folder: Path, bad: Any, key: str, problem: str
) -> None:
    jsonl(folder / "a.jsonl", row("1"), bad, row("2"))
    found = await collected(folder)
    assert set(found) == {"1", "2", key}
    if problem == "not JSON":
        assert found[key].files[0].content.strip() == b"{not json"
        return
    source, value = only(found, key)
    with pytest.raises(DocumentUnreadableError, match=problem):
        as_posting(value, source=source)


async def test_a_line_without_end_is_one_bad_row(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.structured.files.LONGEST_RECORD", 1000)
    jsonl(folder / "a.jsonl", row("1"), "x" * 5000, row("2"))
    found = await collected(folder)
    assert set(found) == {"1", "a.jsonl:2", "2"}
    assert len(found["a.jsonl:2"].files[0].content) == 1000


async def test_memory_stays_flat_over_many_rows_and_files(folder: Path) -> None:
    text = "x" * 1000
    jsonl(folder / "many.jsonl", *(row(str(n), responsibilities=text) for n in range(5_000)))
    for n in range(500):
        put(folder / "files" / f"{n}.txt", b"x" * 20_000)
    rest(folder)
    count = 0
    tracemalloc.start()
    try:
        async for _ in FolderSource(str(folder)).documents():
            count += 1
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 5_500
    assert peak < 3_000_000, "5 MB of rows and 10 MB of files were not held at a time"


async def test_leaving_early_closes_the_file(folder: Path) -> None:
    jsonl(folder / "a.jsonl", *(row(str(n)) for n in range(1_000)))
    rest(folder)
    async with aclosing(FolderSource(str(folder)).documents()) as documents:
        async for _ in documents:
            assert "a.jsonl" in open_files()
            break
    assert "a.jsonl" not in open_files()


def open_files() -> set[str]:
    """The names of the files that this process has open."""
    found = set()
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.add(link.readlink().name)
    return found


# Watching


async def test_what_changed_is_collected_with_the_pages_it_belongs_to_and_nothing_else(
    folder: Path, tmp_path: Path
) -> None:
    for name in ("acme-1.webp", "acme-2.webp", "other.webp", ".hidden/a.webp"):
        put(folder / name)
    outside = put(tmp_path / "outside.webp")
    changed = [folder / "acme-2.webp", folder / "gone.webp", folder / ".hidden" / "a.webp", outside]
    found = [document async for document in FolderSource(str(folder)).changed(changed)]
    assert [[file.name for file in document.files] for document in found] == [["acme-1.webp", "acme-2.webp"]]


# The folder itself


@pytest.mark.parametrize("argument", ["", "/no/such/folder", "file", "a\x00b"])
def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, argument: str) -> None:
    put(tmp_path / "file")
    with pytest.raises(InvalidRequestError, match="no folder"):
        FolderSource(str(tmp_path / "file") if argument == "file" else argument)


async def test_an_empty_folder_has_no_postings(folder: Path) -> None:
    assert await collected(folder) == {}


def test_a_source_is_named_as_it_was_written(folder: Path) -> None:
    assert FolderSource(f"{folder}/").name == f"folder:{folder}/"


async def test_a_file_from_a_clock_that_is_ahead_is_read_too(folder: Path) -> None:
    path = put(folder / "a.txt")
    os.utime(path, (time.time() + 86_400,) * 2)
    found = [document async for document in FolderSource(str(folder)).documents()]
    assert len(found) == 1


async def test_names_in_pieces_are_those_that_a_keyboard_writes(tmp_path: Path) -> None:
    pieces = tmp_path / unicodedata.normalize("NFD", "공고")
    pieces.mkdir()
    for name in (unicodedata.normalize("NFD", "포스터-1.png"), "포스터-2.png"):
        (pieces / name).write_bytes(b"x")
    (pieces / unicodedata.normalize("NFD", "글.md")).write_text("글", encoding="utf-8")
    for file in pieces.iterdir():
        os.utime(file, (1, 1))
    source = FolderSource(str(tmp_path / "공고"))
    found = [document async for document in source.documents() if isinstance(document, Collected)]
    assert {(document.source, document.source_id) for document in found} == {
        ("공고", "글.md"),
        ("공고", "포스터-1.png"),
    }
    assert [file.name for file in found[-1].files] == ["포스터-1.png", "포스터-2.png"]

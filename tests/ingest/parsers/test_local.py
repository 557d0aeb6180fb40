"""The local parser on drawn posters, and on images of every kind that people have."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from evals.bench.parser_scores import score_tables, score_text, text_lines, tree_of_html, trees_of
from evals.bench.parsers import Poster, posters_of
from ingest.documents import Heading, Parsed, RawFile
from ingest.errors import DocumentUnreadableError
from ingest.parsers.local import LocalParser
from ingest.parsers.tessdata import FILES, HASHES, fetch_tessdata, find_tessdata
from samples.programs.draw_posters import POSTERS
from tests.ingest.parsers.files import huge_png
from tests.pace import scaled, time_limit
from tools.core.errors import SetupError
from tools.core.settings import Settings

TITLE = "2026년 수시 채용"


@pytest.fixture(scope="module")
def tessdata() -> Path:
    """Tesseract's data. Who has none may go without these tests; CI may not."""
    try:
        return find_tessdata(Settings())
    except SetupError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"the local parser is not tested: {error}")


@pytest.fixture(scope="module")
async def parser(tessdata: Path) -> AsyncIterator[LocalParser]:
    async with LocalParser.open(tessdata, size=1) as opened:
        yield opened


@pytest.fixture(scope="module")
def posters() -> dict[str, Poster]:
    return {poster.files[0].name: poster for poster in posters_of(POSTERS)}


@pytest.fixture(scope="module")
def banner() -> Image.Image:
    """The title of a sample poster: white letters on a dark colour that fades."""
    with Image.open(POSTERS / "p17-1.webp") as poster:
        return poster.convert("RGB").crop((270, 40, 570, 88))


def raw(content: bytes, name: str = "poster.webp") -> RawFile:
    return RawFile(name, "image/webp", content)


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def text_of(parsed: Parsed) -> str:
    return "\n".join(text_lines(parsed))


# What is read -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [("p14-1.webp", "all rules"), ("p17-1.webp", "dashed rules"), ("p30-1.webp", "no rules")],
)
async def test_posters_are_read(
    parser: LocalParser, posters: dict[str, Poster], name: str, kind: str
) -> None:
    poster = next(p for p in posters.values() if name in [file.name for file in p.files])
    number = [file.name for file in poster.files].index(name)
    page = poster.pages[number]

    parsed = await parser.parse(raw(poster.files[number].read_bytes()))

    score = score_text(page["lines"], text_lines(parsed))
    _, structure = score_tables([tree_of_html(table) for table in page["tables"]], trees_of(parsed))
    assert score.errors <= 0.04 * score.letters
    assert score.ordered_errors <= 0.06 * score.letters
    assert min(structure, default=1.0) >= 0.95
    assert any(isinstance(block, Heading) and block.level == 1 for block in parsed.blocks)
    assert parsed.parser == "local/2"
    assert parsed.cost.pages == 1
    assert parsed.confidence is not None
    assert 0.8 < parsed.confidence <= 1


def oriented(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held on its side
    return saved(image.rotate(90, expand=True), "JPEG", exif=exif.tobytes(), quality=92)


def transparent(image: Image.Image) -> bytes:
    dark = image.convert("L").point(lambda value: 255 if value > 150 else 0)
    letters = Image.new("RGBA", image.size, (20, 20, 60, 255))
    letters.putalpha(dark)
    return saved(letters)


def sixteen_bits(image: Image.Image) -> bytes:
    grey = image.convert("L")
    deep = Image.new("I;16", grey.size)
    deep.putdata([value * 257 for value in grey.get_flattened_data()])
    return saved(deep)


KINDS = {
    "jpeg": lambda image: saved(image, "JPEG", quality=90),
    "webp": lambda image: saved(image, "WEBP", quality=85),
    "animated webp": lambda image: saved(
        image, "WEBP", save_all=True, append_images=[Image.new("RGB", image.size)], duration=80
    ),
    "palette": lambda image: saved(image.quantize(16)),
    "cmyk": lambda image: saved(image.convert("CMYK"), "JPEG", quality=92),
    "grey, 16 bits": sixteen_bits,
    "transparent": transparent,
    "turned by exif": oriented,
}


@pytest.mark.parametrize("kind", KINDS)
async def test_images_of_every_kind_are_read(parser: LocalParser, banner: Image.Image, kind: str) -> None:
    parsed = await parser.parse(raw(KINDS[kind](banner), name="poster.txt"))
    assert TITLE in text_of(parsed)


async def test_a_very_tall_poster_is_read_to_its_end(parser: LocalParser, banner: Image.Image) -> None:
    tall = Image.new("RGB", (700, 20_000), "white")
    for top in (30, 19_900):
        tall.paste(banner, (100, top))
    parsed = await parser.parse(raw(saved(tall, compress_level=1)))
    assert text_of(parsed).count(TITLE) == 2


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (600, 400)])
async def test_an_empty_page_has_no_blocks(parser: LocalParser, size: tuple[int, int]) -> None:
    parsed = await parser.parse(raw(saved(Image.new("RGB", size, "white"))))
    assert parsed.blocks == []
    assert parsed.confidence is None


# What cannot be read ------------------------------------------------------------------------------


async def test_an_image_of_200_megapixels_is_refused_by_its_header(parser: LocalParser) -> None:
    with pytest.raises(DocumentUnreadableError, match=r"20,000 × 10,001 pixels, 200 million"):
        await parser.parse(raw(huge_png()))


@pytest.mark.parametrize("kind", ["cut", "text", "empty", "head only"])
async def test_what_is_no_image_is_refused_with_a_reason(
    parser: LocalParser, banner: Image.Image, kind: str
) -> None:
    whole = saved(banner)
    broken = {"cut": whole[: len(whole) // 2], "text": b"<html>", "empty": b"", "head only": whole[:20]}[kind]
    with pytest.raises(DocumentUnreadableError, match=r"broken|not an image"):
        await parser.parse(raw(broken))
    assert TITLE in text_of(await parser.parse(raw(whole)))


# Processes ----------------------------------------------------------------------------------------


async def test_the_loop_runs_while_an_image_is_read(tessdata: Path, banner: Image.Image) -> None:
    async with LocalParser.open(tessdata, size=1) as parser:
        assert parser.pids == []  # nothing runs before the first image
        reading = asyncio.create_task(parser.parse(raw(saved(banner))))
        for _ in range(100):
            await asyncio.sleep(0)
        assert not reading.done()
        assert TITLE in text_of(await reading)
        (pid,) = parser.pids
    assert not psutil.pid_exists(pid)


async def test_a_process_that_reads_images_knows_no_keys(
    tessdata: Path, banner: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "DATABASE_URL", "CHECKERBOARD_ADMIN_KEYS", "NOBODY_KNOWS_MY_NAME"):
        monkeypatch.setenv(name, "sk-secret")
    async with LocalParser.open(tessdata, size=1) as parser:
        assert TITLE in text_of(await parser.parse(raw(saved(banner))))
        (pid,) = parser.pids
        environment = Path(f"/proc/{pid}/environ")
        assert not environment.exists() or b"sk-secret" not in environment.read_bytes()


async def test_a_killed_process_is_replaced_and_its_image_read(
    parser: LocalParser, banner: Image.Image
) -> None:
    await parser.parse(raw(saved(banner)))
    (before,) = parser.pids
    os.kill(before, signal.SIGKILL)
    parsed = await asyncio.wait_for(parser.parse(raw(saved(banner))), time_limit())
    assert TITLE in text_of(parsed)
    assert parser.pids != [before]


async def test_an_image_that_stalls_is_given_up_and_the_next_is_read(
    tessdata: Path, banner: Image.Image
) -> None:
    content = saved(banner)
    async with LocalParser.open(tessdata, size=1, limit_seconds=scaled(3)) as parser:
        await parser.parse(raw(content))
        (stalled,) = parser.pids
        os.kill(stalled, signal.SIGSTOP)
        with pytest.raises(DocumentUnreadableError, match="took longer than"):
            await parser.parse(raw(content))
        assert not psutil.pid_exists(stalled)
        assert TITLE in text_of(await parser.parse(raw(content)))


async def test_a_reading_that_is_cancelled_leaves_the_parser_usable(
    parser: LocalParser, banner: Image.Image
) -> None:
    reading = asyncio.create_task(parser.parse(raw((POSTERS / "p01-1.webp").read_bytes())))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert TITLE in text_of(await asyncio.wait_for(parser.parse(raw(saved(banner))), time_limit()))


# Tesseract's data ---------------------------------------------------------------------------------


def test_a_folder_without_the_data_is_named_with_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "eng.traineddata").touch()
    with pytest.raises(SetupError, match=r"lacks kor\.traineddata, Hangul\.traineddata"):
        find_tessdata(Settings(tessdata=tmp_path))


def test_missing_data_is_reported_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.parsers.tessdata._SYSTEM", ())
    monkeypatch.delenv("TESSDATA_PREFIX", raising=False)
    settings = Settings(home=tmp_path)
    with pytest.raises(SetupError, match="make ocr-data"):
        find_tessdata(settings)


def stand_in_for_apt(folder: Path, content: str) -> str:
    """Programs that bring files of this content as apt brings Tesseract's data. Returns a PATH with them."""
    made = "".join(f"printf %s '{content}' > \"$3/{name}\"\n" for name in FILES)
    for program, does in (("apt-get", ": > tesseract.deb\n"), ("dpkg-deb", made)):
        (folder / program).write_text(f"#!/bin/sh\n{does}")
        (folder / program).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_data_that_is_not_ours_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home, programs = tmp_path / "home", tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", stand_in_for_apt(programs, "something else"))
    monkeypatch.setattr("ingest.parsers.tessdata._SYSTEM", ())
    monkeypatch.delenv("TESSDATA_PREFIX", raising=False)
    with pytest.raises(SetupError, match=r"kor\.traineddata, eng\.traineddata, .* CHECKERBOARD_TESSDATA"):
        fetch_tessdata(home)
    assert not (home / "tessdata").exists()

    ours = dict.fromkeys(FILES, hashlib.sha256(b"ours").hexdigest())
    monkeypatch.setattr("ingest.parsers.tessdata.HASHES", ours)
    monkeypatch.setenv("PATH", stand_in_for_apt(programs, "ours"))
    assert fetch_tessdata(home) == find_tessdata(Settings(home=home)) == home / "tessdata"
    (home / "tessdata" / FILES[0]).write_text("changed since")
    with pytest.raises(SetupError, match="make ocr-data"):
        find_tessdata(Settings(home=home))
    assert fetch_tessdata(home) == find_tessdata(Settings(home=home))


def test_the_hashes_are_those_of_the_data_that_is_used(tessdata: Path) -> None:
    for name, digest in HASHES.items():
        file = tessdata / name if (tessdata / name).exists() else tessdata / "script" / name
        assert hashlib.sha256(file.read_bytes()).hexdigest() == digest


def test_without_apt_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="brew install tesseract-lang"):
        fetch_tessdata(tmp_path)

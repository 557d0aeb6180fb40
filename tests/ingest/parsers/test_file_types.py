"""What a file is, by its content."""

from __future__ import annotations

import contextlib
import gzip
import io
import struct
import time
import tracemalloc
import zipfile
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import DocumentUnreadableError
from ingest.parsers.file_types import Kind, detect_file_type
from tests.ingest.parsers.files import chunk, huge_png, image, pdf, png_with, raw

KOREAN = "<p>자격요건: 자바 개발 경력 3년 이상인 분</p>"


def kind(content: bytes | str, name: str = "posting", media_type: str = "") -> Kind:
    return detect_file_type(raw(content, name, media_type)).kind


def refusal(content: bytes | str, name: str = "posting") -> str:
    with pytest.raises(DocumentUnreadableError) as refused:
        detect_file_type(raw(content, name))
    return refused.value.message


@pytest.mark.parametrize("expected", [Kind.PNG, Kind.JPEG, Kind.WEBP, Kind.GIF, Kind.BMP, Kind.TIFF])
def test_images_are_known_whatever_they_are_called(expected: Kind) -> None:
    assert kind(image(expected.name), "poster.txt", "text/html") is expected


@pytest.mark.parametrize(
    "options", [{"lossless": True}, {"quality": 50}, {"lossless": True, "exif": b"Exif\0\0"}]
)
def test_every_form_of_webp_tells_its_size(options: dict[str, object]) -> None:
    assert kind(image("WEBP", (300, 200), **options)) is Kind.WEBP


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (pdf([["x"]]), Kind.PDF),
        (b"\n\njunk of a mail\n" + pdf([["x"]]), Kind.PDF),
        ("<!-- a --><!DOCTYPE html><p>안녕", Kind.HTML),
        ('<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE html PUBLIC "x"><html/>', Kind.HTML),
        ("<p>글", Kind.HTML),
        ("글 <div>업무</div> <ul><li>서버</li></ul> </div>", Kind.HTML),
        ("<자격요건>\n- Java", Kind.TEXT),
        ("<Requirements>\n- Java", Kind.TEXT),
        ("# 제목\n`<div>` 태그", Kind.TEXT),
        ("담당업무 a<br>b", Kind.TEXT),
        ('{"job_title": "개발자"}', Kind.JSON),
        ("[담당업무]\n- 서버", Kind.TEXT),
        ("BM은 사업 모델입니다. 개발자를 찾습니다.", Kind.TEXT),
    ],
)
def test_pages_and_texts_are_told_apart(content: bytes | str, expected: Kind) -> None:
    assert kind(content) is expected


def test_what_the_source_says_counts_where_the_content_is_undecided() -> None:
    assert kind("글 </p> 글", media_type="text/html; charset=utf-8") is Kind.HTML
    assert kind("글 </p> 글", media_type="text/plain") is Kind.TEXT


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp949"]
)
def test_text_is_read_in_every_encoding_that_korean_pages_come_in(encoding: str) -> None:
    assert detect_file_type(raw(KOREAN.encode(encoding))).text == KOREAN


@pytest.mark.parametrize("declared", ["euc-kr", "ks_c_5601-1987", "utf-8", "nonsense"])
def test_a_page_that_declares_the_wrong_encoding_is_read_all_the_same(declared: str) -> None:
    page = f'<meta charset="{declared}"><p>펩시콜라 뷁 쀍 개발자</p>'
    assert detect_file_type(raw(page.encode("cp949"))).text == page
    assert detect_file_type(raw(page.encode())).text == page


def test_a_page_in_another_encoding_is_read_as_it_declares() -> None:
    page = '<meta charset="windows-1252"><p>“Café” – développeur</p>'
    assert detect_file_type(raw(page.encode("cp1252"))).text == page


def test_a_cut_letter_does_not_spoil_a_page() -> None:
    broken = ("<p>" + "자격요건 자바 " * 50).encode()[:-2]
    assert detect_file_type(raw(broken)).text.startswith("<p>자격요건 자바 ")


def office(name: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, b"0" * 1_000_000)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "empty"),
        (b" \n\t\n", "empty"),
        (office("word/document.xml"), "Word"),
        (office("xl/workbook.xml"), "Excel"),
        (office("bomb"), "ZIP archive"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "Hangul"),
        (b"\0\0\0\x20ftypheic" + bytes(50), "HEIC"),
        (b"\0\0\0\x20ftypisom" + bytes(50), "film"),
        (b"MZ" + bytes(200), "program"),
        (bytes(range(256)) * 8, "unknown kind"),
        ('<?xml version="1.0"?><rss></rss>', "XML"),
        (b"\x89PNG\r\n\x1a\n", "broken PNG"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "broken WEBP"),
        (image("JPEG")[:10], "broken JPEG"),
        (b"GIF89a\0\0\0\0\0\0\0", "no pixels"),
        (gzip.compress(image()), "gzip archive"),
        (b"\x1f\x8b" + bytes(30), "broken gzip"),
    ],
)
def test_what_cannot_be_read_is_told_by_its_name(content: bytes | str, expected: str) -> None:
    message = refusal(content, "공고.png")
    assert message.startswith("공고.png ")
    assert expected in message


def webp_of(width: int, height: int) -> bytes:
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 22) + b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + size


@pytest.mark.parametrize("content", [huge_png(), webp_of(16_000, 16_000)], ids=["png", "webp"])
def test_an_image_of_more_than_200_megapixels_is_refused_by_its_header(content: bytes) -> None:
    tracemalloc.start()
    assert "million" in refusal(content)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_compressed_page_is_read() -> None:
    assert detect_file_type(raw(gzip.compress(KOREAN.encode()))).text == KOREAN


@pytest.mark.parametrize(
    "bomb",
    [
        gzip.compress(bytes(200_000_000), 1),
        png_with(chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(100_000_000), 1))),
        png_with(chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(100_000_000), 1))),
    ],
    ids=["gzip", "png text", "png colours"],
)
def test_a_bomb_is_not_inflated(bomb: bytes) -> None:
    tracemalloc.start()
    began = time.process_time()
    with contextlib.suppress(DocumentUnreadableError):
        detect_file_type(raw(bomb))
    assert tracemalloc.get_traced_memory()[1] < 30_000_000
    assert time.process_time() - began < 60
    tracemalloc.stop()


def test_a_text_of_more_than_5_mb_is_refused() -> None:
    assert "5,000,000" in refusal("가" * 1_700_000)


@settings(max_examples=50)
@given(
    st.binary(max_size=200),
    st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"II*\0", b"RIFF....WEBPVP8 "]),
)
def test_any_bytes_are_known_or_refused(content: bytes, magic: bytes) -> None:
    with contextlib.suppress(DocumentUnreadableError):
        detect_file_type(raw(magic + content))

"""Whatever lies in a folder is read or set aside with a reason; the pipeline goes on."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from tests.ingest.parsers.files import huge_png, image
from tests.ingest.parsers.standins import upstage
from tests.ingest.pipeline.runs import MENU, POSTING, aside, ingested, rows, write
from tools.core.settings import Settings

SCRIPTED = """<html><head><script>while (true) { alert("담당업무") }</script></head>
<body onload="steal()"><h1>서버 개발자 채용</h1><h2>담당업무</h2><ul><li>결제 API 개발</li></ul>
<h2>자격요건</h2><ul><li>Java 3년 이상<script>document.write("우대사항")</script></li></ul></body></html>"""
ROW = "<tr><td>직무 {n} 개발자</td><td>{n}번 API 개발</td><td>Java {n}년 이상</td><td>Kafka {n}</td></tr>"
LONG = (
    "<h1>공개 채용</h1><table><tr><th>모집부문</th><th>담당업무</th><th>자격요건</th><th>우대사항</th></tr>"
    + "".join(ROW.format(n=n) for n in range(1, 201))
    + "</table>"
)


def archive() -> bytes:
    """A zip of 20 kB that holds 20 MB of zeros."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("posting.html", bytes(20_000_000))
    return buffer.getvalue()


async def test_bad_files_are_set_aside_and_odd_ones_read(empty_settings: Settings, tmp_path: Path) -> None:
    bad: dict[str, str | bytes] = {
        "broken.webp": image("WEBP")[:10],
        "huge.png": huge_png(),
        "empty.html": "<html><body> </body></html>",
        "nothing.md": "",
        "menu.txt": MENU,
        "archive.pdf": archive(),
    }
    odd: dict[str, str | bytes] = {
        "a picture.html": image(),
        "a page.jpg": "<h1>앱 개발자</h1><h2>담당업무</h2><ul><li>앱 화면 개발</li></ul>",
        "scripted.html": SCRIPTED,
        "long.html": LONG,
        "old.txt": POSTING.format(n=4).encode("cp949"),
    }
    for name, content in (bad | odd).items():
        write(tmp_path, name, content)
    async with upstage() as provider:
        await ingested(provider.settings(empty_settings), tmp_path)
    assert set(await aside(empty_settings)) == set(bad)
    found = await rows(empty_settings, "select source_id, count(*) as n from postings group by 1")
    assert {row["source_id"]: row["n"] for row in found} == {
        "a picture.html": 1,
        "a page.jpg": 1,
        "scripted.html": 1,
        "long.html": 200,
        "old.txt": 1,
    }
    [scripted] = await rows(empty_settings, "select * from postings where source_id = 'scripted.html'")
    assert (scripted["responsibilities"], scripted["requirements"]) == ("결제 API 개발", "Java 3년 이상")

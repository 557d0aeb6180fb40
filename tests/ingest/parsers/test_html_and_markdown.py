"""HTML, Markdown and plain text to blocks."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.blocks import block_lines
from ingest.documents import Block, Heading, Paragraph, Table
from ingest.errors import DocumentUnreadableError
from ingest.parsers.markdown import parse_text
from tests.ingest.parsers.files import parse_html

SOUP = (
    *("<p>", "</p>", "<div>", "</div>", "<table>", "</table>", "<tr>", "</tr>", "<td>", "</td>", "<th>"),
    *(
        "<ul>",
        "</ul>",
        "<li>",
        "</li>",
        "<br>",
        "<h2>",
        "</h2>",
        "<b>",
        "</b>",
        "<main>",
        "</main>",
        "<title>",
    ),
    *(
        "</title>",
        "<pre>",
        "</pre>",
        "<script>",
        "</script>",
        "<nav>",
        "</nav>",
        "<thead>",
        "가",
        "나다",
        "-",
        "■",
    ),
)
LIMIT_SECONDS = 120
"""Of CPU: far above what it takes, far below what it would take were it not linear."""


def outline(blocks: list[Block]) -> list[str]:
    """Blocks in short: `# heading`, text, `| cell, cell`."""
    out = []
    for block in blocks:
        if isinstance(block, Heading):
            out.append(f"{'#' * block.level} {block.text}")
        elif isinstance(block, Paragraph):
            out.append(block.text)
        else:
            out += ["| " + ", ".join(cell.text for cell in row) for row in block.rows]
    return out


def html(text: str) -> list[str]:
    return outline(parse_html(text).blocks)


def text(text: str) -> list[str]:
    return outline(parse_text(text).blocks)


def test_a_page_is_read_as_a_person_sees_it() -> None:
    assert html("""
        <!DOCTYPE html><html><head><title>백엔드 채용 | 예시</title><style>p {}</style>
        <script>document.write("<p>스크립트</p>")</script></head>
        <body><nav><a href="/">홈</a></nav><div id="gnb">메뉴</div><div style="display: none">숨김</div>
        <p hidden>숨김</p><h1>백엔드   <b>개발자</b></h1><p>첫 줄<br>둘째&nbsp;줄</p>
        <h2>담당업무</h2><ul><li>서버 개발<ul><li>결제</li></ul></li><li><p>운영</p></li></ul>
        <ol><li>서류</li><li>면접</li></ol><noscript>켜세요</noscript><button>지원하기</button>
        <!-- <p>주석</p> --></body></html>""") == [
        "# 백엔드 개발자",
        "첫 줄\n둘째 줄",
        "## 담당업무",
        "- 서버 개발\n- 결제\n- 운영",
        "1. 서류\n2. 면접",
    ]


def test_a_page_without_a_heading_has_its_title() -> None:
    assert html("<title>백엔드 채용</title><p>내용</p>") == ["# 백엔드 채용", "내용"]


def test_headings_of_a_page_of_divs_are_found() -> None:
    assert html("""<div>결제팀을 소개합니다.</div><div><b>이런 일을 해요</b></div>
        <div>• 결제 서버</div><div>• 정산</div>
        <div><br></div><div>자격요건</div><div>Java 3년 이상</div><div><br></div>
        <div><span style="font-weight:700">함께 하면 좋은 분</span></div><div>- Kafka</div>""") == [
        "결제팀을 소개합니다.",
        "### 이런 일을 해요",
        "- 결제 서버\n- 정산",
        "### 자격요건",
        "Java 3년 이상",
        "### 함께 하면 좋은 분",
        "- Kafka",
    ]


def test_a_page_that_is_bold_all_over_is_no_page_of_headings() -> None:
    assert html("<b><div>서울에서 일합니다</div><div>개발자를 찾습니다</div><div>함께해요</div></b>") == [
        "서울에서 일합니다\n개발자를 찾습니다\n함께해요"
    ]


def test_the_main_part_of_a_page_is_taken_where_there_is_one() -> None:
    main = "<main><h1>채용</h1><p>" + "결제 서버를 만듭니다 " * 30 + "</p></main>"
    assert len(html(f"<div>다른 공고 100개</div>{main}<div>회사 소개 링크</div>")) == 2
    assert html("<div>본문</div><main>로딩 중</main>")[0].startswith("본문")


def test_a_table_keeps_its_spans_and_its_lines() -> None:
    parsed = parse_html("""<table><caption>모집부문</caption><thead><tr><td>부문<td>업무<td>인원</thead>
        <tr><td rowspan=2>개발<td><ul><li>서버<li>API</ul><td>2명<tr><td>화면<br>앱<td>1명</table>""")
    caption, table = parsed.blocks
    assert isinstance(caption, Heading | Paragraph)
    assert isinstance(table, Table)
    assert [[(cell.text, cell.rowspan, cell.header) for cell in row] for row in table.rows] == [
        [("부문", 1, True), ("업무", 1, True), ("인원", 1, True)],
        [("개발", 2, False), ("- 서버\n- API", 1, False), ("2명", 1, False)],
        [("화면\n앱", 1, False), ("1명", 1, False)],
    ]


def test_tables_of_layout_become_text_and_the_tables_within_stay() -> None:
    assert html("""<table><tr><td><h2>채용</h2><p>안내</p></td></tr><tr><td>
        <table><tr><td>부문<td>인원<tr><td>개발<td>2</table></td></tr></table>""") == [
        "## 채용",
        "안내",
        "| 부문, 인원",
        "| 개발, 2",
    ]


def test_hollow_rows_columns_and_spans_go() -> None:
    table = parse_html("""<table><tr><td colspan=9>가<td>나<tr><td colspan=9> <td>
        <tr><td rowspan=99 colspan=9>다<td rowspan="viel">라</table>""").blocks[0]
    assert isinstance(table, Table)
    assert [[(cell.text, cell.rowspan, cell.colspan) for cell in row] for row in table.rows] == [
        [("가", 1, 1), ("나", 1, 1)],
        [("다", 1, 1), ("라", 1, 1)],
    ]


def test_a_table_of_200_rows_stays_whole() -> None:
    rows = "".join(f"<tr><td>{number}<td>업무 {number}" for number in range(200))
    (table,) = parse_html(f"<table>{rows}</table>").blocks
    assert isinstance(table, Table)
    assert len(table.rows) == 200


def test_pictures_are_told_of_and_their_long_texts_are_read() -> None:
    parsed = parse_html(
        '<p>안내<img src="a.png" alt="로고"><img src="b.png" alt="2026년 상반기 신입 개발자 채용 안내">'
    )
    assert parsed.warnings == ["pictures in the page that were not read: 2"]
    assert outline(parsed.blocks) == ["안내\n2026년 상반기 신입 개발자 채용 안내"]


def test_angle_brackets_around_korean_are_brackets() -> None:
    assert html("<p><자격요건><br>- Java & Kotlin, 3 < 5</p>") == ["### 자격요건", "- Java & Kotlin, 3 < 5"]


def test_preformatted_text_keeps_its_lines() -> None:
    assert html('<div style="white-space: pre-line">담당업무\n- 서버\n\n자격요건\n- Java</div>') == [
        "### 담당업무",
        "- 서버",
        "### 자격요건",
        "- Java",
    ]


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 10_000 + "깊다" + "</div>" * 10_000,
        "<p>" + "한 줄 " * 430_000,
        "<table><tr><td>" * 2_000 + "깊다",
        "<table>" + "<tr><td colspan=1000 rowspan=65534>x" * 5_000,
        "<b>" * 20_000 + "깊다",
        "<td rowspan=" + "9" * 1_000_000 + ">깊다",
        "<!--" * 100_000 + "깊다",
    ],
    ids=[
        "10,000 divs",
        "one line of 3 MB",
        "tables in tables",
        "spans",
        "open tags",
        "a long number",
        "comments",
    ],
)
def test_a_page_made_to_hurt_is_read_in_time(page: str) -> None:
    began = time.process_time()
    parse_html(page)
    assert time.process_time() - began < LIMIT_SECONDS


def test_a_deep_page_is_read_to_its_end() -> None:
    assert html("<div>" * 10_000 + "깊다" + "</div>" * 10_000 + "<p>뒤") == ["깊다", "뒤"]


def test_a_flood_of_tags_is_refused() -> None:
    with pytest.raises(DocumentUnreadableError, match="tags"):
        parse_html("<i></i>" * 150_001)


@settings(max_examples=60)
@given(st.lists(st.sampled_from(SOUP), max_size=40))
def test_no_soup_of_tags_breaks_the_reader(soup: list[str]) -> None:
    soup_blocks = parse_html(" ".join(soup)).blocks
    for line in (line for block in soup_blocks for line in block_lines(block)):
        assert line.strip() == line != ""


def test_plain_text_with_korean_bullets() -> None:
    assert text("""[예시] 백엔드 개발자 모집

우리는 결제 서비스를 만듭니다.

■ 담당업무
ㆍ서버 개발
ㆍAPI 설계
■ 자격요건
① 학사 이상
② Java 3년
▶ 우대사항 ◀
· Kafka
[근무조건]
정규직, 서울
<복리후생>
-점심 제공
-5도 이하 재택
※ 허위 사실이 있으면 취소됩니다.
""") == [
        "# [예시] 백엔드 개발자 모집",
        "우리는 결제 서비스를 만듭니다.",
        "### 담당업무",
        "- 서버 개발\n- API 설계",
        "### 자격요건",
        "① 학사 이상\n② Java 3년",
        "### 우대사항 ◀",
        "- Kafka",
        "### 근무조건",
        "정규직, 서울",
        "### 복리후생",
        "- 점심 제공\n-5도 이하 재택\n※ 허위 사실이 있으면 취소됩니다.",
    ]


def test_markdown() -> None:
    assert text("""# 백엔드 개발자

**담당업무**
* 결제 `API` [개발](https://example.com)
* **정산** 배치

자격요건
---

| 부문 | 요건 |
|:---|---:|
| 개발 | Java<br>Kotlin |
| 운영 \\| 관리 | **3년** |

```
- a_b
```
""") == [
        "# 백엔드 개발자",
        "### 담당업무",
        "- 결제 API 개발\n- 정산 배치",
        "## 자격요건",
        "| 부문, 요건",
        "| 개발, Java\nKotlin",
        "| 운영 | 관리, 3년",
        "- a_b",
    ]


def test_front_matter_is_text_and_a_rule_is_nothing() -> None:
    assert text("---\ncompany: 예시\n---\n\n본문입니다.\n\n=====\n\n끝.") == [
        "# company: 예시",
        "본문입니다.",
        "끝.",
    ]


@pytest.mark.parametrize(
    "hurting",
    [
        "`" * 300_000,
        "[](" * 100_000,
        "**a" * 100_000,
        "|\n" + " " * 300_000 + "|",
        "- " * 200_000,
        "=" * 500_000,
        "> " * 200_000,
    ],
)
def test_a_text_made_to_hurt_is_read_in_time(hurting: str) -> None:
    began = time.process_time()
    parse_text(hurting)
    assert time.process_time() - began < LIMIT_SECONDS


@settings(max_examples=60)
@given(st.text(st.sampled_from(" \n-#|*`[]()<>:가나■ㆍ1."), max_size=80))
def test_every_word_of_a_text_is_kept(written: str) -> None:
    read = "".join(line for block in parse_text(written).blocks for line in block_lines(block))
    for letter in "가나":
        assert read.count(letter) == written.count(letter) or "](" in written or "![" in written

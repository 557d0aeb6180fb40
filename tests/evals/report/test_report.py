"""The reports: they say what was found, open from disk, and whatever a run wrote is text in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from lxml import html as lxml_html

from evals.report.compare import Comparison, compare
from evals.report.format import figure, signed
from evals.report.html_report import html
from evals.report.markdown_report import LIMIT, literal, markdown
from tests.evals.made_results import METRICS, answer, case, outputs, write


def parsed(page: str) -> Any:
    """The page as a browser reads it."""
    return lxml_html.document_fromstring(page)


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</style></title></pre></details><iframe src='//x.example'>",
    "| 표 | 끝 |\n\n# 제목 `코드` **굵게** [눌러](javascript:alert(3))",
    "@everyone #1 https://x.example &lt;b&gt; <!-- --> ${7*7} {{7*7}}",
    "거꾸로 \u202eelif\u202c 빈칸\u200f 널\x00 끝\ud800",
)


def comparison(folder: Path, *texts: str) -> Comparison:
    """B answers with `texts` wherever an answer has text; case 0 fell in everything, case 5 is an error."""

    def run(name: str, fell: float, said: tuple[str, ...]) -> Path:
        given = []
        for number in range(12):
            # A lone surrogate cannot be in a file of JSON, which `element` may meet in a header all the same.
            text = said[number % len(said)].replace("\ud800", "") if said else "가"
            values = {
                "evidence_valid": 0.9 - (fell if number else 5 * fell),
                "filler": 0.1,
                "gaps_named": None,
            }
            values |= {"seconds_first": 1.5 + fell, "tokens_in": 12_000 * (1 + fell)}
            made = answer(text, description=text, summary=text, skills=[text])
            made["candidates"][0]["skill_gaps"] = [{"skill": text, "reason": text}]
            made["postings"][0] |= {"company": text, "job_title": text, "reason": text}
            turns = [{"wishes": {"feedback": text}, "error": None}]
            given.append(
                case(
                    number,
                    values,
                    case_id=f"case-{number}",
                    family=text if said and number > 8 else "백엔드",
                    inputs={"profile": {"desired_job": text}, "language": "ko", "turns": []},
                    outputs=outputs(made, answer(text), turns=turns),
                )
            )
        if said:
            given[5] = case(
                5, case_id="case-5", outputs=outputs(error={"code": "internal", "message": said[0]})
            )
        return write(folder, name, given, command=" ".join(said).replace("\ud800", "") or None)

    return compare(run("baseline", 0.0, ()), run("shorter-prompt", 0.1, texts or ("나",)), METRICS)


def test_the_page_shows_figures_findings_and_both_answers(tmp_path: Path) -> None:
    page = parsed(html(comparison(tmp_path)))
    text = page.text_content()
    for said in (
        "baseline → shorter-prompt",
        "A answered by offline, B by offline",
        "▼ worse",
        "중복·누락 없는 정산",
        "internal: 나",
        "12,000",
    ):
        assert said in text
    rows = {row[0].text: row for row in page.xpath("//table[@class='sortable']/tbody/tr")}
    fell = float(rows["evidence_valid"][3].get("data-value"))
    assert fell == pytest.approx(-(0.5 + 10 * 0.1) / 11)
    assert {svg.find("title").text for svg in page.iterfind(".//svg")} == {
        "Differences with 95 % intervals",
        "Counts, time, tokens and money",
    }


def test_the_page_needs_nothing_but_itself(tmp_path: Path) -> None:
    page = html(comparison(tmp_path))
    document = parsed(page)
    assert not document.xpath("//@src | //link | //@style | //@onclick | //@*[starts-with(name(), 'on')]")
    assert all(link.startswith("#") for link in document.xpath("//@href"))
    assert "default-src 'none'" in document.xpath("//meta[@http-equiv]/@content")[0]
    assert not re.search(r"url\(|@import|https?:", page)


def test_the_page_can_be_used_with_the_keyboard(tmp_path: Path) -> None:
    page = parsed(html(comparison(tmp_path)))
    assert page.get("lang") == "en"
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in page.iterfind(".//svg"))
    for table in page.iterfind(".//table"):
        around = table.getparent()
        assert (around.get("tabindex"), bool(around.get("aria-label"))) == ("0", True)
    targets = {one.get("id") for one in page.iterfind(".//section")}
    assert {link.removeprefix("#") for link in page.xpath("//@href")} <= targets


def test_hostile_text_is_text_in_the_page(tmp_path: Path) -> None:
    plain, hostile = (tmp_path / "plain", tmp_path / "hostile")
    plain.mkdir()
    hostile.mkdir()
    expected = parsed(html(comparison(plain)))
    page = parsed(html(comparison(hostile, *HOSTILE)))
    kinds = {element.tag for element in page.iter() if isinstance(element.tag, str)}
    assert kinds == {element.tag for element in expected.iter() if isinstance(element.tag, str)}
    assert len(page.findall(".//script")) == 1
    text = page.text_content()
    for said in HOSTILE[:3]:
        assert said in text
    assert "⟨U+202E⟩elif⟨U+202C⟩" in text
    assert "널⟨U+0000⟩" in text


def test_hostile_text_cannot_break_the_markdown(tmp_path: Path) -> None:
    text = markdown(comparison(tmp_path, *HOSTILE))
    for span in re.findall(r"<code>(.*?)</code>", text, re.DOTALL):
        assert not re.search(r"[<>|`@\[\]*_:.#\n]", re.sub(r"&#\d+;", "", span)), span
    ours = re.sub(r"<code>.*?</code>", "", text, flags=re.DOTALL)
    assert set(re.findall(r"<[^>]*>", ours)) == {
        *("<details>", "</details>", "<summary>", "</summary>", "<br>")
    }
    assert not re.search(r"alert|example|everyone|거꾸로|제목", ours)
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert tables
    widths = {line.count("|") for line in tables}
    assert widths <= {4, 5, 7}
    assert text.count("<details>") == text.count("</details>")


def test_the_markdown_says_what_was_found(tmp_path: Path) -> None:
    text = markdown(comparison(tmp_path))
    assert re.search(
        r"evidence&#95;valid</code> 🛡 \| 0\.900 \| 0\.7\d\d \| −0\.1\d\d \| .* \| \*\*▼ worse\*\*", text
    )
    assert "▼ In an error now: <code>case-5</code>" in text
    assert "| Title | <code>가</code> | <code>나</code> |" in text


@pytest.mark.parametrize("limit", [LIMIT, 5_000, 1_500])
def test_the_markdown_is_as_short_as_a_comment_may_be(tmp_path: Path, limit: int) -> None:
    long = markdown(comparison(tmp_path, "아주 긴 글 | " * 3_000), limit)
    assert len(long.encode()) <= limit
    assert long.count("<details>") == long.count("</details>")
    assert "| Metric | A | B |" in long
    assert ("_The rest is in the HTML report._" in long) is (limit < LIMIT)


def test_a_long_text_is_cut_and_no_text_is_a_dash() -> None:
    assert literal("가" * 500, 3) == "<code>가가가…</code>"
    assert literal(" \n ") == "–"


def test_the_retrieval_suite_is_shown_as_rankings(tmp_path: Path) -> None:
    def run(name: str, score: float, company: str) -> Path:
        ranked = {
            "ranked": [{"job_title": "서버 개발자", "company": company, "grade": 3, "family": "백엔드"}]
        }
        given = [
            case(n, {"evidence_valid": score}, inputs={"query": "결제 서버"}, outputs=ranked)
            for n in range(6)
        ]
        return write(tmp_path, name, given, suite="retrieval")

    found = compare(run("a", 0.5, "가람정산"), run("b", 0.9, "나래커머스"), METRICS)
    text = parsed(html(found)).text_content()
    assert "서버 개발자 · 가람정산" in text
    assert "서버 개발자 · 나래커머스" in text
    assert "결제 서버" in markdown(found)


def test_answers_of_another_version_are_shown_as_they_are(tmp_path: Path) -> None:
    old = {"error": None, "answers": [{"recommendation": "쇼핑몰 만들기"}]}
    a = write(tmp_path, "a", [case(0, {"evidence_valid": 0.5}, outputs=old)])
    b = write(tmp_path, "b", [case(0, {"evidence_valid": 0.9})])
    found = compare(a, b, METRICS)
    assert '"recommendation": "쇼핑몰 만들기"' in html(found)
    assert "쇼핑몰" not in markdown(found)


@pytest.mark.parametrize(
    ("value", "unit", "shown", "difference"),
    [
        (0.12345, "share", "0.123", "+0.123"),
        (-0.0004, "share", "−0.000", "0.000"),
        (-12345.6, "tokens", "−12,346", "−12,346"),
        (0.0000456, "USD", "0.0000456", "+0.0000456"),
        (2.5, "s", "2.50", "+2.50"),
        (0.0, "s", "0", "0"),
        (None, "s", "–", "–"),
    ],
)
def test_figures_have_three_digits_and_differences_a_sign(
    value: float | None, unit: str, shown: str, difference: str
) -> None:
    assert figure(value, unit) == shown
    assert signed(value, unit) == difference

"""Retrieval on postings and profiles of one's own: shares by wanted category, and from other fields."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from evals.report.statistics import estimates
from evals.retrieval.search_suites import FILE_METRICS, NO_IT_JOB, search_files
from evals.runs.results import CaseResult
from ingest.load import load
from serve.context import AppContext
from tools.core.errors import InvalidRequestError
from tools.core.settings import Settings
from tools.services import Services, open_services

SERVERS = ("결제 서버", "주문 서버", "회원 서버", "정산 서버", "알림 서버", "검색 서버")
SHOPS = ("제과 매장", "꽃 매장", "신발 매장", "안경 매장")


@pytest.fixture
async def services(empty_settings: Settings) -> AsyncIterator[Services]:
    async with open_services(empty_settings) as opened:
        yield opened


@pytest.fixture
def postings(tmp_path: Path) -> list[Path]:
    """Six servers' postings in Korean, one in English, four shops'."""
    servers = [
        _posting(
            f"ko-{n}", f"{what} 백엔드 개발자", "백엔드", f"{what} API 개발과 운영", "Java와 Spring 경험"
        )
        for n, what in enumerate(SERVERS)
    ]
    english = _posting("en-1", "Backend Engineer", "backend", "Build server APIs 백엔드 서버", "Java, Spring")
    shops = [
        _posting(f"shop-{n}", f"{what} 점장", "wanted-group-510", f"{what} 진열과 판매 관리", "친절한 접객")
        for n, what in enumerate(SHOPS)
    ]
    return [
        _written(tmp_path / "ko.jsonl", *servers),
        _written(tmp_path / "rest.jsonl", english, *shops),
    ]


async def shares(services: Services, postings: list[Path], profiles: Path) -> dict[str, CaseResult]:
    await load(services, postings)
    return {result.case_id: result async for result in search_files(services, postings, [profiles])}


async def test_shares_follow_the_wanted_categories(
    services: Services, postings: list[Path], tmp_path: Path
) -> None:
    profiles = _written(
        tmp_path / "people.jsonl",
        {
            "id": "server",
            "desired_work": "백엔드 서버 개발",
            "skills_text": "Java를 쓸 줄 알아요",
            "target_categories": ["백엔드"],
            "kind": "not read",
        },
        {"desired_work": "매장에서 물건을 팔고 싶어요", "target_categories": [NO_IT_JOB]},
        {
            "id": "data",
            "desired_work": "데이터 분석",
            "experience": "",
            "target_categories": ["데이터", "AI/ML"],
        },
    )
    results = await shares(services, postings, profiles)

    # Eleven postings are fewer than twenty, so each ranking holds all of them, and chance has no say.
    assert _scores(results["server"]) == {
        "wanted@20": 7 / 20,
        "possible@20": 7 / 20,
        "other_fields@20": 4 / 20,
    }
    assert _scores(results["people-2"]) == {
        "wanted@20": 4 / 20,
        "possible@20": 4 / 20,
        "other_fields@20": None,
    }
    assert _scores(results["data"])["wanted@20"] == 0
    assert results["data"].family == "AI/ML · 데이터"
    assert results["server"].inputs["query"] == "백엔드 서버 개발\nJava를 쓸 줄 알아요"
    first = results["people-2"].outputs["ranked"][0]
    assert first["category"] == "wanted-group-510"
    summary = estimates(list(results.values()))
    assert set(summary) == set(FILE_METRICS)
    assert summary["other_fields@20"].n == 2


async def test_a_corpus_with_other_postings_is_refused(
    services: Services, postings: list[Path], tmp_path: Path
) -> None:
    profiles = _written(tmp_path / "p.jsonl", {"desired_work": "매장", "target_categories": [NO_IT_JOB]})
    await load(services, postings)
    with pytest.raises(InvalidRequestError, match=r"shop-\d of test, which is in none of the given files"):
        [result async for result in search_files(services, postings[:1], [profiles])]


@pytest.mark.parametrize(
    ("posting", "profile", "said"),
    [
        ({"category": None}, {}, r"ko\.jsonl, line 1: category: "),
        ({}, {"desired_work": " "}, r"p\.jsonl, line 1: desired_work: "),
        ({}, {"target_categories": []}, r"p\.jsonl, line 1: target_categories: "),
        ({}, {"id": "twice"}, r"p\.jsonl, line 2: id: twice stands twice"),
    ],
)
async def test_a_line_that_lacks_something_is_refused_with_its_place(
    app_context: AppContext, tmp_path: Path, posting: dict[str, Any], profile: dict[str, Any], said: str
) -> None:
    row = _posting("a", "서버 개발자", "백엔드", "서버 개발", "Java")
    path = _written(tmp_path / "ko.jsonl", row | posting)
    person = {"desired_work": "서버", "target_categories": ["백엔드"]} | profile
    profiles = _written(tmp_path / "p.jsonl", person, person)
    with pytest.raises(InvalidRequestError, match=said):
        [result async for result in search_files(app_context.services, [path], [profiles])]


def _posting(id_: str, title: str, category: str, work: str, must: str) -> dict[str, Any]:
    return {
        "id": id_,
        "company": f"{title} 회사",
        "job_title": title,
        "category": category,
        "responsibilities": work,
        "requirements": must,
        "preferred": "",
        "source": "test",
    }


def _written(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def _scores(result: CaseResult) -> dict[str, float | None]:
    return {score.key: score.score for score in result.scores}

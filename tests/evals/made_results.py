"""Results for tests: small ones, made to say what a test needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evals.evaluators.base import Metric
from evals.report.statistics import estimates
from evals.runs.results import CaseResult, Corpus, Dataset, Header, Score, Summary, writing

METRICS = {
    "evidence_valid": Metric("higher", "quotes that stand in their posting", guarded=True),
    "filler": Metric("lower", "tasks that say nothing", guarded=True, tolerance=0.05),
    "gaps_named": Metric("higher", "gaps with a reason"),
    "seconds_first": Metric("lower", "wall time of the first answer", unit="s", tolerance=0.5),
    "tokens_in": Metric("lower", "input tokens a generation", unit="tokens", tolerance=200),
}

Values = Mapping[str, Sequence[float | None]]
"""Scores of each metric, case by case."""


def answer(title: str = "중복 결제를 막는 정산 서버 만들기", **changes: Any) -> dict[str, Any]:
    """An answer as the service gives it; `changes` are to its project."""
    subject = {
        "id": "s-1",
        "title": title,
        "description": "같은 결제가 여러 번 들어와도 한 번만 정산되는 서버를 만든다.",
        "goal": "초당 500건에서 누락과 중복이 없음을 보인다.",
        "skills": ["Java", "Kafka"],
        "skill_gaps": [{"skill": "Kafka", "reason": "공고 13건 중 9건이 요구"}],
        "posting_ids": ["p-1"],
    }
    task = {
        "title": "멱등 키 설계",
        "description": "같은 키에 다른 본문이 오면 거절한다.",
        "skills": ["Java"],
        "deliverable": "API 명세",
    }
    project = {
        "subject_id": "s-1",
        "title": title,
        "description": subject["description"],
        "difficulty": "intermediate",
        "duration_weeks": 6,
        "skills": ["Java", "Kafka"],
        "summary": "장애를 일부러 일으켜 정합성을 증명한다.",
        "steps": [{"title": "멱등한 결제 API", "tasks": [task]}],
        "evidence": [
            {
                "posting_id": "p-1",
                "company": "가람정산",
                "job_title": "정산 백엔드 엔지니어",
                "quote": "중복·누락 없는 정산 파이프라인 설계 경험",
            }
        ],
    }
    posting = {
        "posting_id": "p-1",
        "source": "samples",
        "source_id": "1",
        "company": "가람정산",
        "job_title": "정산 백엔드 엔지니어",
        "score": 0.61,
        "kept": True,
        "reason": "서버 직무",
    }
    return {
        "session_id": "0",
        "project": project | changes,
        "candidates": [subject],
        "missing": 0,
        "summary": {},
        "postings": [posting, posting | {"posting_id": "p-2", "job_title": "화면 개발자", "kept": False}],
        "closest_only": False,
        "versions": {},
    }


def outputs(*answers: dict[str, Any], error: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    """Outputs of the target for a case."""
    given = [] if error else list(answers or [answer()])
    return {"error": error, "answers": given, "turns": [], "seconds": [1.0], "variant": "split"} | more


def case(number: int = 0, values: Mapping[str, float | None] | None = None, **changes: Any) -> CaseResult:
    """A case; its family follows from its number."""
    given = {
        "case_id": f"case-{number:03}",
        "family": ("백엔드", "프론트엔드", None)[number % 3],
        "language": "ko",
        "inputs": {"profile": {"desired_job": "백엔드 개발자"}, "language": "ko", "turns": []},
        "outputs": outputs(),
        "scores": [Score(key=key, score=score) for key, score in (values or {}).items()],
    }
    return CaseResult(**(given | changes))


def cases(values: Values) -> list[CaseResult]:
    """One case for each place in the lists of `values`."""
    count = len(next(iter(values.values())))
    return [case(number, {key: scores[number] for key, scores in values.items()}) for number in range(count)]


def header(name: str = "run", count: int = 1, **changes: Any) -> Header:
    """The header of a run of `count` cases."""
    given = {
        "name": name,
        "suite": "profiles",
        "created_at": datetime(2027, 3, 1, tzinfo=UTC),
        "commit": "c0ffee",
        "models": {"chat": "offline"},
        "prompts": {"filter_jobs": {"ko": "1111"}},
        "corpus": Corpus(version="k1", postings=300, files=["postings.jsonl"]),
        "dataset": Dataset(name="profiles", version="d1", cases=count),
    }
    return Header(**(given | changes))


def write(folder: Path, name: str, given: Sequence[CaseResult], **changes: Any) -> Path:
    """Writes a whole result file. Its path."""
    path = folder / f"{name}.jsonl"
    with writing(path, header(name, len(given), **changes)) as writer:
        for one in given:
            writer.write(one)
        writer.write(Summary(metrics=estimates(given), seconds=12.5))
    return path

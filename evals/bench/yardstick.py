"""The work that the comparators do: what a generation is at the least, in an unchanging form.

One embedding, one search over the loaded postings, four structured chats whose answers have about 1 kB, one
durable session. The schemas and answers are the yardstick's own, so that it does not move when the service's
nodes do.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

FOUND = 20
"""Postings that are searched for."""
CITED = 3
"""Postings in the last prompt."""
EXCERPT = 400
"""Characters of a posting's text in a prompt."""

SEARCH = (
    "select 'p-' || p.id as posting_id, p.company, p.job_title, p.responsibilities, p.requirements,"
    " p.preferred, 1 - (e.embedding <=> %(vector)s) as score"
    " from postings as p join embeddings as e on e.text_hash = p.text_hash"
    " order by e.embedding <=> %(vector)s limit %(k)s"
)

SYSTEM = (
    "You help a developer to find a portfolio project. You are given a profile and job postings as data. "
    "Answer in Korean, as JSON of the schema, and name postings by their ids."
)
TASKS = {
    "YardstickVerdicts": "Say of each posting whether it is for the desired job.",
    "YardstickSummary": "Say what the postings ask for.",
    "YardstickSubjects": "Propose four subjects.",
    "YardstickPlan": "Turn the first subject into steps and tasks.",
}


class Verdict(BaseModel):
    """Whether a posting fits."""

    posting_id: str
    fits: bool
    reason: str


class YardstickVerdicts(BaseModel):
    """A verdict a posting."""

    verdicts: list[Verdict]


class Asked(BaseModel):
    """One thing that is asked for."""

    text: str
    posting_ids: list[str]


class YardstickSummary(BaseModel):
    """What postings ask for."""

    responsibilities: list[Asked]
    skills: list[Asked]


class Subject(BaseModel):
    """A subject."""

    title: str
    description: str
    skills: list[str]


class YardstickSubjects(BaseModel):
    """Four subjects."""

    subjects: list[Subject]


class Task(BaseModel):
    """A task."""

    title: str
    description: str
    deliverable: str


class Step(BaseModel):
    """A step."""

    title: str
    tasks: list[Task]


class YardstickPlan(BaseModel):
    """A project."""

    title: str
    summary: str
    steps: list[Step]


SCHEMAS: dict[str, type[BaseModel]] = {
    schema.__name__: schema
    for schema in (YardstickVerdicts, YardstickSummary, YardstickSubjects, YardstickPlan)
}

_IDS = [f"p-{number}" for number in range(1, FOUND + 1)]
ANSWERS: dict[str, dict[str, Any]] = {
    "YardstickVerdicts": {
        "verdicts": [{"posting_id": name, "fits": True, "reason": "서버 개발 공고"} for name in _IDS]
    },
    "YardstickSummary": {
        "responsibilities": [
            {"text": f"주문과 결제 API 개발 {n}", "posting_ids": _IDS[n : n + 5]} for n in range(8)
        ],
        "skills": [{"text": name, "posting_ids": _IDS[:5]} for name in ("Java", "Spring", "MySQL", "Kafka")],
    },
    "YardstickSubjects": {
        "subjects": [
            {
                "title": f"재고 선점과 만료를 다루는 주문 서버 {n}",
                "description": "재고를 선점하고 시간이 지나면 되돌린다. 부하를 주고 중복을 센다.",
                "skills": ["Java", "Spring Boot", "Redis", "Kafka"],
            }
            for n in range(4)
        ]
    },
    "YardstickPlan": {
        "title": "재고 선점과 만료를 다루는 주문 서버",
        "summary": "공고 12건이 동시성을 묻고, 지원자는 트랜잭션을 다뤄 보았다.",
        "steps": [
            {
                "title": f"{n}단계",
                "tasks": [
                    {
                        "title": "선점 API",
                        "description": "동시에 온 요청 가운데 하나만 성공하게 한다.",
                        "deliverable": "부하 시험 보고서",
                    }
                ]
                * 2,
            }
            for n in range(1, 4)
        ],
    },
}
"""About 1 kB each."""


def lines(postings: list[dict[str, Any]]) -> str:
    """Returns postings as lines of a prompt."""
    return "\n".join(
        f"{row['posting_id']} {row['company']} {row['job_title']}: "
        + " ".join(row[name][:EXCERPT] for name in ("responsibilities", "requirements", "preferred"))
        for row in postings
    )

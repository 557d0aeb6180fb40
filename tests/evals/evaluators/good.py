"""A case that was answered well, in the evaluators' terms: every share is 1. Tests break one thing of it."""

from __future__ import annotations

import copy
from typing import Any

from tests.evals.evaluators.person import POSTINGS

Json = dict[str, Any]


def _task(title: str, description: str, skills: list[str], deliverable: str) -> Json:
    return {"title": title, "description": description, "skills": skills, "deliverable": deliverable}


def _quote(posting_id: str, quote: str, claim: str) -> Json:
    return {
        "posting_id": posting_id,
        "company": f"회사 {posting_id}",
        "job_title": POSTINGS[posting_id]["job_title"],
        "quote": quote,
        "claim": claim,
    }


def _subject(number: int, title: str, description: str, goal: str, *, gap: str, ids: list[str]) -> Json:
    asked = sum(gap in posting["skills"] for posting in POSTINGS.values())
    return {
        "id": f"sub-{number}",
        "title": title,
        "description": description,
        "goal": goal,
        "skills": ["Java", "Spring Boot", gap],
        "skill_gaps": [
            {"skill": gap, "reason": f"지금까지의 프로젝트에 없는데 공고 3건 중 {asked}건이 찾음"}
        ],
        "posting_ids": ids,
        "wishes": list(WISHES) if gap == "Redis" else [],
        "strengths": ["Java"],
        "not_covered": [],
    }


WISHES = ["Redis를 제대로 써 보고 싶다"]
LEFT = {
    "name": "클라우드 배포까지 해 보고 싶다",
    "reason": "정산이 맞는지 보이는 일이 먼저라 배포는 다음으로 미룬다.",
}
SUMMARY: Json = {
    "responsibilities": [
        {"text": "정산과 주문 서버의 설계와 운영", "count": 2, "posting_ids": ["p-1", "p-2"]}
    ],
    "qualifications": [
        {"text": "중복 없는 정산과 멱등성의 설계 경험", "count": 2, "posting_ids": ["p-1", "p-2"]}
    ],
    "preferred": [{"text": "장애와 부하를 다뤄 본 경험", "count": 2, "posting_ids": ["p-1", "p-3"]}],
    "skills": [
        {"text": "Kafka", "count": 3, "posting_ids": ["p-1", "p-2", "p-3"]},
        {"text": "Redis", "count": 2, "posting_ids": ["p-2", "p-3"]},
        {"text": "Java", "count": 2, "posting_ids": ["p-1", "p-2"]},
        {"text": "MySQL", "count": 2, "posting_ids": ["p-1", "p-3"]},
    ],
    "domains": [{"text": "판매자 정산", "count": 1, "posting_ids": ["p-1"]}],
}

PROJECT: Json = {
    "subject_id": "sub-0",
    "title": "두 번 눌러도 한 번만 정산되는 서버",
    "description": "같은 정산 요청이 되풀이되거나 서버가 죽어도 한 번만 반영되는 서버를 만들어 증명한다.",
    "difficulty": "intermediate",
    "duration_weeks": 4,
    "skills": ["Java", "Spring Boot", "MySQL", "Kafka", "Redis"],
    "summary": "공고 3건 중 3건이 Kafka를 찾는데 ‘동네 공구 대여장’에는 그런 경험이 드러나지 않는다.",
    "steps": [
        {
            "title": "정산의 상태와 기준 정하기",
            "weeks": 1.25,
            "tasks": [
                _task(
                    "정산 상태 그림 그리기",
                    "정산 요청이 거치는 상태와 막아야 할 이동 세 가지를 그린다.",
                    ["Java"],
                    "상태 전이 그림",
                ),
                _task(
                    "되풀이하는 부하 준비하기",
                    "같은 요청을 초당 200건까지 보내는 스크립트를 만든다.",
                    ["Java"],
                    "부하 스크립트와 첫 측정값",
                ),
            ],
        },
        {
            "title": "한 번만 반영하기",
            "weeks": 1.5,
            "tasks": [
                _task(
                    "멱등 키를 잠금과 함께 두기",
                    "Redis 잠금과 멱등 키로 100개의 동시 요청에서 한 건만 저장되게 한다.",
                    ["Redis", "MySQL"],
                    "통과하는 동시 요청 검사",
                ),
                _task(
                    "저장과 발행을 묶기",
                    "정산 저장과 Kafka 발행을 한 트랜잭션에 묶어 발행기가 죽어도 잃지 않게 한다.",
                    ["Kafka", "MySQL"],
                    "발행 대기 표와 발행기",
                ),
            ],
        },
        {
            "title": "망가뜨리고 포트폴리오로 묶기",
            "weeks": 1.25,
            "tasks": [
                _task(
                    "소비자 죽이기",
                    "초당 200건의 부하에서 소비자를 5번 죽이고 보낸 수와 반영된 정산을 대조한다.",
                    ["Kafka"],
                    "재현 스크립트와 대조표",
                )
                | {
                    "fault": {
                        "what": "부하가 걸린 동안 소비자가 죽는다",
                        "signal": "보낸 수와 반영된 정산의 차이",
                        "remedy": "발행 대기 표에 남은 것을 다시 보낸다",
                    }
                },
                _task(
                    "두 쪽 보고서 쓰기",
                    "첫 측정값과 마지막 측정값을 그래프로 견주고 실패한 시도 하나를 함께 싣는다.",
                    ["Java"],
                    "저장소 첫 화면의 보고서",
                ),
            ],
        },
    ],
    "evidence": [
        _quote("p-1", "판매자 정산 파이프라인 설계와 운영", "정산 서버"),
        _quote("p-2", "멱등성을 고려한 API 설계", "멱등 키"),
        _quote("p-1", "Kafka 소비자 장애를 다뤄 본 경험", "소비자 죽이기"),
        _quote("p-2", "Redis 잠금을 써 본 경험", "동시 요청의 잠금"),
    ],
    "goal": "초당 200건과 소비자 장애 5번에서 중복 0건과 누락 0건을 보인다.",
    "hours_per_week": 15,
    "minimum_version": {"after_step": 2, "shows": "동시 요청 100개에서 한 건만 저장하는 서버"},
    "data": [{"name": "되풀이되는 정산 요청 2만 건", "origin": "부하 스크립트가 씨앗을 정해 만든다"}],
    "costs": "노트북의 컨테이너로 돌려 들지 않고, 끝나면 지운다.",
    "wishes": list(WISHES),
    "not_covered": [LEFT],
}
FIRST_CANDIDATES = [
    _subject(
        1,
        "예약 조회를 열 배 빠르게",
        "느린 예약 목록의 실행 계획을 고치고 캐시를 붙여 낡은 값이 보이는 시간을 잰다.",
        "예약 10만 건의 조회를 50ms 안에 끝낸다.",
        gap="Redis",
        ids=["p-3"],
    ),
    _subject(
        2,
        "멈추지 않는 배포와 되돌리기 훈련",
        "요청이 들어오는 동안 새 버전을 조금씩 내보내고 오류율이 오르면 이전 버전으로 돌아간다.",
        "배포 열 번 동안 실패한 요청 0건을 기록으로 보인다.",
        gap="Kafka",
        ids=["p-1", "p-2"],
    ),
    _subject(
        3,
        "판매자 변경 이력의 과거 시점 복원",
        "값을 덮어쓰지 않고 사건으로 쌓아 어느 날의 계약 조건이든 다시 꺼내는 저장소를 만든다.",
        "변경 1만 건에서 임의의 시점을 500ms 안에 복원한다.",
        gap="Kafka",
        ids=["p-2"],
    ),
]
LATER_CANDIDATES = [
    _subject(
        4,
        "재고 창고의 위치 기록 압축",
        "센서가 보내는 좌표를 압축하고 오래된 구간을 요약해 보관 비용을 줄인다.",
        "보관 용량을 5분의 1로 줄이고 오차를 1m 아래로 지킨다.",
        gap="Kafka",
        ids=["p-1"],
    ),
    _subject(
        5,
        "사람이 몰리는 날의 대기열",
        "선착순 신청에 줄을 세우고 새치기와 이탈을 다루며 기다리는 시간을 알려 준다.",
        "동시 신청 3,000건에서 순서가 뒤바뀐 사람 0명을 보인다.",
        gap="Redis",
        ids=["p-3"],
    ),
    _subject(
        6,
        "누가 무엇을 봤는지 남기는 열람 기록",
        "역할마다 볼 수 있는 문서를 나누고 모든 열람을 고칠 수 없는 장부에 적는다.",
        "권한을 우회하는 시도 20가지를 모두 막는다.",
        gap="Kafka",
        ids=["p-1", "p-2"],
    ),
]
LATER_PROJECT: Json = {
    **copy.deepcopy(PROJECT),
    "subject_id": "sub-1",
    "title": FIRST_CANDIDATES[0]["title"],
    "description": FIRST_CANDIDATES[0]["description"],
    "difficulty": "beginner",
    "duration_weeks": 2,
    "skills": ["Java", "Spring Boot", "MySQL", "Redis"],
    "summary": "공고 3건 중 2건이 Redis를 찾는데 ‘동네 공구 대여장’에는 그런 경험이 드러나지 않는다.",
    "steps": [
        {
            "title": "느린 예약 조회의 기준 재기",
            "weeks": 0.5,
            "tasks": [
                _task(
                    "예약 10만 건 만들기",
                    "예약 10만 건을 넣고 목록 조회의 시간을 세 번씩 잰다.",
                    ["MySQL"],
                    "데이터와 첫 측정표",
                ),
            ],
        },
        {
            "title": "실행 계획과 캐시 고치기",
            "weeks": 0.75,
            "tasks": [
                _task(
                    "인덱스로 조회 줄이기",
                    "실행 계획을 읽고 인덱스 두 개를 바꿔 캐시 없이 얼마나 빨라지는지 잰다.",
                    ["MySQL"],
                    "전후 실행 계획 비교표",
                ),
                _task(
                    "캐시와 무효화 붙이기",
                    "Redis에 목록을 담고 예약이 바뀐 뒤 낡은 값이 보이는 시간을 잰다.",
                    ["Redis"],
                    "적중률과 낡은 값의 그래프",
                ),
            ],
        },
        {
            "title": "캐시를 끄고 결과 정리하기",
            "weeks": 0.75,
            "tasks": [
                _task(
                    "캐시 없이 버티기",
                    "캐시를 끈 채 부하를 걸어 50ms를 넘길 뿐 틀리지 않는지 확인하고 다섯 번 되풀이한다.",
                    ["Redis", "MySQL"],
                    "캐시 없는 측정 기록",
                ),
            ],
        },
    ],
    "evidence": [
        _quote("p-3", "예약 화면과 서버의 개발", "예약 조회"),
        _quote("p-3", "부하 시험으로 한계를 재 본 경험", "부하를 걸어 재기"),
        _quote("p-2", "Redis 잠금을 써 본 경험", "캐시와 무효화"),
    ],
    "goal": "예약 10만 건의 조회를 50ms 안에 끝낸다.",
    "minimum_version": {"after_step": 2, "shows": "인덱스만으로 빨라진 예약 조회의 비교표"},
    "data": [{"name": "예약 10만 건", "origin": "날짜와 지점을 고르게 나눠 스크립트로 만든다"}],
    "not_covered": [LEFT, {"name": "Kafka", "reason": "빼 달라고 했고, 조회에는 쓸 곳이 없다."}],
}


def _answer(project: Json, candidates: list[Json]) -> Json:
    return {
        "session_id": "s",
        "project": project,
        "candidates": candidates,
        "missing": 0,
        "summary": SUMMARY,
        "postings": [
            {
                "posting_id": i,
                "source": "samples",
                "source_id": i,
                "company": f"회사 {i}",
                "job_title": POSTINGS[i]["job_title"],
                "score": 0.5,
                "kept": i != "p-4",
                "reason": "서버를 만드는 직무" if i != "p-4" else "화면 개발 직무",
            }
            for i in POSTINGS
        ],
        "closest_only": False,
        "left_out": {},
        "warnings": [],
        "versions": {"offline": True},
    }


def _call(turn: int, purpose: str, tokens_in: int, tokens_out: int) -> Json:
    return {
        "turn": turn,
        "purpose": purpose,
        "model": "m",
        "question": f"{turn} {purpose}",
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "usd": 0.002,
        "seconds": 0.1,
        "replayed": False,
    }


_OUTPUTS: Json = {
    "error": None,
    "answers": [_answer(PROJECT, FIRST_CANDIDATES), _answer(LATER_PROJECT, LATER_CANDIDATES)],
    "turns": [
        {
            "wishes": {
                "difficulty": "beginner",
                "weeks": 3,
                "skills": ["Redis"],
                "feedback": "더 짧게, Kafka는 빼고 조회 성능 쪽으로 해 주세요",
                "subject_id": "sub-1",
            },
            "error": None,
        }
    ],
    "postings": POSTINGS,
    "calls": [
        _call(0, "filter_jobs", 900, 100),
        _call(0, "generate_tasks", 1100, 900),
        _call(1, "generate_tasks", 1000, 800),
    ],
    "seconds": [3.0, 1.5],
    "variant": "split",
}


def outputs() -> Json:
    """The case's outputs, to be changed freely."""
    return copy.deepcopy(_OUTPUTS)

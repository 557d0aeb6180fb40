"""The person of the good case, what is expected of an answer to them, and the postings there are."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

INPUTS: Json = {
    "language": "ko",
    "profile": {
        "desired_job": "백엔드 개발자",
        "career_stage": "job_seeker",
        "skills": ["Java", "Spring Boot", "MySQL"],
        "wishes": ["Redis를 제대로 써 보고 싶다", "클라우드 배포까지 해 보고 싶다"],
        "hours_per_week": 15,
        "projects": [
            {
                "title": "동네 공구 대여장",
                "description": "공구 대여와 반납",
                "skills": ["Spring Boot", "MySQL"],
            }
        ],
    },
}
EXPECT: Json = {
    "family": "backend",
    "fits": ["backend", "fullstack"],
    "language": "ko",
    "canaries": ["노란오리작전"],
    "difficulty": "intermediate",
    "known_skills": ["Java", "Spring Boot", "MySQL", "Git"],
}


def _posting(
    posting_id: str, family: str, job_title: str, skills: list[str], *lines: str, hostile: bool = False
) -> Json:
    return {
        "posting_id": posting_id,
        "company": f"회사 {posting_id}",
        "job_title": job_title,
        "responsibilities": lines[0],
        "requirements": lines[1],
        "preferred": lines[2],
        "skills": skills,
        "family": family,
        "hostile": hostile,
    }


POSTINGS: dict[str, Json] = {
    row["posting_id"]: row
    for row in (
        _posting(
            "p-1",
            "backend",
            "정산 백엔드 엔지니어",
            ["Java", "Kafka", "MySQL"],
            "판매자 정산 파이프라인\n설계와 운영",
            "중복·누락 없는 정산을 만들어 본 경험",
            "Kafka 소비자 장애를 다뤄 본 경험",
        ),
        _posting(
            "p-2",
            "backend",
            "주문 서버 개발자",
            ["Java", "Kafka", "Redis"],
            "주문 API와 재고 차감의 설계",
            "멱등성을 고려한 API 설계",
            "Redis 잠금을 써 본 경험",
        ),
        _posting(
            "p-3",
            "fullstack",
            "예약 서비스 개발자",
            ["Spring Boot", "MySQL", "Redis", "Kafka"],
            "예약 화면과 서버의 개발",
            "트랜잭션 격리 수준에 대한 이해",
            "부하 시험으로 한계를 재 본 경험",
        ),
        _posting(
            "p-4",
            "frontend",
            "웹 프론트엔드 개발자",
            ["React", "TypeScript"],
            "상품 화면의 속도 개선",
            "React 렌더링에 대한 이해",
            "접근성 점검 경험",
            hostile=True,
        ),
    )
}

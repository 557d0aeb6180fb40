"""Which family of jobs a posting is for, by its title and its work."""

from __future__ import annotations

import pytest

from tools.lexicon.families import FAMILIES, family_of, fits, read_posting

TOOLS_OF_EVERY_TEAM = "Docker와 Kubernetes로 배포하고 AWS, Terraform, Grafana 모니터링을 씁니다. CI/CD 경험"
SERVER_WORK = "Spring Boot로 REST API를 만들고 MySQL과 Redis를 다룹니다. 주문 서버의 트래픽을 견디게 합니다."
PAINTING = "Unity, Python, C#을 아는 분과 캐릭터의 재질을 다듬습니다."


def fit(title: str, body: str, wanted: str) -> bool:
    reading = read_posting(title, body)
    families = (FAMILIES[wanted],)
    return fits(family_of(title, reading, families), reading, families)


@pytest.mark.parametrize(
    ("title", "body", "wanted", "expected"),
    [
        ("DevOps 엔지니어", TOOLS_OF_EVERY_TEAM, "devops", True),
        ("Site Reliability Engineer", TOOLS_OF_EVERY_TEAM, "devops", True),
        ("소프트웨어 엔지니어", TOOLS_OF_EVERY_TEAM, "devops", False),
        ("Senior Software Engineer", f"{SERVER_WORK} {TOOLS_OF_EVERY_TEAM}", "devops", False),
        ("Senior Software Engineer", f"{SERVER_WORK} {TOOLS_OF_EVERY_TEAM}", "backend", True),
        ("백엔드 개발자", SERVER_WORK, "backend", True),
        ("소프트웨어 엔지니어", SERVER_WORK, "backend", True),
        ("백엔드 개발자", SERVER_WORK, "frontend", False),
        ("Technical Artist", PAINTING, "game", False),
        ("유니티 개발자", PAINTING, "game", True),
    ],
)
def test_a_posting_is_for_whoever_its_title_or_its_own_work_names(
    title: str, body: str, wanted: str, expected: bool
) -> None:
    assert fit(title, body, wanted) is expected

"""The skill dictionary."""

import pytest

from tools.lexicon import KIND_OF, canonical, find_skills, skills_of_kind


@pytest.mark.parametrize(
    ("text", "skills"),
    [
        ("React와 k8s 경험", ["React", "Kubernetes"]),
        ("JavaScript만 씁니다", ["JavaScript"]),
        ("Java17, Vue3을 이용", ["Java", "Vue.js"]),
        ("C/C++, C#과 .NET Core, CI/CD", ["C", "C++", "C#", ".NET", "CI/CD"]),
        ("Node.js(Express), Go 언어", ["Node.js", "Express", "Go"]),
        ("자바스크립트와 자바를 도커로", ["JavaScript", "Java", "Docker"]),
        ("spring-boot SpringBoot 스프링부트를", ["Spring Boot"]),
        ("R&D 센터, 비타민 C 함유, go to market, swift delivery", []),
        ("도커페이스", []),
        ("", []),
    ],
)
def test_finds_skills(text: str, skills: list[str]) -> None:
    assert find_skills(text) == skills


def test_dictionary_is_large_and_consistent() -> None:
    assert len(KIND_OF) >= 350
    assert "Kafka" in skills_of_kind("message")
    assert [name for name in KIND_OF if canonical(name) != name] == []
    assert canonical("k8s") == "Kubernetes"
    assert canonical(" 처음 보는 기술 ") == "처음 보는 기술"

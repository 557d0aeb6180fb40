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
        # A letter on a line of its own is an item of a list of skills.
        ("C", ["C"]),
        ("Embedded Linux\nC\nRTOS", ["Embedded Linux", "C", "RTOS"]),
        ("vitamin C", []),
    ],
)
def test_finds_skills(text: str, skills: list[str]) -> None:
    assert find_skills(text) == skills


@pytest.mark.parametrize(
    "text",
    [
        "We can go far when you can react quickly",
        "YOU CAN DO IT, and what I did CAN be seen",
        "You excel at design; adjust prices in spring, with slack left to rest",
        "Go through logs, control the arm, and soar",
        "React quickly to incidents. Go-To-Market plans. Unity is strength",
    ],
)
def test_everyday_words_are_no_skills(text: str) -> None:
    assert find_skills(text) == []


@pytest.mark.parametrize(
    ("text", "skills"),
    [
        ("protocols such as I2C, SPI, CAN, or Serial", ["I2C", "SPI 통신", "CAN"]),
        ("CAN 통신과 CAN 드라이버, Arm Core", ["CAN", "ARM"]),
        ("Write CAN drivers, talk over CAN and LIN", ["CAN"]),
        ("Experience with Go. Services in Swift and Kotlin", ["Go", "Swift", "Kotlin"]),
        ("Go and TypeScript, react, Vue", ["Go", "TypeScript", "React", "Vue.js"]),
        ("Build React components; Excel 활용, react로 화면 개발", ["React", "Excel"]),
        ("Unity Client Developer", ["Unity"]),
        ("excel", ["Excel"]),
        ("our services run on Spring and Snowflake semantic views", ["Spring", "Snowflake"]),
    ],
)
def test_the_same_words_are_skills_among_skills(text: str, skills: list[str]) -> None:
    assert find_skills(text) == skills


def test_dictionary_is_large_and_consistent() -> None:
    assert len(KIND_OF) >= 350
    assert "Kafka" in skills_of_kind("message")
    assert [name for name in KIND_OF if canonical(name) != name] == []
    assert canonical("k8s") == "Kubernetes"
    assert canonical(" 처음 보는 기술 ") == "처음 보는 기술"

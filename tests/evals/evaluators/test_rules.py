"""The rules under the evaluators: similarity, filler, feedback, language, stability, bounds."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.evaluators import ALL, METRICS
from evals.evaluators.base import asks_for, known_skills, names_as_left, works_with
from evals.evaluators.evidence import claims_in
from evals.evaluators.filler import is_filler, names_a_thing
from evals.evaluators.form import hangul_share
from evals.evaluators.regeneration import Feedback, parse_feedback, topic
from evals.evaluators.similarity import SAME, similarity, text_similarity
from evals.evaluators.subjects import jaccard, stability
from tests.evals.evaluators.good import outputs
from tests.evals.evaluators.person import EXPECT, INPUTS

PAIRS: list[dict[str, Any]] = [
    json.loads(line)
    for line in (files("evals.datasets") / "subject_pairs.jsonl").read_text(encoding="utf-8").splitlines()
]


def test_similarity_tells_the_labelled_pairs_apart_as_well_as_its_docstring_says() -> None:
    called = [similarity(pair["one"], pair["other"]) >= SAME for pair in PAIRS]
    same = [pair["same"] for pair in PAIRS]
    right = sum(c and s for c, s in zip(called, same, strict=True))
    assert (len(PAIRS), sum(same)) == (53, 24)
    assert round(right / sum(called), 2) == 0.96
    assert right / sum(same) == 1.0


def test_a_variation_behind_a_dash_is_no_new_subject() -> None:
    plain = {"title": "끊겨도 이어지는 메모 앱", "description": "연결이 없을 때 적은 메모를 나중에 맞춘다."}
    varied = {**plain, "title": "끊겨도 이어지는 메모 앱 — 예산을 절반으로 줄여"}
    assert similarity(plain, varied) == pytest.approx(1.0)


TEXTS = st.text(alphabet="가나다 서버를 만든다abc Kafka.,0", max_size=40)


@settings(max_examples=40)
@given(TEXTS, TEXTS)
def test_similarity_is_a_symmetric_share(one: str, other: str) -> None:
    value = text_similarity(one, other)
    assert 0 <= value <= 1
    assert value == pytest.approx(text_similarity(other, one))


FILLER = [
    "관련 기술 조사",
    "코드 작성",
    "테스트",
    "통합 테스트 진행",
    "환경 설정",
    "API 개발",
    "프로젝트 마무리",
    "요구사항 분석하기",
    "Research the technology",
    "Write code",
    "Testing",
    "Set up the environment",
    "Implement the backend.",
    "API design",
]


WORK = [
    "동시 요청에서 한 건만 저장하기",
    "API 명세와 상태 전이 그림",
    "테스트 데이터 10만 건 만들기",
    "Kafka 소비자 죽이기",
    "Test a hundred identical requests",
    "Write the API of refunds",
    "Measure the first screen on a slow phone",
]


def test_filler_is_told_from_work() -> None:
    assert [text for text in FILLER if not is_filler(text)] == []
    assert [text for text in WORK if is_filler(text)] == []


def test_a_deliverable_names_a_thing() -> None:
    assert [
        text for text in ("", "코드", "최종 결과물", "Working code", "tbd", "-") if names_a_thing(text)
    ] == []
    assert all(map(names_a_thing, ("통과하는 통합 시험", "3분 영상", "Load script", "API 명세")))


FEEDBACK = [
    ("더 짧게 해 주세요", Feedback(stretch=-1)),
    ("Something shorter and easier, please", Feedback(stretch=-1, shift=-1)),
    ("너무 쉬워요. 더 길게 하고 싶어요", Feedback(stretch=1, shift=1)),
    ("3주 안에 끝나면 좋겠어요", Feedback(weeks=3, at_most=True)),
    ("make it 5 weeks", Feedback(weeks=5)),
    ("Docker 빼고 해 주세요", Feedback(without=frozenset({"docker"}))),
    ("Kafka, Redis는 쓰지 말고 다른 걸로", Feedback(without=frozenset({"kafka", "redis"}))),
    (
        "Kafka 대신 Redis로 해 주세요",
        Feedback(without=frozenset({"kafka"}), with_=frozenset({"redis"})),
    ),
    ("without Docker and Kubernetes", Feedback(without=frozenset({"docker", "kubernetes"}))),
    ("I want to build it with Go", Feedback(with_=frozenset({"go"}))),
    ("TypeScript를 써 보고 싶어요", Feedback(with_=frozenset({"typescript"}))),
    ("Docker는 빼지 말아 주세요", Feedback()),
    ("좀 더 재미있는 걸로요", Feedback()),
    ("", Feedback()),
]


def test_feedback_is_read_where_it_is_clear() -> None:
    assert {text: parse_feedback(text) for text, _ in FEEDBACK} == dict(FEEDBACK)


TOPICS = [
    ("게임 쪽으로 바꿔 주세요", {"게임"}),
    ("전력 소모를 재서 숫자로 보이는 주제를 원합니다.", {"전력", "소모", "숫자"}),
    ("쇼핑몰은 빼고 물류로 해 주세요", {"물류"}),
    ("Something with maps, please", {"map"}),
    ("Flakiness is my enemy; build on that.", {"flakines", "enemy"}),
    ("더 쉽게, 더 짧게 해 주세요", set()),
    ("Make it shorter and easier", set()),
    ("Kafka로 해 주세요", set()),
]


def test_what_a_feedback_is_about_is_read_without_how_it_should_be() -> None:
    assert {text: topic(text) for text, _ in TOPICS} == dict(TOPICS)


CLAIMS = [
    ("공고 13건 중 9건이 Kafka를 찾는다.", [(9, 13)]),
    ("13개 공고 중 9개가 Kafka를 요구한다.", [(9, 13)]),
    ("공고 13건 중 Kafka는 9건이 찾는다.", [(9, 13)]),
    ("Kafka를 찾는 공고가 많다(공고 9건). 100건의 요청을 보낸다.", [(9, None)]),
    ("9건의 공고가 Kafka를 찾는다.", [(9, None)]),
    ("9 of 13 postings ask for Kafka.", [(9, 13)]),
    ("Of the 13 postings, 9 ask for Kafka.", [(9, 13)]),
    ("Kafka is in 9 postings.", [(9, None)]),
    ("요청 200건 중 3건이 실패한다.", []),
    ("공고는 ‘13건 중 9건’이라고 적는다.", []),
    ("The profile names none of it.", []),
]


def test_numbers_of_postings_are_read_and_no_others() -> None:
    read = {text: [(claim.number, claim.total) for claim in claims_in(text)] for text, _ in CLAIMS}
    assert read == dict(CLAIMS)


def test_a_short_name_does_not_stand_in_a_longer_word() -> None:
    posting = {"job_title": "백엔드", "requirements": "MongoDB와 Java를 쓰는 서버 개발", "skills": []}
    assert [asks_for(posting, skill) for skill in ("MongoDB", "Java", "Go", "R")] == [
        True,
        True,
        False,
        False,
    ]
    assert asks_for(posting, "서버 개발")


def test_whoever_has_a_framework_has_its_language() -> None:
    jobs = [{"role": "개발자", "description": "Kafka로 보내던 알림을 맡았습니다."}]
    profile = {"skills": ["React"], "projects": [{"skills": ["Spring Boot"]}], "experiences": jobs}
    assert known_skills({"profile": profile}, {}) == {"react", "javascript", "spring boot", "spring", "kafka"}


def test_what_is_left_may_be_named_in_part() -> None:
    project = {"not_covered": [{"name": "k8s", "reason": "-"}, {"name": "배포 자동화", "reason": "-"}]}
    assert [names_as_left(project, name) for name in ("Kubernetes", "배포 자동화까지 해 보기", "Docker")] == [
        True,
        True,
        False,
    ]
    assert not names_as_left({}, "Docker")


def test_a_skill_is_used_wherever_the_work_names_it() -> None:
    project = outputs()["answers"][0]["project"]
    project["data"][0]["origin"] = "Terraform으로 세운 서버가 만든다"
    assert [works_with(project, skill) for skill in ("Terraform", "Kafka", "AWS")] == [True, True, False]


@pytest.mark.parametrize(
    ("text", "korean"),
    [
        ("Kafka와 Redis로 Spring Boot 서버 만들기", True),
        ("Build the order server and measure “멱등성을 고려한 API 설계”", False),
        ("A settlement server that pays once", False),
        ("서버를 만든다 (see the Spring Boot docs)", True),
    ],
)
def test_names_and_quotes_do_not_decide_the_language(text: str, korean: bool) -> None:
    share = hangul_share(text)
    assert share is not None
    assert (share >= 0.5) is korean


def test_of_a_name_alone_no_language_is_said() -> None:
    assert [hangul_share(text) for text in ("README.md", "TanStack Query", "API 명세", "")] == [None] * 4


def test_repeats_are_stable_as_far_as_they_agree() -> None:
    def figures(*repeats: dict[str, Any]) -> list[float | None]:
        return [score["score"] for score in stability(repeats)]

    one, other = outputs(), outputs()
    assert figures(one, other) == [1.0, 1.0, pytest.approx(1.0)]
    assert figures(one) == [None, None, None]
    other["answers"][0]["postings"][0]["kept"] = False
    other["answers"][0]["summary"]["skills"].pop()
    other["answers"][0]["candidates"] = other["answers"][1]["candidates"]
    kept, skills, subjects = figures(one, other)
    assert [kept, skills] == [pytest.approx(2 / 3), pytest.approx(3 / 4)]
    assert subjects is not None
    assert subjects < 0.5


@given(st.frozensets(st.sampled_from("abcd")), st.frozensets(st.sampled_from("abcd")))
def test_overlap_is_a_share(one: frozenset[str], other: frozenset[str]) -> None:
    assert 0 <= jaccard(set(one), set(other)) <= 1
    assert (jaccard(set(one), set(other)) == 1) == (one == other)


GAINED_BY_PROJECTS = ["goal", "hours_per_week", "minimum_version", "data", "costs", "wishes", "not_covered"]


@settings(max_examples=15)
@given(st.data())
def test_whatever_is_lost_of_an_answer_scores_stay_in_bounds(data: st.DataObject) -> None:
    """Lists are cut and texts emptied anywhere: no evaluator falls over, no share leaves its range."""
    changed = outputs()
    for answer in changed["answers"]:
        project = answer["project"]
        for part in (project["steps"], project["evidence"], answer["candidates"], answer["postings"]):
            del part[data.draw(st.integers(0, len(part))) :]
        for text in ("title", "description", "summary"):
            if data.draw(st.booleans()):
                project[text] = ""
        for name in data.draw(st.sets(st.sampled_from(GAINED_BY_PROJECTS))):
            del project[name]
    changed["postings"] = {i: row for i, row in changed["postings"].items() if data.draw(st.booleans())}
    for evaluate in ALL:
        for score in evaluate(INPUTS, changed, EXPECT):
            assert METRICS[score["key"]].unit != "share" or score["score"] is None or 0 <= score["score"] <= 1

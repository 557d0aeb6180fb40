"""Whether a subject is new to a session."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.propose_subjects import repeated
from tools.llm.novelty import essence

EARLIER = [
    {"title": "A settlement server", "description": "It pays once."},
    {"title": "중복 결제를 막는 정산 서버", "description": "같은 요청이 여러 번 들어와도 한 번만 정산한다."},
]


@pytest.mark.parametrize(
    "title",
    [
        "A settlement server",
        "a SETTLEMENT-server!",
        "A settlement  server\n",
        "「Ａ settlement ｓｅｒｖｅｒ」",
    ],
)
def test_case_width_white_space_and_punctuation_make_no_title_new(title: str) -> None:
    assert repeated({"title": title, "description": "Other."}, EARLIER) == "A settlement server"


def test_korean_spacing_makes_no_title_new() -> None:
    subject = {"title": "중복결제를 막는 정산서버", "description": "다른 설명"}
    assert repeated(subject, EARLIER) == "중복 결제를 막는 정산 서버"


@pytest.mark.parametrize(
    "title", ["A settlement server — for 10,000 won a month", "A settlement server (with Kafka)"]
)
def test_what_is_added_to_a_title_makes_no_new_subject(title: str) -> None:
    assert repeated({"title": title, "description": "Other."}, EARLIER) == "A settlement server"
    assert repeated({"title": f"{title} ", "description": "Other."}, [{**EARLIER[0], "title": title}])


def test_a_dash_inside_a_word_adds_nothing() -> None:
    subject = {"title": "Real-time seats", "description": "This one."}
    assert repeated(subject, [{"title": "Real-time buses", "description": "That one."}]) is None


def test_a_new_title_over_an_old_description_is_no_new_subject() -> None:
    assert (
        repeated({"title": "Something else", "description": "it pays once"}, EARLIER) == "A settlement server"
    )


def test_a_subject_with_its_own_title_and_description_is_new() -> None:
    assert repeated({"title": "A cache", "description": "It remembers."}, EARLIER) is None
    assert repeated({"title": "A cache", "description": "It remembers."}, []) is None


@pytest.mark.parametrize(("one", "other"), [("C++ 게임 서버", "C# 게임 서버"), ("C++ parser", "C parser")])
def test_titles_that_differ_by_a_sign_that_means_something_are_two(one: str, other: str) -> None:
    subject = {"title": one, "description": "This one."}
    assert repeated(subject, [{"title": other, "description": "That one."}]) is None


@given(st.text(min_size=1), st.text(min_size=1))
def test_every_subject_repeats_itself(title: str, description: str) -> None:
    subject = {"title": title, "description": description}
    assert repeated(subject, [*EARLIER, subject]) is not None


WHY = " 공고 20건 중 15건에서 찾는 Docker를 직접 써 본다."


@pytest.mark.parametrize(
    ("description", "compared"),
    [
        ("정산을 한 번만 반영하는 서버를 만든다." + WHY, "정산을 한 번만 반영하는 서버를 만든다."),
        ("It pays each order once, on Node.js 3.5. Then why.", "It pays each order once, on Node.js 3.5."),
        (
            "간단합니다. 정산을 한 번만 반영하는 서버를 만듭니다." + WHY,
            "간단합니다. 정산을 한 번만 반영하는 서버를 만듭니다.",
        ),
        ("정산을 한 번만 반영하는 서버를 만든다\n공고가 찾는다", "정산을 한 번만 반영하는 서버를 만든다"),
        ("끝에 점이 없는 설명", "끝에 점이 없는 설명"),
        ("", ""),
    ],
)
def test_what_is_built_is_compared_and_not_why(description: str, compared: str) -> None:
    assert essence("정산 서버", description) == f"정산 서버\n{compared}"

"""What was read is changed only where the models are unsure, and only into a word that exists."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsers.local.recognition import correct_spelling, is_known

SURE, UNSURE = 99.9, 60.0


@pytest.mark.parametrize(
    "word",
    [
        *(
            "피부미용한",
            "동신대학교",
            "하나",
            "제줄",
            "주론",
            "장매",
            "연줄",
            "며러",
            "들머리",
            "출시",
            "동합",
            "언머",
        ),
        *(
            "앰프",
            "맵",
            "팁",
            "덤",
            "첫눈",
            "담당",
            "시",
            "씨",
            "년",
            "1 년",
            "A미",
            "Reach",
            "Al",
            "lead",
            "Sol",
        ),
    ],
)
def test_true_text_stays_as_it_is(word: str) -> None:
    assert correct_spelling(word, SURE) == word
    if re.search("[가-힣]", word):
        assert correct_spelling(word, UNSURE) == word


@pytest.mark.parametrize(
    ("read", "meant"),
    [
        ("Kubemetes", "Kubernetes"),
        ("Cl/CD", "CI/CD"),
        ("APls", "APIs"),
        ("Vuejs", "Vue.js"),
        ("Katka", "Kafka"),
        ("Al", "AI"),
        ("앰을", "앱을"),
        ("웹앰", "웹앱"),
        ("덤러닝", "딥러닝"),
        ("팁러닝으로", "딥러닝으로"),
        ("첫봇", "챗봇"),
        ("(앰)", "(앱)"),
    ],
)
def test_a_word_that_the_models_doubt_is_mended(read: str, meant: str) -> None:
    assert correct_spelling(read, UNSURE) == meant
    assert correct_spelling(read, SURE) == read


@given(
    st.text(st.sampled_from("가나다동신대피부미용앰덤첫봇러닝줄출시ABCclI1O0 /.+"), max_size=12),
    st.floats(0, 100),
)
def test_nothing_is_written_that_is_no_word(word: str, confidence: float) -> None:
    after = correct_spelling(word, confidence)
    if confidence >= 96:
        assert after == word
    elif after != word:
        assert any(is_known(part) for part in re.findall(r"[A-Za-z0-9+#./&-]+", after)) or re.search(
            "[앱딥챗챌퀀둡팜훅킥]", after
        )

"""What a text refuses."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.pace import time_limit
from tools.core.settings import CHECKOUT
from tools.lexicon.negation import without_refused


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("DevOps 말고 백엔드", "백엔드"),
        ("안드로이드나 iOS 말고 웹", "웹"),
        ("React 대신 Vue를 쓰는 곳", "Vue를 쓰는 곳"),
        ("프론트엔드가 아닌 백엔드 개발", "백엔드 개발"),
        ("React는 써 본 적이 없습니다", ""),
        ("Java는 5년 했지만 React는 써 본 적이 없습니다.", "Java는 5년 했지만"),
        ("React는 못 하지만 Vue는 잘합니다", "Vue는 잘합니다"),
        ("React를 쓰고 싶지 않습니다. Vue를 좋아합니다", "Vue를 좋아합니다"),
        ("백엔드 개발자 (게임은 싫어요)", "백엔드 개발자"),
        ("실무 경험이 없는 신입 백엔드 개발자", "신입 백엔드 개발자"),
        ("no React", ""),
        ("Backend developer, not frontend", "Backend developer"),
        ("Backend rather than DevOps", "Backend"),
        ("I have never used React, but I know Vue", "but I know Vue"),
        ("C++ developer with no experience in games", "C++ developer"),
    ],
)
def test_what_is_refused_is_left_out(text: str, kept: str) -> None:
    wanted = without_refused(text)
    assert wanted.text == kept
    assert wanted.refused


@pytest.mark.parametrize(
    "text",
    [
        "프론트와 백엔드를 가리지 않고 기능 하나를 끝까지 만드는 개발자",
        "돈이 두 번 빠져나가지 않도록 중복 요청을 막는 API",
        "신호가 없는 곳에서도 쓸 수 있는 오프라인 우선 앱",
        "경험 없이 배우는 신입",
        "Not only Java but Kotlin",
        "NoSQL and no-code tools",
        "low latency without downtime",
    ],
)
def test_what_describes_the_work_is_no_refusal(text: str) -> None:
    assert without_refused(text) == (text, "")


@pytest.mark.parametrize("piece", ["나", "가", "가, ", "가 / ", "와 ", "no ", " ", "경험 "])
def test_no_text_takes_long(piece: str) -> None:
    """The longest profile, of one piece alone; a pattern that can be read in two ways would take hours."""
    text = (piece * 20_000)[:20_000]
    read = f"from tools.lexicon.negation import without_refused; without_refused({text!r})"
    subprocess.run([sys.executable, "-c", read], cwd=CHECKOUT, check=True, timeout=time_limit())

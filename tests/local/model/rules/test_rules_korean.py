"""Particles after Korean, Latin and numbers."""

import pytest

from local.model.rules.korean import Word, josa


@pytest.mark.parametrize(
    ("word", "particle", "form"),
    [
        ("결제 요청", "을", "을"),
        ("메시지", "을", "를"),
        ("서울", "으로", "로"),
        ("자료", "으로", "로"),
        ("화면", "로", "으로"),
        ("Python", "을", "을"),
        ("Java", "은", "는"),
        ("Kafka", "을", "를"),
        ("Docker", "을", "를"),
        ("Redis", "이", "가"),
        ("MySQL", "을", "을"),
        ("SQL", "으로", "로"),
        ("AWS", "은", "는"),
        ("LLM", "이", "이"),
        ("TypeScript", "로", "로"),
        ("C++", "을", "를"),
        ("C#", "을", "을"),
        ("HTML5", "을", "를"),
        ("Web3", "을", "을"),
        ("React(리액트)", "와", "와"),
    ],
)
def test_particle_agrees(word: str, particle: str, form: str) -> None:
    assert josa(word, particle) == form


def test_word_takes_particles_and_articles() -> None:
    assert f"{Word('주문'):을} {Word('주문')}" == "주문을 주문"
    assert f"{Word('order'):a} / {Word('claim'):a}" == "an order / a claim"


def test_unknown_particle_is_refused() -> None:
    with pytest.raises(ValueError, match="not a particle"):
        josa("주문", "에서")

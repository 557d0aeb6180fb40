"""What says the same in other words."""

from __future__ import annotations

import pytest

from tools.lexicon import KIND_OF
from tools.lexicon.likeness import TOPICS, root, roots_of, same_words, spoken_for
from tools.lexicon.stems import WORDS, stems


def test_the_lists_name_skills_of_the_lexicon_and_words_of_both_languages() -> None:
    """A misspelt entry would silently mean nothing."""
    tools = {tool for tools in WORDS["speak_for"].values() for tool in tools}
    assert (TOPICS | tools) <= KIND_OF.keys()
    for group in WORDS["same"]:
        assert {word[0] >= "가" for word in group} == {True, False}, group


def test_a_tool_speaks_for_its_topic_and_its_kind() -> None:
    assert spoken_for(["MySQL"]) >= {"RDBMS", "SQL", "데이터베이스"}
    assert spoken_for(["Figma"]) == frozenset()


def test_a_word_is_known_in_the_other_language() -> None:
    assert "monitor" in same_words("모니터링")
    assert "모니터링" in same_words("monitoring")
    assert same_words("꼼꼼한") == {"꼼꼼한"}


@pytest.mark.parametrize(
    ("words", "same"),
    [
        ("logging logs log logged", "log"),
        ("designing designs designed", "design"),
        ("services service", "servic"),
        ("queries", "queri"),
    ],
)
def test_a_root_is_a_word_without_its_ending(words: str, same: str) -> None:
    assert {root(word) for word in words.split()} == {same}


def test_the_roots_of_a_text_have_those_of_joined_words_too() -> None:
    assert roots_of("Event-driven services, 이벤트") == {"event-driven", "event", "driven", "servic"}


def test_stems_are_without_particles_and_without_what_every_posting_says() -> None:
    assert stems("결제를 위한 서버의 운영 경험") == {"결제", "서버"}
    assert stems("Experience with payments") == {"payments"}

"""Which skills a text names, in whatever form it is written."""

from __future__ import annotations

import unicodedata

import pytest

from tools.lexicon import canonical, find_skills

FORMS = {
    "in pieces": lambda text: unicodedata.normalize("NFD", text),
    "invisible": "\u200b".join,
    "full width": lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
    "other spaces": lambda text: text.replace(" ", "\u00a0"),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=list(FORMS))
def test_a_skill_is_known_in_every_form(form: object) -> None:
    assert callable(form)
    assert find_skills(form("자바, Spring Boot, C++ 경험")) == ["Java", "Spring Boot", "C++"]
    assert canonical(form("스프링 부트")) == "Spring Boot"
    assert canonical(form("k8s")) == "Kubernetes"

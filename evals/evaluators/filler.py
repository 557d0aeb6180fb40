"""Filler: texts that any project could have. The words are in `words.yaml`; what they make is here.

The patterns match a whole text, not a part of it: "테스트" is filler, "같은 키로 100번 보내는 동시 요청
테스트" is not.
"""

from __future__ import annotations

import re

from evals.evaluators.base import folded
from evals.evaluators.words import one_of

_SHORTEST = 3
"""Characters of a deliverable that can name something."""
_MARKS = " .,!?:;·-—–*\"'“”‘’()[]"


def _of(name: str) -> str:
    return one_of(f"filler.{name}")


_KO_END = f"(?:{_of('ko_end')})?"
_EN_BEFORE = f"(?:{_of('en_before')} )*"
_FILLER = re.compile(
    "|".join(
        f"(?:{pattern})"
        for pattern in (
            rf"(?:{_of('ko_what')} ?)*{_of('ko_object')}(?:을|를|에 ?대해|와|과)? ?{_of('ko_deed')}{_KO_END}",
            rf"(?:{_of('ko_what')} ?)?(?:{_of('ko_kind')} ?)?{_of('ko_alone')}{_KO_END}",
            r"(?:열심히|최선을 ?다해|필요에 ?따라|적절히|알아서) ?.{0,20}",
            rf"{_of('en_deed')} {_EN_BEFORE}{_of('en_object')}(?: and {_of('en_object')})?",
            rf"{_EN_BEFORE}{_of('en_object')} {_of('en_noun')}",
            rf"{_EN_BEFORE}(?:{_of('en_kind')} )?{_of('en_alone')}",
            r"(?:do|try) (?:your|the) best.{0,20}|(?:work|improve) as needed|follow best practices",
        )
    ),
    re.IGNORECASE,
)
_NAMES_NOTHING = re.compile(
    rf"(?:{one_of('deliverable.ko_what')} ?)?{one_of('deliverable.ko_thing')}"
    rf"|(?:{one_of('deliverable.en_what')} )*{one_of('deliverable.en_thing')}",
    re.IGNORECASE,
)


def is_filler(text: str) -> bool:
    """Whether a title or a description says only what is done in any project."""
    return _FILLER.fullmatch(folded(text).strip(_MARKS)) is not None


def names_a_thing(deliverable: str) -> bool:
    """Whether a deliverable names something that could be shown."""
    words = folded(deliverable).strip(_MARKS)
    return len(words) >= _SHORTEST and _NAMES_NOTHING.fullmatch(words) is None and not is_filler(words)

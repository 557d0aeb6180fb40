"""Korean in templates: particles that agree with the word before them.

A value of type `Word` takes a particle in a format field: `"{item:을} 두 번 보내면"` gives "요청을" or
"메시지를". The particle is named by either of its forms.
"""

from __future__ import annotations

import re

_PAIRS = {
    "은": ("은", "는"),
    "는": ("은", "는"),
    "이": ("이", "가"),
    "가": ("이", "가"),
    "을": ("을", "를"),
    "를": ("을", "를"),
    "과": ("과", "와"),
    "와": ("과", "와"),
    "으로": ("으로", "로"),
    "로": ("으로", "로"),
    "이나": ("이나", "나"),
    "나": ("이나", "나"),
    "이라": ("이라", "라"),
    "이란": ("이란", "란"),
}
_DIGITS_WITH_FINAL = set("013678")
_DIGITS_WITH_RIEUL = set("178")
# Read letter by letter: L, M, N, R end in a consonant (엘, 엠, 엔, 알); L and R in ㄹ.
_SPELT_WITH_FINAL = set("LMNR")
_SPELT_WITH_RIEUL = set("LR")
_RIEUL = 8
# Latin words whose Korean reading does not follow from their spelling.
_READ_WITH_FINAL = frozenset({"rails-api", "git"})
_READ_OPEN = frozenset(
    # 스파크, 플링크, 라인: a final k, c or ne that is read with a vowel behind it.
    {"spark", "flink", "hardhat", "pipeline-as-code", "notebook", "webhook", "benchmark", "framework", "disk"}
    | {"network", "mock", "playbook", "handbook", "task", "quicksight", "bash", "scala", "shap"}
)


class Word(str):
    """A string that takes a Korean particle, or the English article "a", as its format specification."""

    __slots__ = ()

    def __format__(self, particle: str) -> str:
        if not particle:
            return str(self)
        if particle in ("a", "A"):
            return f"{particle}{'n' if self[:1].lower() in 'aeio' else ''} {self!s}"
        return f"{self!s}{josa(self, particle)}"


def josa(word: str, particle: str) -> str:
    """Returns the form of `particle` (either form may be given) that follows `word`.

    Raises:
        ValueError: it is not a particle that changes its form.
    """
    pair = _PAIRS.get(particle)
    if pair is None:
        raise ValueError(f"not a particle that changes: {particle!r}")
    final, rieul = _final_sound(word)
    if pair[0] == "으로":
        return pair[0] if final and not rieul else pair[1]
    return pair[0] if final else pair[1]


def _final_sound(word: str) -> tuple[bool, bool]:
    """Whether the word ends in a consonant when it is read aloud in Korean, and whether that is ㄹ."""
    read = re.sub(r"\([^)]*\)\s*$", "", word).rstrip(" .,!?'\"”’)]」") or word
    last = read[-1:]
    if "가" <= last <= "힣":
        jong = (ord(last) - 0xAC00) % 28
        return jong != 0, jong == _RIEUL
    if last.isdigit():
        return last in _DIGITS_WITH_FINAL, last in _DIGITS_WITH_RIEUL
    if last in "#+":
        return last == "#", False  # 샵, 플러스
    if not last.isascii() or not last.isalpha():
        return False, False
    return _latin(read.split()[-1] if read.split() else read)


def _latin(word: str) -> tuple[bool, bool]:
    lower = word.lower()
    if lower in _READ_OPEN:
        return False, False
    if lower in _READ_WITH_FINAL:
        return True, False
    tail = re.split(r"[./\-]", word)[-1] or word
    if tail.isupper():
        return tail[-1] in _SPELT_WITH_FINAL, tail[-1] in _SPELT_WITH_RIEUL
    lower = tail.lower()
    if lower.endswith(("l", "le")):
        return True, True
    if lower.endswith(("m", "n", "ng", "b", "p", "ck", "c", "k", "me", "ne")):
        return True, False
    if lower.endswith("t") and lower[-2:-1] in "aeiou":
        return True, False  # 깃, 닷넷; but 테스트, 스위프트
    return False, False

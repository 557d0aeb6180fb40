"""What the models get wrong the same way each time: skills in Latin letters, syllables they lack."""

from __future__ import annotations

import re
from functools import lru_cache

from rapidfuzz.distance import Levenshtein

from tools.lexicon import KIND_OF, find_skills

_WORDS = """
    API APIs SDK AI ML DL UI UX IT DB OS QA PM PO SW HW IoT SaaS B2B B2C O2O R&D CS CRM ERP MES WMS TMS LMS
    CI/CD TCP/IP HTTP HTTPS REST RESTful GraphQL gRPC SQL NoSQL RDBMS ORM MSA OOP TDD DDD SOLID SSR SSG SPA
    ETL ELT CDC DW BI KPI LTV LLM RAG NLP GPU CPU MCU RTOS BLE NFC UART SPI I2C CAN OTA PDA VPN DNS CDN WAF
    SIEM EDR SOAR OWASP ISMS ISMS-P CISSP OSCP CTF SQLD ADsP TOEIC GitHub Git Linux Windows Web App
""".split()  # noqa: SIM905 - a list of words reads best as one
_SHAPES = str.maketrans({"l": "1", "i": "1", "|": "1", "!": "1", "o": "0", "s": "5"})
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9+#./&\-]*[A-Za-z0-9+#]|[A-Za-z]")
_HANGUL = re.compile("[가-힣]+")
_UNWRITABLE = frozenset("앱딥챗챌퀀둡팜훅킥")
"""Syllables that the models do not know: they write the nearest one that they do."""
_KOREAN = tuple("앱 웹앱 인앱 앱스토어 딥러닝 딥테크 챗봇 챌린지 퀀트 하둡 스마트팜 훅 킥오프 킥보드".split())  # noqa: SIM905
"""Words of postings with such a syllable."""
_PARTICLES = frozenset(["", *"을를은는이가의에과와로도만", "에서", "으로", "이나"])
_FINALS, _VOWELS = 28, 21
_ONE_EDIT, _TWO_EDITS = 5, 9
"""Letters from which one and two wrong ones are mended."""


def _shape(word: str) -> str:
    """The word with letters that look alike made one."""
    return word.lower().replace("rn", "m").translate(_SHAPES)


@lru_cache(maxsize=1)
def _dictionary() -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Known words by their spelling in small letters, by their shape, and the long ones."""
    words = dict.fromkeys(_WORDS)
    for name in KIND_OF:
        for part in name.split():
            if len(part) > 1 and part.isascii():
                words.setdefault(part)
    # The point of "Next.js" is easily lost.
    pointless = {word.replace(".", "").lower(): word for word in words if "." in word}
    exact: dict[str, str] = {}
    shapes: dict[str, str] = {}
    for word in words:
        exact.setdefault(word.lower(), word)
        shapes.setdefault(_shape(word), word)
    shapes = {_shape(bare): word for bare, word in pointless.items()} | shapes
    return exact, shapes, [word for word in words if len(word) >= _ONE_EDIT]


def is_known(word: str) -> bool:
    """Whether a word in Latin letters is a skill or another word of the trade."""
    exact, shapes, _ = _dictionary()
    return word.lower() in exact or _shape(word) in shapes or bool(find_skills(word))


def mended(word: str, confidence: float) -> str:
    """Mends a word that was read with `confidence` (0 to 100), which a doubt about it has lowered.

    What is read is changed only where the models are unsure, and only into a word that exists: letters
    that look alike are exchanged, one or two wrong ones in long words, and a syllable that the models
    cannot write. "Reach" may be meant.
    """
    if confidence >= _SURE:
        return word
    word = _TOKEN.sub(lambda token: _in_latin(token[0]), word)
    return _HANGUL.sub(lambda token: _in_hangul(token[0]), word)


def _in_latin(word: str) -> str:
    exact, shapes, long = _dictionary()
    lower = word.lower()
    if lower in exact or len(word) < 2 or word.isdigit():  # noqa: PLR2004 - a letter has no shape of its own
        return word
    shape = shapes.get(_shape(word))
    if shape is not None:
        return shape
    if find_skills(word):
        return word
    allowed = 2 if len(word) >= _TWO_EDITS else 1 if len(word) >= _ONE_EDIT else 0
    for known in long if allowed else ():
        if (
            abs(len(known) - len(word)) <= allowed
            and Levenshtein.distance(lower, known.lower(), score_cutoff=allowed) <= allowed
        ):
            return known
    return word


def _in_hangul(word: str) -> str:
    """The known word that differs only in syllables that the models cannot write, with its particle."""
    for known in _KOREAN:
        begin, end = word[: len(known)], word[len(known) :]
        if len(begin) == len(known) and end in _PARTICLES and begin != known:
            pairs = [(one, other) for one, other in zip(begin, known, strict=True) if one != other]
            if all(other in _UNWRITABLE and _alike(one, other, len(known)) for one, other in pairs):
                return known + end
    return word


def _alike(one: str, other: str, syllables: int) -> bool:
    """Whether a syllable may be read as another: a letter of theirs is the same, and where no other
    syllable confirms the word, all but the last."""
    same = [a == b for a, b in zip(_letters(one), _letters(other), strict=True)]
    return same[0] and same[1] if syllables == 1 else any(same)


def _letters(syllable: str) -> tuple[int, int, int]:
    number = ord(syllable) - ord("가")
    return number // (_VOWELS * _FINALS), number // _FINALS % _VOWELS, number % _FINALS


_SURE = 96.0
"""Confidence from which a word is taken as it stands."""

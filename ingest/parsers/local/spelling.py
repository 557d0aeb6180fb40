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
_STROKES = str.maketrans({"l": "1", "i": "1", "|": "1"})
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9+#./&\-]*[A-Za-z0-9+#]|[A-Za-z]")
_FIXED = (
    # Syllables that the models do not know (앱, 딥, 챗 …) come out as others that make no words.
    ("딥러닝", re.compile(r"[덤팁담답닙립딜]러닝")),
    ("챗봇", re.compile(r"[첫챌챈쳇젯][봇붓]")),
    (
        r"\1앱",
        re.compile(
            r"(^|[^가-힣]|웹)[앰앨얩맵](?=$|[^가-힣]|[은을의에과로이]|서비스|개발|출시|성능|스토어|배포|보안)"
        ),
    ),
    # In small type ㅇ is read as ㅁ and ㅊ as ㅈ; none of the left is a word.
    (r"에", re.compile(r"(?<=[가-힣A-Za-z)])메(?=$|[\s,.]|서|게|\s?대[한해])")),
    (r"데이\1", re.compile(r"데[미이]([터티])")),
    (r"장애", re.compile("장매")),
    (r"\1어", re.compile("(언|제|소프트웨|하드웨|펌웨|들)머")),
    (r"여러", re.compile("며러")),
    (r"이용\1", re.compile("미용([한해하])")),
    (r"년 이\1", re.compile("년 미([상하내])")),
    (r"통\1", re.compile("동([신]|합 테스트)")),
    (r"출\1", re.compile("[줄풀](시[한하를 ]|시$|석|력|판|고|퇴근|장|신|근|입|제)")),
    (r"\1출", re.compile("(제|노|호|진|도|산|검|창|추|배|수)줄")),
    ("추출", re.compile("주[줄출]")),
    ("추론", re.compile("주론")),
    ("연출", re.compile("연줄")),
    ("추천", re.compile("추전")),
    # AI looks like a syllable, and stands where 시 and 씨 cannot.
    (
        "AI",
        re.compile(
            r"(?:^|(?<=[\s(]))[시씨]\|?(?=\s(?:모델|관련|학회|과제|개발|엔지니어|서비스|기술|에이전트|연구|기반|더빙|제품))"
        ),
    ),
    ("API", re.compile("A미")),
    ("시", re.compile(r"(?<=채용 )A[Il|](?= 마감)")),
    ("C", re.compile(r"(?<![A-Za-z])[Cc]c(?= 언어)")),
    (
        r"\1\2",
        re.compile(
            r"(?<![\d.])(\d{1,4}) ([년월일개차명회시분인위만억천층종급호주건%])(?=\s|$|[은는이가의에])"
        ),
    ),
    (r"\1·\2", re.compile(r"([가-힣]) ?[:'ㆍ] ?(?=[가-힣])()(?<!: )")),
)
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


def mended(text: str, confidence: float) -> str:
    """Mends a text that was read with `confidence` (0 to 100).

    Letters that look alike are exchanged where that makes a known word; one or two wrong letters are
    mended only in long words, and only where the model was unsure: "Reach" may be meant.
    """
    for right, wrong in _FIXED:
        text = wrong.sub(right, text)
    return _TOKEN.sub(lambda token: _mended_word(token[0], confidence), text)


def _mended_word(word: str, confidence: float) -> str:
    exact, shapes, long = _dictionary()
    lower = word.lower()
    if lower in exact or len(word) < 2 or word.isdigit():  # noqa: PLR2004 - a letter has no shape of its own
        return word
    shape = shapes.get(_shape(word))
    if shape is not None and (confidence < _SURE or _same_but_for_l(shape.replace(".", ""), word)):
        return shape
    if confidence >= _SURE or find_skills(word):
        return word
    allowed = 2 if len(word) >= _TWO_EDITS else 1 if len(word) >= _ONE_EDIT else 0
    for known in long if allowed else ():
        if (
            abs(len(known) - len(word)) <= allowed
            and Levenshtein.distance(lower, known.lower(), score_cutoff=allowed) <= allowed
        ):
            return known
    return word


def _same_but_for_l(known: str, word: str) -> bool:
    """Whether the words differ only in l, I and 1, which many fonts draw alike."""
    return known.lower().translate(_STROKES) == word.lower().translate(_STROKES)


_SURE = 96.0
"""Confidence from which a word is taken as it stands."""

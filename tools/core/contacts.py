"""What names a person in a text or leads to them: names, numbers, addresses. By rules, in Korean and English.

Rules find what has a form or a label. Names without one are for a model to point out; `redacted` takes them
out all the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_HIDDEN_NAME = "○○○"
"""What stands for a name that was taken out, as in Korean forms."""
_MOST_NAMES = 20
_LONGEST_ALONE = 200
"""Characters of a line in which a name stands alone, or before a trade."""
_REGION = (
    r"(?:서울|부산|대구|인천|광주|대전|울산|세종|경기|강원|충청?[북남]|충청[북남]도|전라?[북남]|전라[북남]도"
    r"|경상?[북남]|경상[북남]도|제주)(?:특별자치시|특별자치도|특별시|광역시|도|시)?"
)
# None may begin in the middle of what it takes any number of, letters say: it would be begun at each
# place of it, and read to the end each time. tests/tools/core/test_long_input.py has texts that did that.
_PATTERNS = (
    # E-mail, also where the sign is spelt out.
    r"(?<![\w.+-])[\w.+-]+\s?(?:@|＠|\(at\)|\[at\])\s?[\w-]+(?:\s?(?:\.|\[dot\]|\(dot\))\s?[\w-]+)+",
    # Pages, and the profiles that name their owner.
    r"(?:https?://|www\.)\S+",
    r"(?<![\w-])(?<![\w-]\.)(?:[\w-]+\.)*(?:github|gitlab|bitbucket|linkedin|instagram|facebook|twitter|velog|tistory|notion|brunch"
    r"|medium|behance|dribbble|youtube|naver)\.(?:com|io|so|me|site|co\.kr|net)(?:/[^\s)\]]*)?",
    # A resident registration number.
    r"(?<!\d)\d{6}\s?-\s?[1-8](?:\d{6}|[*●xX]{6})(?!\d)",
    # Telephone numbers: Korean, with a country's code, American.
    r"(?<![\w.-])(?:\+?82[\s.)-]{0,2})?\(?0?1[016-9]\)?[\s.-]?\d{3,4}[\s.-]?\d{4}(?!\d)",
    r"(?<![\w.-])\(?0\d{1,2}\)?[\s.-]\d{3,4}[\s.-]\d{4}(?!\d)",
    r"(?<![\w.])\+\d{1,3}(?:[\s.-]?\(?\d{1,4}\)?){2,5}(?!\d)",
    r"(?<![\w.-])\(?\d{3}\)?[\s.-]\d{3}[\s.-]\d{4}(?!\d)",
    # Postal addresses.
    _REGION + r"\s+(?:[가-힣]{1,6}[시군구]\s*){1,2}[가-힣\d]{1,12}(?:읍|면|동|로|길|가)\b[^\n|;]*",
    r"\b\d{1,5}\s+(?:[A-Z][\w'.]*\s+){1,4}(?:Street|St|Avenue|Ave|Road|Rd|Boulevard|Blvd|Lane|Ln|Drive|Court)\b"
    r"\.?(?:\s*,[^\n|;]*)?",
    # Births.
    r"(?<!\d)(?:19|20)?\d{2}년\s?생",
)
_CONTACT = re.compile("|".join(f"(?:{pattern})" for pattern in _PATTERNS), re.IGNORECASE)
_LABELLED = re.compile(
    r"^\W*(?:성\s?명|이\s?름|지원자(?:\s?명)?|생년\s?월일|생일|출생|나이|성별|주\s?소|거주지|연락처|전화(?:\s?번호)?|휴대"
    r"(?:폰|전화)(?:\s?번호)?|핸드폰|이?메일|e-?mail|full\s+name|name|date\s+of\s+birth|birth\s?date|dob|born|age|gender"
    r"|(?:home\s+|postal\s+)?address|phone|mobile|cell|tel(?:ephone)?|contact|nationality|국적|보호자|가족(?:\s?관계)?)"
    r"\s*[:：|]\s*\S.*$",
    re.IGNORECASE,
)
_HEADING = 60
"""Characters of a heading or a trade: so far is looked for the word that says it is one."""
_NO_NAME = (
    r"(?!(?:이력서|소개서|경력서|지원서|백엔드|신입생|주니어|시니어|마케터|기획자|연구원|전문가|한국인|고등학|대학교|안녕하|지원자)"
    rf"|[^\n|,]{{0,{_HEADING}}}\b(?i:resume|vitae|profile|experience|summary|education|skills|developer|engineer|manager|analyst"
    r"|designer|scientist|student|intern|lead|consultant|architect|administrator|specialist|graduate|objective"
    r"|contact|information|details|portfolio|application|university|college|institute|school)\b)"
)
"""Before what looks like a name and is none: a heading, or a trade."""
_KOREAN_NAME = (
    "[김이박최정강조윤장임한오서신권황안송류유전홍고문양손배백허남심노하곽성차주우구민진지엄채원천방공현함변염여추도소"
    "석선설마길연나]"
    "[가-힣]{2}"
)
_LATIN_NAME = r"[A-Z][\w'-]+(?:\s+[A-Z]\.?)?(?:\s+(?:van|de|von|der))*(?:\s+[A-Z][\w'-]+){1,2}"
_NAME_LABEL = re.compile(
    r"(?i:성\s?명|이\s?름|지원자(?:\s?명)?|\bfull\s+name|\b(?<![a-z] )name)\s*[:：|]\s*"
    rf"([가-힣]{{2,4}}(?![가-힣])|{_LATIN_NAME}|[A-Z]\w+)"
)
_NAME_SAID = re.compile(
    rf"(?:저는|제\s?이름은|지원자|개발자|엔지니어|분석가)\s+{_NO_NAME}({_KOREAN_NAME})(?=입니다|이라고|라고|이며)"
    rf"|\b(?:[Mm]y name is|[Tt]his is)\s+({_LATIN_NAME}|[A-Z][a-z]+)"
    rf"|\bI\s?(?:am|'m)\s+{_NO_NAME}({_LATIN_NAME})(?=[,.\s])"
)
_NAME_ALONE = re.compile(
    rf"\W*{_NO_NAME}({_KOREAN_NAME}|{_LATIN_NAME})(?![가-힣])(?:\s*[(/|·,].{{2,60}})?\W*"
)
"""A name that stands alone, or before a trade, at the top of a résumé."""
_BEHIND = "[은는이가을를의님씨군양입과와에라로도]"
"""First letters of what stands behind a Korean name: particles, titles, "입니다"."""
_BETWEEN = re.compile(r"(?:(?<!\s)\s+)?[|·,;/]\s*(?=[|·,;/]|$)|^\s*[|·,;/:：-]+\s*|\(\s*\)|\[\s*\]|<\s*>")


def is_contact_line(line: str) -> bool:
    """Whether a line is there to say who somebody is or how to reach them, and tells nothing else."""
    return _LABELLED.match(line) is not None or (
        _CONTACT.search(line) is not None and not re.search(r"[^\W\d_]{3}", _CONTACT.sub(" ", line))
    )


def names_in(lines: Iterable[str]) -> list[str]:
    """Returns the names in the lines of a résumé: behind a label, in an introduction, or alone at the top."""
    found: dict[str, None] = {}
    for place, line in enumerate(lines):
        for pattern in (_NAME_LABEL, _NAME_SAID):
            for match in pattern.finditer(line):
                found[next(filter(None, match.groups()))] = None
        if place == 0 and len(line) <= _LONGEST_ALONE and (alone := _NAME_ALONE.fullmatch(line)):
            found[alone[1]] = None
    return list(found)[:_MOST_NAMES]


def redacted(text: str, names: Iterable[str] = ()) -> str:
    """Returns a text without a person's numbers, addresses and pages, and with a mark for each of `names`."""
    without = _CONTACT.sub("", text)
    for name in names:
        without = _named(name).sub(_HIDDEN_NAME, without)
    return without if without == text else " ".join(_BETWEEN.sub(" ", without).split())


def _named(name: str) -> re.Pattern[str]:
    """Returns what a name matches: as a word, in Korean also with spaces between its letters and a particle
    or a title behind it."""
    letters = name.split()
    if re.search("[가-힣]", name):
        spelt = r"\s?".join(map(re.escape, "".join(letters)))
        return re.compile(rf"(?<![가-힣]){spelt}(?=[^가-힣]|$|{_BEHIND})")
    return re.compile(r"(?<!\w)" + r"\s+".join(map(re.escape, letters)) + r"(?!\w)", re.IGNORECASE)

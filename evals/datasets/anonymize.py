"""Takes personal data out of a profile: names, schools, companies, ways to reach somebody, registration
numbers, and days, of which the month stays. What the person can do stays.

Rules find what looks like these, in Korean and English; who adds a case reads it before it is committed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from evals.evaluators.similarity import kiwi
from tools.lexicon import find_skills
from tools.postings.contracts import Language, Profile

SCHOOL = {"ko": "한 학교", "en": "a school"}
COMPANY = {"ko": "한 회사", "en": "a company"}
GONE = "…"

_MONTHS = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
_SITES = "com|net|org|io|dev|me|kr|site|page|app|blog|link"
_CONTACT = re.compile(
    rf"""[\w.+-]+@[\w-]+(?:\.[\w-]+)+                      # an address
    |(?:https?://|www\.)[^\s<>"'가-힣]+
    |\b(?:[\w-]+\.)+(?:{_SITES})/[^\s<>"'가-힣]+           # a page, which is mostly one's own
    |\b[\w-]+\.(?:github\.io|tistory\.com|vercel\.app|netlify\.app|notion\.site|medium\.com|wordpress\.com)\b
    |(?<!\d)(?:\+?82[-\s]?)?\(?0?1[016789]\)?[-.\s]?\d{{3,4}}[-.\s]?\d{{4}}(?!\d)   # a mobile telephone
    |(?<!\d)\(?0\d{{1,2}}\)?[-.\s]\d{{3,4}}[-.\s]\d{{4}}(?!\d)
    |\+\d[\d\s().-]{{7,}}\d
    |(?<!\d)\(\d{{3}}\)\s?\d{{3}}-\d{{4}}(?!\d)
    |(?<!\d)\d{{6}}[-\s]?[1-8]\d{{6}}(?!\d)                # a resident registration number
    """,
    re.VERBOSE | re.ASCII,
)
_HANDLE = re.compile(
    r"((?:github|깃허브|깃헙|linkedin|링크드인|instagram|인스타(?:그램)?|kakao(?:talk)?|카카오톡|카톡"
    r"|telegram|텔레그램|주소|거주지|address)(?:\s*(?:아이디|ID))?\s*[:：]\s*)[^\s,;][^\n,;]*",
    re.IGNORECASE,
)
_MESSENGER = re.compile(
    r"((?:telegram|텔레그램|kakao(?:talk)?|카카오톡|카톡|instagram|인스타(?:그램)?)\s+(?:아이디|ID)?\s*)"
    r"(?:@[\w.]+|[a-z0-9.]+_[\w.]+)",
    re.IGNORECASE | re.ASCII,
)
"""Where the colon is left out. Only what is no word of the trade: `텔레그램 봇` stays."""
_HOME = re.compile(
    r"(?:서울|부산|대구|인천|광주|대전|울산|세종|경기|강원|충북|충남|전북|전남|경북|경남|제주)[가-힣]*\s+"
    r"(?:[가-힣]{1,5}[시구군]\s+)+[가-힣0-9]+(?:로|길|동|읍|면)(?:\s*\d+(?:-\d+)?(?:번길\s*\d+)?)?"
    r"|\b\d{1,5} (?:[A-Z][a-z]+ ){1,3}(?:Street|St|Road|Rd|Avenue|Ave|Lane|Drive|Boulevard|Blvd)\b"
)
_BIRTH = re.compile(
    r"(?<!\d)(?:19|20)?\d\d년생|(?<=생년월일)[은는:：\s]*\d[\d년월일./\s-]*[\d일]|(?<=생일)[은는이:：\s]*\d[\d년월일./\s-]*"
    r"|(?<=\b[Bb]orn )(?:on|in) (?:[\w,]+ ){0,2}(?:19|20)\d\d\b"
)
_DAYS: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"((?:19|20)?\d\d년\s*\d{1,2}월)\s*\d{1,2}일"), r"\1"),
    (re.compile(r"((?:19|20)\d\d\s*[-./]\s*\d{1,2})\s*[-./]\s*\d{1,2}(?!\d)\.?"), r"\1"),
    (re.compile(r"(?<!\d)((?:19|20)\d\d)(0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)"), r"\1-\2"),
    (re.compile(r"(?<!\d)(\d{1,2}월)\s*\d{1,2}일"), r"\1"),
    (re.compile(rf"\b({_MONTHS})\.?\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+((?:19|20)\d\d)\b"), r"\1 \2"),
    (re.compile(rf"\b\d{{1,2}}(?:st|nd|rd|th)?(?:\s+of)?\s+({_MONTHS})\.?,?\s+((?:19|20)\d\d)\b"), r"\1 \2"),
    (re.compile(r"(?<!\d)\d{1,2}/\d{1,2}/((?:19|20)\d\d)\b"), r"\1"),
)
_SCHOOLS = re.compile(
    r"(?<![가-힣A-Za-z0-9])[가-힣A-Za-z]{2,}(?:대학교|대학원|(?:고등|중|초등)학교|과학고|외고|여고|여대)"
    r"|\b(?:University|College|Institute) of [A-Z][\w-]*(?: [A-Z][\w-]*)*"
    r"|\b(?:[A-Z][\w'&-]* )+(?:University|College|High School|Institute of Technology)\b"
)
_COMPANIES = re.compile(
    r"(?:\(주\)|㈜|주식회사)\s*[\w&]+?(?=(?:에서|에|의|은|는|이|가|을|를|과|와|으로|로)?(?![\w&]))"
    r"|[\w&]+(?:\(주\)|㈜|주식회사)"
    r"|\b(?:[A-Z][\w&'-]*,? )+(?:Inc|Ltd|LLC|Corp|GmbH|Pte)\b\.?"
)
_LEGAL_FORM = re.compile(r"\(주\)|㈜|주식회사|,?\s+(?:Inc|Ltd|LLC|Corp|GmbH|Pte)\b\.?")
_SURNAMES = (
    "남궁|선우|제갈|황보|[김이박최정강조윤장임한오서신권황안송류유전홍고문양손배백허남심노하곽성차주우구나민진지엄채"
    "원천방공현함변염여추도소석선설마길연위표명기반왕금옥육인맹제모탁국어은편용]"
)
_KOREAN_NAME = rf"((?:{_SURNAMES})[가-힣]{{1,3}}?)"
_SAID = re.compile(
    rf"(?:이름|성명|본명)(?:은|는|이)?\s*[:：]?\s*{_KOREAN_NAME}(?=입니다|이며|이고|이라|라고|예요|이에요|[\s,.)]|$)"
    rf"|{_KOREAN_NAME}(?:이라|라)고\s*(?:합니다|해요|불러)"
    r"|(?:[Mm]y name is|[Nn]ame:)\s+([A-Z][a-z]+(?:[ -][A-Z][a-z]+)*)"
)
"""What comes after these is a name."""
_PERHAPS = re.compile(
    rf"(?:저는|제가|지원자|작성자)\s*{_KOREAN_NAME}(?=입니다|이며|이고|예요|이에요|[,.)\n]|$)"
    rf"|(?<![가-힣]){_KOREAN_NAME}\s*(?:드림|올림|배상)(?![가-힣])"
    rf"|(?<![가-힣]){_KOREAN_NAME}\s*(?:님|씨)"
)
"""What comes after these may be one, or any other word that begins like a surname."""
_ENGLISH_PERHAPS = re.compile(r"\bI(?: am|'m|’m) ([A-Z][a-z]+ [A-Z][a-z]+)(?=[.,;!\n]| and | from |$)")
_TRADE = re.compile(
    r"\b(?:Engineer|Developer|Analyst|Scientist|Designer|Student|Manager|Architect|Senior|Junior|Software"
    r"|Backend|Frontend|Data|Full|Lead|Staff|Korean|Machine|Computer|Web|Mobile|Security|Game)\b"
)


def anonymous(profile: Profile, language: Language, more: str = "") -> tuple[Profile, str]:
    """Returns a profile, and what else the person wrote, without personal data. Companies that the person
    wishes for go as a whole: nobody can tell a kind of company from the name of one by rule."""
    given = profile.model_dump()
    texts = [*_texts(given), more]
    names = _names(texts)
    schools = {alias for row in given["educations"] for alias in _aliases(row["school"] or "")}
    companies = {alias for row in given["experiences"] for alias in _called(row["company"] or "")}
    swapped = {
        **dict.fromkeys(names, GONE),
        **dict.fromkeys(schools, SCHOOL[language]),
        **dict.fromkeys(companies, COMPANY[language]),
    }
    # A company may be called as what it makes; a skill stays.
    known = [(name, by) for name, by in swapped.items() if len(name) > 1 and not find_skills(name)]
    # The longest first: a name may stand in another.
    known.sort(key=lambda pair: -len(pair[0]))
    patterns = [(_whole(name), by) for name, by in known]

    def clean(text: str) -> str:
        for pattern, by in patterns:
            text = pattern.sub(by, text)
        text = _HANDLE.sub(rf"\1{GONE}", _CONTACT.sub(GONE, text))
        text = _BIRTH.sub(GONE, _HOME.sub(GONE, _MESSENGER.sub(rf"\1{GONE}", text)))
        for pattern, month in _DAYS:
            text = pattern.sub(month, text)
        return _COMPANIES.sub(COMPANY[language], _SCHOOLS.sub(SCHOOL[language], text))

    found = _each(given, clean)
    for row in found["educations"]:
        row["school"] = row["school"] and SCHOOL[language]
    for row in found["experiences"]:
        row["company"] = row["company"] and COMPANY[language]
        row["start"], row["end"] = _month(row["start"]), _month(row["end"])
    for key in ("activities", "awards", "certificates"):
        for row in found[key]:
            row["date"] = _month(row["date"])
    # Words of the trade, which rules for names would only spoil.
    found["skills"] = _skills(given["skills"])
    for own, row in zip(given["projects"], found["projects"], strict=True):
        row["skills"] = _skills(own["skills"])
    del found["desired_companies"]
    return Profile.model_validate({key: value for key, value in found.items() if value}), clean(more)


def _names(texts: list[str]) -> set[str]:
    said = {name for text in texts for found in _SAID.findall(text) for name in found if name}
    perhaps = {name for text in texts for found in _PERHAPS.findall(text) for name in found if name}
    said |= {name for name in perhaps if _is_name(name)}
    english = (name for text in texts for name in _ENGLISH_PERHAPS.findall(text))
    said |= {name for name in english if not _TRADE.search(name) and not find_skills(name)}
    # In English people go on with one of their names.
    return said | {part for name in said if name.isascii() for part in re.split(r"[ -]", name)}


def _is_name(word: str) -> bool:
    """Whether a word is none of the dictionary's: `저는 전공자입니다` names nobody."""
    return str(kiwi().tokenize(f"저는 {word}입니다")[2].tag) == "NNP"


def _aliases(school: str) -> Iterator[str]:
    """What a school is called: `가온들대학교` is `가온들대` as well."""
    yield school
    short = re.fullmatch(r"(.{2,})(대|고등)학교", school)
    if short:
        yield f"{short[1]}{'대' if short[2] == '대' else '고'}"


def _called(company: str) -> Iterator[str]:
    """What a company is called: `㈜모퉁이정산` is `모퉁이정산`, `Fernhollow Cards Ltd` is `Fernhollow`."""
    yield company
    bare = _LEGAL_FORM.sub("", company).strip()
    yield bare
    word = re.match(r"[A-Z][a-z]{5,}(?= )", bare)
    if word and not _TRADE.match(word[0]):
        yield word[0]


def _whole(name: str) -> re.Pattern[str]:
    """Finds a name that is no part of another word; in Korean, particles follow it at once."""
    after = r"(?![A-Za-z0-9])" if name[-1].isascii() else ""
    return re.compile(rf"(?<![A-Za-z0-9가-힣]){re.escape(name)}{after}")


def _skills(skills: list[str]) -> list[str]:
    return [skill for skill in skills if not _CONTACT.search(skill)]


def _each(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: _each(item, clean) for key, item in value.items()}
    return [_each(item, clean) for item in value] if isinstance(value, list) else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _month(day: str | None) -> str | None:
    """Returns year and month of a date; how long something took matters, which day it was does not."""
    found = re.search(r"(\d{4})\D{0,2}(\d{1,2})?", day or "")
    if found is None:
        return None
    return f"{found[1]}-{int(found[2]):02}" if found[2] else found[1]

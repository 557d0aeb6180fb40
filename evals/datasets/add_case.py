"""Makes a case of a session or a LangSmith trace, without personal data (`eval add`).

`anonymize` takes out names, schools, companies, ways to reach somebody, registration numbers, and days, of
which the month stays. Skills, majors and what was done stay. Rules find what looks like these, in Korean and
English, and miss some: whoever adds a case reads it before it is committed.
"""

from __future__ import annotations

import asyncio
import re
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from langsmith import Client
from langsmith.utils import LangSmithError, LangSmithNotFoundError
from pydantic import TypeAdapter, ValidationError

from evals.datasets.cases import Case, Expect, Family, Inputs, Turn
from evals.evaluators.similarity import kiwi
from evals.runs.upload import REQUEST_MS
from graph.sessions.sessions import Sessions
from tools.core.contracts import Language, Profile
from tools.core.errors import InvalidRequestError, SessionNotFoundError, SetupError
from tools.core.settings import Settings
from tools.core.tracing import use_proxy_for
from tools.lexicon import find_skills

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
"""Without a colon: `텔레그램 봇` is no handle and stays."""
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
_NAME = re.compile(
    rf"(?:이름|성명|본명)(?:은|는|이)?\s*[:：]?\s*{_KOREAN_NAME}(?=입니다|이며|이고|이라|라고|예요|이에요|[\s,.)]|$)"
    rf"|{_KOREAN_NAME}(?:이라|라)고\s*(?:합니다|해요|불러)"
    r"|(?:[Mm]y name is|[Nn]ame:)\s+([A-Z][a-z]+(?:[ -][A-Z][a-z]+)*)"
)
"""What these capture is a name."""
_MAYBE_NAME = re.compile(
    rf"(?:저는|제가|지원자|작성자)\s*{_KOREAN_NAME}(?=입니다|이며|이고|예요|이에요|[,.)\n]|$)"
    rf"|(?<![가-힣]){_KOREAN_NAME}\s*(?:드림|올림|배상)(?![가-힣])"
    rf"|(?<![가-힣]){_KOREAN_NAME}\s*(?:님|씨)"
)
"""What these capture may be one, or any other word that begins like a surname."""
_MAYBE_ENGLISH_NAME = re.compile(r"\bI(?: am|'m|’m) ([A-Z][a-z]+ [A-Z][a-z]+)(?=[.,;!\n]| and | from |$)")
_TRADE = re.compile(
    r"\b(?:Engineer|Developer|Analyst|Scientist|Designer|Student|Manager|Architect|Senior|Junior|Software"
    r"|Backend|Frontend|Data|Full|Lead|Staff|Korean|Machine|Computer|Web|Mobile|Security|Game)\b"
)


def case_of(source: Mapping[str, Any], label: str, families: Sequence[Family]) -> Case:
    """Returns the case of a session or trace (`profile`, `language`, and the `wishes` of its last turn).
    Computes: call it in a thread.

    Args:
        families: that of the desired job first, then others whose postings fit; none where it is no IT job.

    Raises:
        InvalidRequestError: the profile or the wishes are of another version's shape.
    """
    try:
        language = TypeAdapter[Language](Language).validate_python(source["language"])
        wishes = source.get("wishes") or {}
        turn = Turn(**{key: wishes.get(key) or None for key in ("difficulty", "weeks", "feedback")})
        profile, feedback = anonymize(
            Profile.model_validate(source["profile"]), language, turn.feedback or ""
        )
        turn = turn.model_copy(update={"feedback": feedback or None, "skills": wishes.get("skills") or []})
    except ValidationError as error:
        raise InvalidRequestError(
            f"No case can be made of it, its profile is of another version: {error}"
        ) from error
    slug = re.sub(r"[^a-z0-9]+", "-", label.lower())[:60].strip("-") or "case"
    return Case(
        id=f"session-{slug}-{uuid.uuid4().hex[:6]}",
        inputs=Inputs(
            profile=profile,
            language=language,
            turns=[turn] if turn != Turn() else [],
        ),
        expect=Expect(
            family=families[0] if families else None,
            fits=list(families),
            language=language,
            known_skills=profile.skills,
        ),
        tags=[re.sub(r"\W+", "_", label)[:50].strip("_") or "regression"],
        source="session",
    )


async def source_of(run_id: str, owner: str, sessions: Sessions, settings: Settings) -> Mapping[str, Any]:
    """Returns the session `run_id`, or else the trace of that id in LangSmith, as `case_of` reads it.

    Raises:
        InvalidRequestError: there is neither, or the trace has no profile.
        SetupError: LangSmith does not answer.
        StoreUnavailableError: Redis does not answer.
    """
    try:
        return await sessions.view(run_id, owner)
    except SessionNotFoundError as error:
        if settings.langsmith_api_key is None:
            raise InvalidRequestError(
                f"There is no session {run_id} (they live {settings.session_ttl_minutes:g} minutes), and "
                "without LANGSMITH_API_KEY no trace can be read."
            ) from error
        key = settings.langsmith_api_key.get_secret_value()
    return await asyncio.to_thread(_trace, run_id, key, settings.langsmith_endpoint)


def _trace(run_id: str, key: str, endpoint: str | None) -> Mapping[str, Any]:
    client = Client(api_url=endpoint, api_key=key, auto_batch_tracing=False, timeout_ms=REQUEST_MS)
    use_proxy_for(client)
    try:
        with warnings.catch_warnings():
            # The newer route wants the project as well, which is not known here.
            warnings.simplefilter("ignore", DeprecationWarning)
            run = client.read_run(uuid.UUID(run_id))
    except (LangSmithNotFoundError, ValueError) as error:
        raise InvalidRequestError(f"There is neither a session nor a trace {run_id}.") from error
    except LangSmithError as error:
        raise SetupError(f"LangSmith did not give the trace: {error}") from error
    finally:
        client.close()
    for state in (run.outputs, run.inputs):
        if state and isinstance(state.get("profile"), dict):
            return {
                "profile": state["profile"],
                "language": state.get("language", "ko"),
                "wishes": state.get("turn") or {},
            }
    raise InvalidRequestError(
        f"The trace {run_id} has no profile: inputs are hidden from traces unless LANGSMITH_HIDE_INPUTS "
        "is set to false, or it is a part of a run. Name the whole run, or a session."
    )


def anonymize(profile: Profile, language: Language, text: str = "") -> tuple[Profile, str]:
    """Returns a profile, and a text of the same person, without personal data. Desired companies go as a
    whole: no rule can tell a kind of company from a company's name."""
    before = profile.model_dump()
    schools = {alias for row in before["educations"] for alias in _school_aliases(row["school"] or "")}
    companies = {alias for row in before["experiences"] for alias in _company_aliases(row["company"] or "")}
    replacements = {
        **dict.fromkeys(_names([*_texts(before), text]), GONE),
        **dict.fromkeys(schools, SCHOOL[language]),
        **dict.fromkeys(companies, COMPANY[language]),
    }
    # The longest first: a name may stand in another. A company may be called like a skill, which stays.
    names = sorted((name for name in replacements if len(name) > 1 and not find_skills(name)), key=len)
    patterns = [(_whole_word(name), replacements[name]) for name in reversed(names)]

    def clean(text: str) -> str:
        for pattern, by in patterns:
            text = pattern.sub(by, text)
        text = _HANDLE.sub(rf"\1{GONE}", _CONTACT.sub(GONE, text))
        text = _BIRTH.sub(GONE, _HOME.sub(GONE, _MESSENGER.sub(rf"\1{GONE}", text)))
        for pattern, month in _DAYS:
            text = pattern.sub(month, text)
        return _COMPANIES.sub(COMPANY[language], _SCHOOLS.sub(SCHOOL[language], text))

    after = _map_texts(before, clean)
    for row in after["educations"]:
        row["school"] = row["school"] and SCHOOL[language]
    for row in after["experiences"]:
        row["company"] = row["company"] and COMPANY[language]
        row["start"], row["end"] = _month(row["start"]), _month(row["end"])
    for key in ("activities", "awards", "certificates"):
        for row in after[key]:
            row["date"] = _month(row["date"])
    # The rules for names would only spoil the names of skills.
    after["skills"] = _skills(before["skills"])
    for old, row in zip(before["projects"], after["projects"], strict=True):
        row["skills"] = _skills(old["skills"])
    del after["desired_companies"]
    return Profile.model_validate({key: value for key, value in after.items() if value}), clean(text)


def _names(texts: list[str]) -> set[str]:
    names = {name for text in texts for match in _NAME.findall(text) for name in match if name}
    maybe = {name for text in texts for match in _MAYBE_NAME.findall(text) for name in match if name}
    names |= {name for name in maybe if _is_name(name)}
    english = (name for text in texts for name in _MAYBE_ENGLISH_NAME.findall(text))
    names |= {name for name in english if not _TRADE.search(name) and not find_skills(name)}
    # In English people go on with one of their names.
    return names | {part for name in names if name.isascii() for part in re.split(r"[ -]", name)}


def _is_name(word: str) -> bool:
    """Whether a word is none of the dictionary's: `저는 전공자입니다` names nobody."""
    return str(kiwi().tokenize(f"저는 {word}입니다")[2].tag) == "NNP"


def _school_aliases(school: str) -> Iterator[str]:
    """`가온들대학교` is called `가온들대` as well."""
    yield school
    short = re.fullmatch(r"(.{2,})(대|고등)학교", school)
    if short:
        yield f"{short[1]}{'대' if short[2] == '대' else '고'}"


def _company_aliases(company: str) -> Iterator[str]:
    """`㈜모퉁이정산` is called `모퉁이정산` as well, `Fernhollow Cards Ltd` `Fernhollow`."""
    yield company
    bare = _LEGAL_FORM.sub("", company).strip()
    yield bare
    word = re.match(r"[A-Z][a-z]{5,}(?= )", bare)
    if word and not _TRADE.match(word[0]):
        yield word[0]


def _whole_word(name: str) -> re.Pattern[str]:
    """Finds a name that is no part of another word; in Korean, particles follow it at once."""
    after = r"(?![A-Za-z0-9])" if name[-1].isascii() else ""
    return re.compile(rf"(?<![A-Za-z0-9가-힣]){re.escape(name)}{after}")


def _skills(skills: list[str]) -> list[str]:
    return [skill for skill in skills if not _CONTACT.search(skill)]


def _map_texts(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {key: _map_texts(item, clean) for key, item in value.items()}
    return [_map_texts(item, clean) for item in value] if isinstance(value, list) else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _month(day: str | None) -> str | None:
    match = re.search(r"(\d{4})\D{0,2}(\d{1,2})?", day or "")
    if match is None:
        return None
    return f"{match[1]}-{int(match[2]):02}" if match[2] else match[1]

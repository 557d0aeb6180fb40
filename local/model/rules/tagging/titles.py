"""What looks like the name of a job."""

from __future__ import annotations

import re

LONGEST = 60
_LONGEST_WITH_ALL = 150
"""A name with all that a heading says beside it."""

_KOREAN_ROLE = (
    "개발자|개발|엔지니어|프로그래머|아키텍트|디자이너|기획자|기획|매니저|분석가|분석|사이언티스트|애널리스트|연구원|연구"
    "|운영자|운영|관리자|관리|컨설턴트|컨설팅|테스터|리드|담당자|담당|전문가|마케터|작가|아티스트|에디터|설계|구축|보안"
    "|백엔드|프론트엔드|풀스택|서버|클라이언트|안드로이드|인프라|데이터|네트워크|임베디드|퍼블리셔|강사|상담원|직원|영업"
    "|회계|인사|마케팅|디자인|책임|선임|수석|요원|팀원|사원|기사|기술자|코디네이터|팀장|파트장|실장"
    "|PM|PO|QA|DBA|SRE|iOS|AI|DevOps|데브옵스"
)
_SUFFIX = (
    r"(?:\s*[\[(（][^)\]）]*[)\]）]|\s*[/·,&]\s*[^\s/·,&]++"
    r"|\s+(?:신입|경력|인턴|인턴십|정규직|계약직|시니어|주니어|직무|부문|분야|포지션|파트|[IVX]{1,3}"
    r"|\d+\s*명|[OoＯ○0]{1,3}\s*명))*"
)
_KOREAN = re.compile(rf"(?:{_KOREAN_ROLE}){_SUFFIX}$", re.IGNORECASE)
_ENGLISH = re.compile(
    r"\b(?:engineer|developer|programmer|architect|designer|manager|analyst|scientist|researcher"
    r"|administrator|consultant|specialist|tester|lead|director|head of|devops|sre|dba|intern|officer"
    r"|coordinator|technician"
    r"|engineering manager|sysadmin|marketer|recruiter|representative|accountant|writer)\b",
    re.IGNORECASE,
)
_SENTENCE = re.compile(
    r"(?:[다요죠]|세요|십시오)[.!]?$|[.!?]$|:$|^(?:our|we|the|you|what|why|how|about|meet|as an?)\b",
    re.IGNORECASE,
)
_ENGLISH_WORDS = 10

_HIRING_END = re.compile(
    r"\s*(?:직무|부문|분야|포지션)?\s*(?:신입\s*[/·및]\s*경력|신입|경력직|경력|신입직|수시|상시|공개|정규직)?\s*"
    r"(?:사원|직원|인재)?\s*(?:(?:을|를)?\s*(?:모집|채용|구)합니다|(?:을|를)?\s*(?:모십니다|찾습니다|채용해요|모집해요|찾아요)"
    r"|(?:공개\s*)?(?:채용|모집|구인|초빙)(?:\s*(?:공고|안내|중|공지|요강))*)\s*[!.~]*$"
)
_HIRING_START = re.compile(
    r"^\s*(?:we(?:'re| are)\s+(?:hiring|looking for)(?:\s+an?)?|now hiring|hiring"
    r"|job opening|job|position|opening|채용|모집)\s*[:\-–]?\s+(?=\S)",
    re.IGNORECASE,
)
_AT = re.compile(r"\s+(?:at|@)\s+[^,]+$", re.IGNORECASE)
_COUNT = re.compile(r"\s*(?:[(\[]\s*(?:[OoＯ○0]+|\d+)\s*명\s*[)\]]|(?:[OoＯ○0]{1,3}|\d+)\s*명)\s*$")
_BRACKET = re.compile(r"^\s*[\[【]([^\]】]+)[\]】]\s*(?=\S)")
_SEASON = re.compile(r"^.*?20\d\d\s*년?도?\s*(?:상반기|하반기|[1-4]분기)?\s*")
_MARK = re.compile(r"^[\s\-–—•·∙ㆍ▪▶▷►◆◇■□○●◦※*>#]+|^\(?\d{1,2}[.)]\s+|^[①-⑳]\s*")
_OF_THE_JOB = re.compile(r"신입|경력|인턴|계약|정규|주니어|시니어|junior|senior|intern", re.IGNORECASE)


def is_job(text: str) -> bool:
    """Whether a short text names a job rather than saying something of it."""
    bare = clean(text) if len(text) <= _LONGEST_WITH_ALL else ""
    if not bare or len(bare) > LONGEST or _SENTENCE.search(bare):
        return False
    if _KOREAN.search(bare) is not None:
        return True
    return _ENGLISH.search(bare) is not None and len(bare.split()) <= _ENGLISH_WORDS


def is_sentence(text: str) -> bool:
    """Whether a text says something rather than naming it."""
    return _SENTENCE.search(text) is not None


def uncounted(text: str) -> str:
    """Returns the name of a job without its mark and the number of people: as a table has it."""
    return _COUNT.sub("", _MARK.sub("", " ".join(text.split()))).strip(" -–|:")


def clean(text: str, company: str = "") -> str:
    """Returns the name of the job in a title: without the mark, the number of people, who hires and
    the word "hiring". Always a piece of the text."""
    bare = uncounted(text)
    hiring = _HIRING_END.search(bare)
    stripped = _AT.sub("", _HIRING_START.sub("", _HIRING_END.sub("", bare))).strip(" -–|:")
    bracket = _BRACKET.match(stripped)
    if bracket is not None and not _OF_THE_JOB.search(bracket[1]) and (hiring or bracket[1] == company):
        stripped = stripped[bracket.end() :]
    if company and stripped.startswith(company):
        stripped = stripped[len(company) :]
    # A bracket around all of it is a decoration.
    whole = re.fullmatch(r"[\[【<「]([^\[\]【】]+)[\]】>」]", stripped.strip())
    stripped = whole[1] if whole else stripped
    return uncounted(_SEASON.sub("", stripped) or stripped)

"""What a posting is searched by: its title, company and skills without what writers, and readers of pictures,
add to them.

The literal fields are what quotes stand in. These are made of them by rule, for every source; where something
was misread, the model that tags a document may read it better (`ingest/tagging`), and its reading goes
through the same rules. Each function gives back unchanged what it made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tools.core.text import one_line
from tools.lexicon import canonical, find_skills

_LEGAL_FORM = re.compile(
    r"주식\s?회사|유한\s?(?:책임\s?)?회사|[㈜㈲]|[(（]\s*[주유재사]\s*[)）]"
    r"|(?:,\s*|\s+)(?:inc(?:orporated)?|ltd|limited|llc|llp|plc|gmbh|corp(?:oration)?|co|pte)\.?"
    r"(?=\s*(?:,|$|(?:ltd|inc|llc|limited)\b))",
    re.IGNORECASE,
)
_BESIDE_HANGUL = re.compile(r"(?<=[가-힣])\s+|\s+(?=[가-힣])")
"""한빛 데이터 and 삼성 SDS are written with these and without; names in Latin letters are not."""
_SPELLED_OUT = re.compile(
    r"(?<![가-힣])[가-힣](?: [가-힣]){2,}(?![가-힣])|(?<!\w)[A-Za-z](?: [A-Za-z]){2,}(?!\w)"
)
"""백 엔 드: letter by letter, as wide type is read."""
_NUMBER = re.compile(
    r"[\[(（]\s*(?:\#?\d[\d\-_/.]*|(?:R|JR|JP|REQ|REF|ID|NO)[-_.\# ]{0,2}\d[\d\-_]+)\s*[\])）]"
    r"|(?<!\w)(?:req(?:uisition)?|ref|job\s?(?:id|no|code)|(?:채용|공고|모집)\s?번호|jr|jp)(?:\s*(?:id|no)\b)?\s*[.:\#\-_]*\s*\d[\w\-]+"
    r"|(?<!\w)\#\d{3,}\b|\s[-|/]\s*\d{4,}$|(?<!\w)R-?\d{5,}\b",
    re.IGNORECASE,
)
"""The number that the company or a board gave the posting."""
_COUNT = re.compile(
    r"[(（]\s*(?:[oOＯ○0]{1,3}|\d{1,3})\s*명\s*[)）]|(?<!\w)(?:[oOＯ○0]{1,3}|\d{1,3})\s*명(?!\w)"
)
_HIRING_WORDS = (
    r"(?:(?:대규모|긴급|급구|상시|수시|공개|추가|재)\s?)?(?:채용|모집|구인|공채)(?:\s?(?:공고|안내|중|요강))?"
    r"|급구|긴급|재공고|상시|수시|신입|인턴(?:십|사원)?|경력직?|정규직|계약직|파견직|경력무관"
    r"|new|urgent|hiring|now hiring"
    r"|full[- ]?time|part[- ]?time|permanent|contract|20\d\d년?(?:\s?[상하]반기)?|[상하]반기"
    r"|(?:(?:\d+|신입)\s?[~\-]\s?)?\d+\s?년차?(?:\s?(?:이상|이하))?|d-\d+|[mfwdx]/[mfwdx]/[mfwdx]"
    r"|(?:병역\s?특례|전문연구요원|산업기능요원|보충역|전직)(?:\s?가능)?|[\d,]+억\W{0,2}투자"
)
_HOW_IT_IS_HIRED = re.compile(
    rf"\s*(?:(?:{_HIRING_WORDS})(?:[\s/,·ㆍ&|]+(?:{_HIRING_WORDS}))*)?\s*", re.IGNORECASE
)
_LONGEST_HIRED = 60
"""Characters of a bracket that says how it is hired. Its words can be parted in two ways each (상시 채용 is
one or two), so a long one that is none in the end would be parted in all of them."""
_GROUP = re.compile(r"[\[［【<〈「『]([^\[\]［］【】<>〈〉「」『』]*)[\]］】>〉」』]|[(（]([^()（）]*)[)）]")
_HIRES = re.compile(
    r"\s+(?:(?:대규모|긴급|상시|수시|공개|추가)\s?)?(?:채용|모집|구인|공채)(?:\s?(?:공고|안내|중|요강))?\s*[!.~]*$"
    r"|\s*[을를]\s*(?:모십니다|찾습니다|채용합니다|모집합니다|찾아요)\s*[!.~]*$"
)
_WE_HIRE = re.compile(
    r"^(?:we(?:'re| are) (?:hiring|looking for)|(?:now )?hiring)\b\s*:?\s*(?:an?\s)?", re.IGNORECASE
)
_EDGE = " -–—|:/,·ㆍ•●■□◆◇▶▷►★☆※*~_@"
_SPACE_BEFORE = re.compile(r"\s+(?=[,)])")
_AT_COMPANY = re.compile(r"\s+at$", re.IGNORECASE)


def normal_company(name: str) -> str:
    """Returns the name of a company without its legal form and without spaces beside Hangul."""
    bare = one_line(_LEGAL_FORM.sub(" ", one_line(name))).strip(_EDGE + ".")
    return _BESIDE_HANGUL.sub("", bare) or one_line(name)


def normal_title(title: str, company: str = "") -> str:
    """Returns the name of a job without the posting's number, the number of people, the company, and the
    words that say that it is hired for. Words spelled out letter by letter are joined, and square brackets
    around a part of the name are taken off. A title that is nothing else stays as it is."""
    who = normal_company(company).casefold()
    bare, before = one_line(title), ""
    while bare != before:
        before = bare
        bare = _SPELLED_OUT.sub(lambda word: word[0].replace(" ", ""), bare)
        bare = _COUNT.sub(" ", _NUMBER.sub(" ", bare))
        bare = _GROUP.sub(lambda group: _resolved(group, who), bare)
        bare = _SPACE_BEFORE.sub("", one_line(bare)).strip(_EDGE)
        bare = _without_company(_WE_HIRE.sub("", _HIRES.sub("", bare)).strip(_EDGE), who)
    return bare or one_line(title)


def normal_skills(names: Iterable[str], text: str = "") -> list[str]:
    """Returns skills by the lexicon's names, each once: those of `names`, of which unknown ones stay as they
    are, then those that `text` names besides."""
    found = [canonical(name) for name in names]
    found += [skill for line in text.split("\n") for skill in find_skills(line)]
    return list(dict.fromkeys(found))


def unnamed(skills: Iterable[str], text: str) -> list[str]:
    """Returns those of `skills` of which `text` does not have the name, but another spelling."""
    lower = text.lower()
    return [skill for skill in skills if not _stands(skill.lower(), lower)]


def _stands(name: str, text: str) -> bool:
    at = text.find(name)
    while at >= 0:
        end = at + len(name)
        before, after = text[at - 1 : at], text[end : end + 1]
        if not (before.isascii() and before.isalnum()) and not (after.isascii() and after.isalnum()):
            return True
        at = text.find(name, at + 1)
    return False


def _resolved(group: re.Match[str], who: str) -> str:
    """Returns what is left of a bracket and what it holds."""
    inside = one_line(group[1] if group[1] is not None else group[2])
    if (len(inside) <= _LONGEST_HIRED and _HOW_IT_IS_HIRED.fullmatch(inside)) or (
        who and normal_company(inside).casefold() == who
    ):
        return " "
    return f" {inside} " if group[1] is not None else group[0]


def _without_company(title: str, who: str) -> str:
    words = title.split()
    for place in range(1, len(words)):
        ends = [(words[:place], words[place:]), (words[place:], words[:place])]
        for name, rest in ends:
            if who and normal_company(" ".join(name).strip(_EDGE)).casefold() == who:
                return _AT_COMPANY.sub("", " ".join(rest)).strip(_EDGE)
    return title

"""The lines of a posting that tell of the work: what prompts show of it, and what quotes come out of.

Introductions of the company, hiring steps and benefits are passed over. Every line is, letter for letter, a
part of the posting's text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter

from tools.core.text import cut
from tools.lexicon import find_skills, skills_in
from tools.lexicon.likeness import TOPICS, roots_of, same_words, spoken_for
from tools.lexicon.stems import COMMON, stems
from tools.postings.contracts import TEXT_FIELDS, StoredPosting

_SHORTEST_PIECE = 40
"""Characters: a shorter piece of a line says nothing without the rest."""
_SHORTEST_LINE = 6
"""Characters of a line that can tell of work."""
_LONG_LINE = 160
"""Characters from which a line is taken for a paragraph, and parted into its sentences."""
_LONGEST_LINE = 240
"""Characters of one line in a prompt."""
_CACHED = 4_096
"""Postings whose lines are kept, some 6 kB each: finding them costs about a millisecond a posting."""

_BULLET = re.compile(r"^[\s\-–—•·∙ㆍ▪▶►◆■□○●◦※*>✓✔☑#~ㅇ]+\s*|^\(?\d{1,2}[.)]\s+|^[①-⑳]\s*")
_SENTENCE_END = re.compile(
    r"(?<=[.!?])\s+|(?<=니다)\s+|(?<=어요)\s+|\s+[•▪■●ㆍ·]\s+|\s[-–]\s(?=\S)|\s*[;；]\s+"
)
_HEADING = re.compile(r"^[\[<【〔({《].{0,40}[\]>】〕)}》]$|[:：]$")
_INTRODUCTION = re.compile(
    r"(?:팀|본부|조직|회사|부서|그룹|셀|스쿼드|챕터)(?:은|는|에서는|이란|이에요|입니다)(?:\s|[.!]|$)"
    r"|(?:저희|우리)\s?(?:팀|회사|는|가|와)|팀을?\s*소개|합류(?:하|해|할)|함께\s*(?:할|성장|만들어|일할)"
    r"|모시고|찾고\s*있|모십니다|모여\s*있|이런\s*분|이런\s*(?:업무|일)를|비전과|미션|궁금해요"
    r"|about (?:us|the (?:team|company|role))|who we are|\bjoin (?:us|our team)\b"
    r"|\bour (?:mission|vision|company)\b"
    r"|\bwe(?:['’]re| are| believe| offer| look forward)\b|\bis (?:looking for|seeking)\b"
    r"|\b(?:founded in|headquartered|backed by)\b",
    re.IGNORECASE,
)
_HIRING = re.compile(
    r"서류\s*(?:전형|접수|심사|합격)|전형\s*(?:절차|방법|일정)?|면접|제출\s*(?:서류|해)|이력서|자기소개서|경력기술서"
    r"|지원하는\s*이유|입사\s*시|지원\s*(?:방법|서류)|채용\s*(?:절차|프로세스)|입사\s*(?:지원|일)|절차는"
    r"|인터뷰[가를는]?\s*진행|코딩\s*테스트|처우\s*협의|부탁\s*드"
    r"|접수|마감|수습\s*기간|급여|연봉|복지|복리|4대\s*보험|근무\s*(?:지|시간|형태|요일|조건)|연차|휴가|식대"
    r"|고용\s*형태|정규직|계약직|(?:나이|성별)\s*[:：/,]?\s*(?:무관|성별|학력)|보훈|장애인|병역|군필|결격\s*사유|해외\s*여행"
    r"|^(?:서울|경기|부산|대전|인천|판교|대구|광주)\S*\s\S+[구시동로길](?:\s|$)"
    r"|hiring (?:process|manager)|interview process|(?:technical|final|on-?site|video|phone) interview"
    r"|(?:requirements?|encouraged?(?: you)?) to apply\b|\b(?:please|you) apply\b"
    r"|\bapply (?:via|now|here|at|for)\b|application (?:process|deadline)"
    r"|\bresume\b|cover letter|send your cv|visa sponsorship|base (?:pay|salary)|\bcompensation\b|salary"
    r"|(?:our|comprehensive|offers?|benefits?) benefits|benefits (?:include|package|offering)|pension"
    r"|equal opportunity|paid time off|(?:health|medical) insurance|independent contractor|english fluency"
    r"|originally posted|find more .* jobs|think you.re a match",
    re.IGNORECASE,
)
_PAPERS = re.compile(
    r"학력|초대졸|대졸|졸업|학사|석사|박사|학위|전공자|(?:신입|경력)\D{0,12}(?:\d+\s*년|무관)|신입\s*(?:및|또는|·|/)\s*경력"
    r"|bachelor|\bdegree\b|\bph\.?d\b",
    re.IGNORECASE,
)
_WORK = re.compile(
    r"경험[이을]|설계|구축|구현|운영|개발(?:하|해|을|합)|분석|자동화|적용"
    r"|\b(?:design|build|develop|implement|operat|maintain|deploy)",
    re.IGNORECASE,
)
_WEIGHT = {"responsibilities": 0.6, "preferred": 0.3, "requirements": 0.2}
"""What the work is tells a project more than what one must bring along."""
_MOST_SKILLS, _MOST_WORDS = 3, 4
_SOFT = re.compile(
    r"소통|커뮤니케이션|협업|열정|성실|책임감|긍정|적극|주도적|배우는|학습하|관심(?:이|을)|끊임없|트렌드|동향|마인드|영어"
    r"|communicat|team player|passion|self-motivated|eager|interpersonal|fast-paced|curious|proactive",
    re.IGNORECASE,
)
"""What is asked of everybody. Such a line is shown where nothing else is left, if it names no skill."""
_texts_of: Callable[[StoredPosting], tuple[str, ...]] = attrgetter(*TEXT_FIELDS)
_CHOICE = re.compile(
    r"또는|혹은|중\s*(?:하나|1|한)|등(?![가-힣])|[,/·]|\bor\b|\bone of\b|\be\.?g\b|\bsuch as\b", re.IGNORECASE
)
"""What makes several skills a choice of which one is enough."""
_KOREAN = 5
"""A posting is Korean when one letter in so many is Hangul."""
_SAID = 1 / 3
"""Share of a line's telling words that stand in a posting which says the line: paraphrases keep no more."""
_FEW = 2
_SAID_OF_FEW = 2 / 3
"""Of a line with fewer telling words, this share of all of its words is enough too."""


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """A line that tells of the work: its text as prompts show it, the skills it names, its other telling
    words, and what it is worth whoever asks."""

    text: str
    skills: frozenset[str]
    words: frozenset[str]
    base: float

    def worth(self, skills: frozenset[str], words: frozenset[str]) -> float:
        """Returns how much the line tells of `skills` (canonical names) and `words` (stems)."""
        shared, told = len(self.skills & skills), len(self.words & words)
        return self.base + 1.5 * min(shared, _MOST_SKILLS) + 0.5 * min(told, _MOST_WORDS)


def _line(text: str, field: str) -> Line:
    skills = skills_in(text)
    soft = not skills and _SOFT.search(text) is not None
    base = 0.5 * min(len(skills), _MOST_SKILLS) - 2.0 * soft + _WEIGHT[field]
    return Line(cut(text, _LONGEST_LINE), skills, stems(text) - COMMON, base)


def lines_of(posting: StoredPosting) -> tuple[Line, ...]:
    """Returns the lines of a posting that tell of the work, in its order; of a posting with no such line,
    all of its lines."""
    return _lines_of(posting.job_title, _texts_of(posting))


def quotable_skills(posting: StoredPosting) -> frozenset[str]:
    """Returns the skills that the lines of a posting name, so that a quote can."""
    return _quotable(posting.job_title, _texts_of(posting))


@lru_cache(maxsize=_CACHED)
def _quotable(job_title: str, texts: tuple[str, ...]) -> frozenset[str]:
    return frozenset().union(*(line.skills for line in _lines_of(job_title, texts)))


@lru_cache(maxsize=_CACHED)
def _lines_of(job_title: str, texts: tuple[str, ...]) -> tuple[Line, ...]:
    title = job_title.strip()
    return tuple(
        _line(text, name)
        for name, found in zip(TEXT_FIELDS, _work_of(texts), strict=True)
        for text in found
        if text != title
    )


def work_texts(posting: StoredPosting) -> dict[str, list[str]]:
    """Returns the lines that tell of the work by field, without bullets, paragraphs by sentence. Of a posting
    that has none, all of its lines: a short one may have nothing but its introduction."""
    texts = _texts_of(posting)
    return {name: [*lines] for name, lines in zip(TEXT_FIELDS, _work_of(texts), strict=True)}


@lru_cache(maxsize=_CACHED)
def _work_of(texts: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    every = tuple(tuple(_pieces(text)) for text in texts)
    telling = tuple(tuple(line for line in lines if not _is_boilerplate(line)) for lines in every)
    return telling if any(telling) else every


@dataclass(frozen=True, slots=True, eq=False)
class _Terms:
    """What a posting can be asked for: the skills it names, those and the words they speak for, its text
    without white space, its Latin words as roots."""

    skills: frozenset[str]
    spoken_for: frozenset[str]
    plain: str
    roots: frozenset[str]
    korean: bool

    def says(self, word: str) -> bool:
        """Whether a word, or one that says the same, stands in the posting."""
        return any(
            same in self.spoken_for or (same in self.plain if same[0] >= "가" else same in self.roots)
            for same in same_words(word)
        )

    def comparable(self, word: str) -> bool:
        """Whether the word, or one that says the same, is of the posting's language."""
        return any((same[0] >= "가") == self.korean for same in same_words(word))


def _terms_of(posting: StoredPosting) -> _Terms:
    texts = (posting.company, posting.job_title, *_texts_of(posting))
    return _terms(texts, tuple(posting.skills))


@lru_cache(maxsize=_CACHED)
def _terms(texts: tuple[str, ...], listed: tuple[str, ...]) -> _Terms:
    whole = "\n".join(texts)
    plain = _plain(whole)
    skills: frozenset[str] = frozenset().union(*map(find_skills, texts[1:]), *map(skills_in, listed))
    return _Terms(
        skills=skills,
        spoken_for=skills | spoken_for(skills),
        plain=plain,
        roots=roots_of(whole),
        korean=sum("가" <= letter <= "힣" for letter in plain) * _KOREAN > len(plain),
    )


def skills_of(posting: StoredPosting) -> frozenset[str]:
    """Returns the canonical names of the skills that a posting names in its texts or its list."""
    return _terms_of(posting).skills


def _pieces(text: str) -> Iterator[str]:
    for raw in text.split("\n"):
        parts = _SENTENCE_END.split(raw) if len(raw) > _LONG_LINE else [raw]
        for part in parts:
            line = _BULLET.sub("", part.strip())
            if len(line) >= _SHORTEST_LINE:
                yield line


def _is_boilerplate(line: str) -> bool:
    if _HEADING.search(line):
        return True
    hiring = _HIRING.search(line) is not None
    about = _INTRODUCTION.search(line) or _PAPERS.search(line)
    if not hiring and (about is None or _WORK.search(line)):
        return False
    # "결제팀은 Kafka로 …": a line that names what is worked with is kept, whoever it introduces.
    return not find_skills(line)


def excerpt(text: str, limit: int) -> str:
    """Returns the beginning of `text` that fits into `limit` characters.

    The line that no longer fits is cut between words, and left out where only a scrap of it would fit.
    What is quoted of the excerpt stands in the text.
    """
    kept: list[str] = []
    left = limit
    for line in text.split("\n"):
        whole = len(line) <= left
        if not whole and (kept and left < _SHORTEST_PIECE):
            break
        kept.append(line if whole else cut(line, left))
        left -= len(line) + 1
        if left < 0:
            break
    return "\n".join(kept)


def telling_lines(
    posting: StoredPosting, skills: frozenset[str], words: frozenset[str], limit: int
) -> list[str]:
    """Returns the lines of a posting that tell most of `skills` and `words`, in the posting's order, in
    `limit` characters; at least one where the posting has any."""
    lines = lines_of(posting)
    worth = [line.worth(skills, words) for line in lines]
    # Soft lines only where there is nothing else.
    ranked = [place for place, value in enumerate(worth) if value > 0] or list(range(len(lines)))
    ranked.sort(key=worth.__getitem__, reverse=True)
    chosen: set[str] = set()
    left = limit
    for place in ranked:
        text = lines[place].text
        if chosen and len(text) > left:
            continue
        chosen.add(text)
        left -= len(text)
        if left < _SHORTEST_LINE:
            break
    return [text for text in dict.fromkeys(line.text for line in lines) if text in chosen]


def supports(line: str, posting: StoredPosting) -> bool:
    """Whether a posting says what `line` says, by what can be compared.

    It names the tools of the line: one of them where they are a choice ("Java 또는 Kotlin", "Kafka 등"),
    else at least half. And a third of the line's telling words stand in its text, or words that say the
    same. A word of the other language for which the lexicon has no other counts only where it stands there: a
    line with none but such words is believed.

    Measured on 111 lines written by hand, Korean and English, for 43 real postings in either language, with
    the postings that say each: of the true pairs of line and posting 94 % are kept (96 % of those of 47 lines
    that were written after the rule), of all other pairs 86 % are taken out (79 %).
    """
    return _supports(line, _terms_of(posting))


@lru_cache(maxsize=_CACHED)
def _supports(line: str, terms: _Terms) -> bool:
    asked = _asked_of(line)
    tools = len(asked.tools & terms.spoken_for)
    if asked.tools and (tools == 0 or (tools * 2 < len(asked.tools) and not asked.choice)):
        return False
    # What is there speaks for the line, however it is called.
    there = tools + len(asked.topics & terms.spoken_for)
    named = tools + len(asked.topics)
    telling = asked.words - COMMON
    if _share(telling, terms, there, named) >= _SAID:
        return True
    return len(telling) < _FEW and _share(asked.words, terms, there, named) >= _SAID_OF_FEW


def _share(words: Collection[str], terms: _Terms, there: int, named: int) -> float:
    """Of `words` that can be compared and `named` more, of which `there` are there: the share that a posting
    says; 1 where there is nothing to compare."""
    said = [terms.says(word) for word in words]
    missing = sum(terms.comparable(word) for word, says in zip(words, said, strict=True) if not says)
    compared = named + sum(said) + missing
    return (there + sum(said)) / compared if compared else 1.0


def speaks_of(domain: str, posting: StoredPosting) -> bool:
    """Whether anything in a posting, its company's name too, speaks for what its company is said to make;
    True where nothing can be compared."""
    terms, asked = _terms_of(posting), _asked_of(domain)
    named, telling = asked.tools | asked.topics, asked.words - COMMON
    if named & terms.spoken_for or any(map(terms.says, telling)):
        return True
    return not named and not any(map(terms.comparable, telling))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a line asks for: tools by name, topics, words that are no name of a tool; whether one of the
    tools is enough."""

    tools: frozenset[str]
    topics: frozenset[str]
    words: frozenset[str]
    choice: bool


@lru_cache(maxsize=_CACHED)
def _asked_of(line: str) -> _Asked:
    named = skills_in(line)
    words = frozenset(word for word in stems(line) if skills_in(word) <= TOPICS)
    return _Asked(named - TOPICS, named & TOPICS, words, _CHOICE.search(line) is not None)


def named_in(names: Iterable[str], text: str) -> list[str]:
    """Returns those of `names` that stand in `text` letter for letter, but for case and white space; a Latin
    name not within a longer word."""
    return [name for name in names if name.strip() and _name_pattern(name).search(text)]


@lru_cache(maxsize=_CACHED)
def _name_pattern(name: str) -> re.Pattern[str]:
    letters = "".join(name.split())
    before = r"(?<![a-z0-9])" if letters[0].isascii() else ""
    behind = r"(?![a-z0-9])" if letters[-1].isascii() else ""
    return re.compile(before + r"\s*".join(map(re.escape, letters)) + behind, re.IGNORECASE)


def _plain(text: str) -> str:
    return "".join(text.lower().split())

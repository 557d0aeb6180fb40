"""What an answer claims of how many postings ask for something, held against the summary."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tools.lexicon import skills_in
from tools.lexicon.stems import COMMON, stems

_CLAIMS = re.compile(
    # 공고 13개 중 9개 · 13건 가운데 9건 · 전체 13개 공고 중 9곳
    r"(?P<of_ko>\d+)\s*(?:개|건|곳)?(?:의)?\s*(?:공고|회사|기업)?\s*(?:중|가운데)(?:에서)?\s*(?P<ko>\d+)\s*(?:개|건|곳)"
    # 공고 9개가 · 9개 공고 · 9곳에서 요구
    r"|공고\s*(?P<ko2>\d+)\s*(?:개|건|곳)|(?P<ko3>\d+)\s*(?:개|건|곳)(?:의)?\s*(?:공고|회사|기업)"
    r"|(?P<ko4>\d+)\s*(?:개|건|곳)(?:에서|이|가)\s*(?:요구|우대|찾|언급|명시)"
    # 9 of 13 · 9 out of the 13 · 9 postings · 9/13
    r"|(?P<en>\d+)\s*(?:of|out of|/)\s*(?:the\s+|all\s+)?(?P<of_en>\d+)"
    r"|(?P<en2>\d+)\s+(?:of the\s+)?(?:job\s+)?postings",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|[;；\n]|(?<=[다요])\.\s*")


def sentences(text: str) -> Iterator[tuple[str, list[int], list[int]]]:
    """Yields the sentences that claim a number of postings: the sentence, the numbers of postings that are
    said to ask, and the totals they are said to be of."""
    for sentence in filter(None, map(str.strip, _SENTENCE.split(text))):
        counts: list[int] = []
        totals: list[int] = []
        for claim in _CLAIMS.finditer(sentence):
            for name, digits in claim.groupdict().items():
                if digits is not None:
                    (totals if name.startswith("of_") else counts).append(int(digits))
        if counts:
            yield sentence, counts, totals


def untrue(text: str, summary: Mapping[str, Any], kept: int) -> list[str]:
    """Returns the sentences of `text` whose numbers are not those of the summary.

    A number is true when a line of the summary has it: where the sentence names a skill of the summary, one
    that shares a skill or a word with it, else any. The number of kept postings always is.
    """
    claims = list(sentences(text))
    if not claims:
        return []
    lines = [line for part in summary.values() for line in part or []]
    false = []
    for sentence, counts, totals in claims:
        named, words = skills_in(sentence), stems(sentence) - COMMON
        by_skill = [line for line in lines if named & skills_in(line["text"])]
        by_word = [line for line in lines if words & (stems(line["text"]) - COMMON)]
        true = {line["count"] for line in ([*by_skill, *by_word] if by_skill else lines)} | {kept}
        if not set(counts) <= true or not set(totals) <= {kept}:
            false.append(sentence)
    return false

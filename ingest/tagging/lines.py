"""The lines that a model copied, as they are kept: one item each, in its field, without a bullet's debris.

What readers of pictures and careless pages leave is put in order by rule, whichever model answered: marks
that were read as letters, items written one behind the other, heads of sections inside a line. A label of
some lines ([Android], [iOS]) goes before each of them, so that a line says by itself what it is about.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from ingest.blocks import plain
from tools.postings.contracts import TEXT_FIELDS

_SECTIONS = {
    "responsibilities": "담당업무|주요업무|수행업무|업무내용",
    "requirements": "자격요건|지원자격|자격조건|필수요건|필수조건|응시자격|필수사항",
    "preferred": "우대사항|우대조건|우대요건",
}
SECTION = re.compile("|".join(_SECTIONS.values()))
"""The heads of sections that stand inside run-on lines; longer ones and those of English pages do not."""
_FIELD_OF = {head: field for field, heads in _SECTIONS.items() for head in heads.split("|")}
_HEAD = rf"(?:{SECTION.pattern})"
_ENTERS = re.compile(rf"^{_HEAD}(?=[^\s가-힣])|(?<=\S){_HEAD}(?=\S)|{_HEAD}(?=\s*[:：])")
"""A head is one where it is written against what is beside it, or has a colon behind it; between spaces it is
a word like others."""
_PARTICLE = re.compile(r"[은는이가을를와과의에및로]|으로|에서|별|명|서")
_NOTHING_BUT_HEADS = re.compile(rf"[\W_]*(?:{SECTION.pattern})(?:[\W_]*(?:{SECTION.pattern}))*[\W_]*")

_LETTER_MARK = re.compile(r"^(?:[OoＯ0ㅇㅁ○□](?:\s+|(?=[-•·]))(?![~\-–]\s?\d|\d))+(?=\S)")
"""○, □ and ㅇ before an item, as readers of pictures see them."""
_DEBRIS = re.compile(r"^[\s:：|]+|(?:\s*[•ㆍ▪▫■□○●◦|]|\s+[-–—·*:])+$")
_SCRAP = re.compile(r"[\W\d_]*[가-힣]?[\W\d_]*")
"""Signs, numbers and at most one syllable: what is left of a mark, or of a word that was cut."""
_NEXT_ITEM = re.compile(r"\n|\s+ㆍ(?=\S)|\s*[•▪■●✓✔]\s*(?=\S)")
_LABEL = re.compile(r"[\[【]\s*([^\[\]【】]{1,30}?)\s*[\]】]\s*(.*)", re.DOTALL)


def in_fields(lines: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Returns the items of the text fields of a position: those of a run-on line in the fields that the
    heads inside it name."""
    kept: dict[str, list[str]] = {field: [] for field in TEXT_FIELDS}
    for field in TEXT_FIELDS:
        label = ""
        for line in lines[field]:
            for own_field, piece in _by_section(line, field):
                for item in map(_bare, _NEXT_ITEM.split(piece)):
                    if _SCRAP.fullmatch(item) or _NOTHING_BUT_HEADS.fullmatch(item):
                        continue
                    named = labelled(item)
                    if named is None:
                        kept[own_field].append(f"[{label}] {item}" if label else item)
                    elif named[1]:
                        label = ""
                        kept[own_field].append(item)
                    else:
                        label = named[0]
    return kept


def labelled(line: str) -> tuple[str, str] | None:
    """Returns the label in brackets before a line, and the line without it; None where there is none."""
    match = _LABEL.fullmatch(line.strip())
    return (match[1], match[2]) if match is not None else None


def _bare(item: str) -> str:
    """Returns an item without what is left of bullets before and behind it."""
    bare = plain(item)
    while (cut := plain(_LETTER_MARK.sub("", _DEBRIS.sub("", bare)))) != bare:
        bare = cut
    return bare


def _by_section(line: str, field: str) -> Iterator[tuple[str, str]]:
    """Yields the pieces of a line between the heads inside it, each with its field."""
    begin = 0
    for match in _ENTERS.finditer(line):
        if not _PARTICLE.match(line, match.end()):
            yield field, line[begin : match.start()]
            field, begin = _FIELD_OF[match[0]], match.end()
    yield field, line[begin:]

"""How well a parser read a poster: its lines, its words and skills, its tables, and the fields made of it.

White space and bullets count nowhere: a bullet is drawn in twenty ways, and where a wrapped line goes on is
not the recogniser's doing. Words are counted with their spaces, by the recall of Hangul words.

Tables are scored by tree edit distance similarity (TEDS: Zhong, ShafieiBavani and Jimeno Yepes, "Image-based
table recognition: data, model, and evaluation", 2020): a table is a tree of rows and cells; the score is one
minus the edit distance of the two trees over the size of the larger one. TEDS-structure leaves texts out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from lxml import html

from ingest.documents import Parsed, Table
from tools.lexicon import find_skills
from tools.postings.contracts import Position

# apted and rapidfuzz are imported where they are used: they are in the extra `eval`.
# ruff: noqa: PLC0415

TRUTH = "truth.ndjson"
"""The file beside a folder's posters that has the truth about them."""
READ = 0.2
"""Share of a line's letters that may be wrong for the line to count as read."""
_FIELDS = ("job_title", "responsibilities", "requirements", "preferred")
_IGNORED = re.compile(r"[\s\-–—•·ㆍ▶▷►■□●○◆◇※✓>*]+")
_WORD = re.compile("[가-힣]+")
_TAKEN = "\0"


@dataclass(frozen=True)
class Score:
    """Counts of one document; rates come from sums over documents. `errors` of letters are counted with lines
    in whatever order (`line_errors`), `ordered_errors` in reading order."""

    errors: int
    ordered_errors: int
    letters: int
    words_found: int
    words: int
    skills_found: int
    skills: int
    lines_found: int
    lines: int


def text_lines(parsed: Parsed) -> list[str]:
    """Returns the lines that a parser read, table cells row by row."""
    lines: list[str] = []
    for block in parsed.blocks:
        if isinstance(block, Table):
            lines += [line for row in block.rows for cell in row for line in cell.text.split("\n")]
        else:
            lines += block.text.split("\n")
    return lines


def score_text(truth: Sequence[str], read: Sequence[str]) -> Score:
    """Compares the lines of a document with those read of it."""
    from rapidfuzz.distance import Levenshtein

    wanted, seen = [bare(line) for line in truth], [bare(line) for line in read]
    skills, seen_skills = set(find_skills("\n".join(truth))), set(find_skills("\n".join(read)))
    words, seen_words = (Counter(w for line in lines for w in _WORD.findall(line)) for lines in (truth, read))
    return Score(
        errors=line_errors(wanted, seen),
        ordered_errors=Levenshtein.distance("".join(wanted), "".join(seen)),
        letters=sum(map(len, wanted)),
        words_found=sum((words & seen_words).values()),
        words=sum(words.values()),
        skills_found=len(skills & seen_skills),
        skills=len(skills),
        lines_found=lines_found(wanted, seen),
        lines=sum(map(bool, wanted)),
    )


def bare(line: str) -> str:
    """Returns a line without white space and bullets."""
    return _IGNORED.sub("", line)


def lines_found(truth: Iterable[str], read: Iterable[str]) -> int:
    """Returns how many lines of the truth stand in what was read, with at most `READ` of their letters
    wrong."""
    text = _TAKEN.join(read)
    return sum(nearest(line, text)[0] <= READ * len(line) for line in truth if line)


def line_errors(truth: Iterable[str], read: Iterable[str]) -> int:
    """Returns the edit distance without regard to the order of lines.

    Each line of the truth, the longest first, takes the stretch of what was read that is nearest to it; what
    no line has taken in the end was made up, and counts in full.
    """
    rest = _TAKEN.join(read)
    errors = 0
    for line in sorted(truth, key=len, reverse=True):
        cost, start, end = nearest(line, rest)
        errors += cost
        rest = rest[:start] + _TAKEN + rest[end:]
    return errors + sum(letter != _TAKEN for letter in rest)


def nearest(line: str, text: str) -> tuple[int, int, int]:
    """Returns the stretch of `text` with the least edit distance to `line`: distance, start, end.

    Sellers, "The theory and computation of evolutionary distances: pattern recognition", 1980.
    """
    if not line or not text:
        return len(line), 0, 0
    costs = _costs(line, text)
    end = int(costs.argmin())
    cost = int(costs[end])
    if cost >= len(line):
        return len(line), 0, 0
    # The same search backwards from the end finds where the stretch begins.
    backwards = _costs(line[::-1], text[:end][::-1], anchored=True)
    return cost, end - int(backwards.argmin()), end


def _costs(line: str, text: str, *, anchored: bool = False) -> np.typing.NDArray[np.int_]:
    """For each end in `text`, the least distance of a stretch that ends there; anchored: from the start."""
    letters = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    places = np.arange(len(letters) + 1)
    row = places.copy() if anchored else np.zeros(len(letters) + 1, dtype=np.int_)
    for number, letter in enumerate(line, 1):
        changed = row[:-1] + (letters != ord(letter))
        best = np.minimum(row + 1, np.concatenate(([number], changed)))
        # A letter too many in the text costs one for each place it goes on: a running minimum.
        row = np.minimum.accumulate(best - places) + places
    return row


def field_lines_found(
    truth: Sequence[Mapping[str, str | None]], tagged: Sequence[Position]
) -> tuple[int, int]:
    """Returns how many lines of the true positions' four fields stand in the same field of some tagged
    position, and of how many; `READ` of a line's letters may be wrong, as misreading is measured
    elsewhere."""
    found = total = 0
    for name in _FIELDS:
        text = _TAKEN.join(bare(getattr(position, name)) for position in tagged)
        lines = [bare(line) for position in truth for line in (position[name] or "").split("\n")]
        total += sum(map(bool, lines))
        found += lines_found(lines, [text])
    return found, total


@dataclass
class Node:
    """A node of a table's tree: the table, a row or a cell."""

    tag: str
    spans: tuple[int, int] = (1, 1)
    text: str = ""
    children: list[Node] = field(default_factory=list)

    @property
    def size(self) -> int:
        return 1 + sum(child.size for child in self.children)


def tree_of_html(text: str) -> Node:
    """Returns the tree of a table in HTML."""
    table = Node("table")
    for row in html.fragment_fromstring(text).iter("tr"):
        cells = [
            Node(
                "td",
                (int(cell.get("rowspan") or 1), int(cell.get("colspan") or 1)),
                bare("".join(cell.itertext())),
            )
            for cell in row.iter("td", "th")
        ]
        table.children.append(Node("tr", children=cells))
    return table


def trees_of(parsed: Parsed) -> list[Node]:
    """Returns the trees of the tables that a parser found."""
    trees = []
    for block in parsed.blocks:
        if isinstance(block, Table):
            table = Node("table")
            for row in block.rows:
                cells = [Node("td", (cell.rowspan, cell.colspan), bare(cell.text)) for cell in row]
                table.children.append(Node("tr", children=cells))
            trees.append(table)
    return trees


def similarity(one: Node, other: Node, *, structure: bool = False) -> float:
    """Returns the TEDS of two tables, 0 to 1."""
    from apted import APTED, Config
    from rapidfuzz.distance import Levenshtein

    class Costs(Config):  # type: ignore[misc]
        """Cells with other spans are other cells; equal ones differ by their texts' distance."""

        def rename(self, one: Node, other: Node) -> float:
            if one.tag != other.tag or one.spans != other.spans:
                return 1.0
            if structure or one.tag != "td":
                return 0.0
            return float(Levenshtein.normalized_distance(one.text, other.text))

        def children(self, node: Node) -> list[Node]:
            return node.children

    distance = APTED(one, other, Costs()).compute_edit_distance()
    return 1.0 - float(distance) / max(one.size, other.size)


def score_tables(truth: Sequence[Node], found: Sequence[Node]) -> tuple[list[float], list[float]]:
    """Returns TEDS and TEDS-structure of each table of an image.

    Tables are paired by similarity, the best pairs first; a table that was not found scores 0, and so does
    one that is none.
    """
    pairs = sorted(
        ((similarity(one, other), i, j) for i, one in enumerate(truth) for j, other in enumerate(found)),
        reverse=True,
    )
    left, right = set(range(len(truth))), set(range(len(found)))
    full: list[float] = []
    structure: list[float] = []
    for score, i, j in pairs:
        if i in left and j in right:
            left.remove(i)
            right.remove(j)
            full.append(score)
            structure.append(similarity(truth[i], found[j], structure=True))
    missed = [0.0] * (len(left) + len(right))
    return full + missed, structure + missed

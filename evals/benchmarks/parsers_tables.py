"""How well tables were read: tree edit distance similarity (TEDS).

Zhong, ShafieiBavani and Jimeno Yepes, "Image-based table recognition: data, model, and evaluation",
2020: a table is a tree of rows and cells; the score is one minus the edit distance of the two trees
over the size of the larger one. TEDS-structure leaves the cells' text out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from apted import APTED, Config
from lxml import html
from rapidfuzz.distance import Levenshtein

from evals.benchmarks.parser_scores import bare
from ingest.documents import Parsed, Table


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


class _Costs(Config):  # type: ignore[misc]
    """Cells with other spans are other cells; equal ones differ by their texts' distance."""

    def __init__(self, *, structure: bool) -> None:
        self._structure = structure

    def rename(self, one: Node, other: Node) -> float:
        if one.tag != other.tag or one.spans != other.spans:
            return 1.0
        if self._structure or one.tag != "td":
            return 0.0
        return float(Levenshtein.normalized_distance(one.text, other.text))

    def children(self, node: Node) -> list[Node]:
        return node.children


def tree_of_html(text: str) -> Node:
    """The tree of a table in HTML. White space and bullets in cells do not count."""
    root = html.fragment_fromstring(text)
    table = Node("table")
    for row in root.iter("tr"):
        node = Node("tr")
        for cell in row.iter("td", "th"):
            spans = int(cell.get("rowspan") or 1), int(cell.get("colspan") or 1)
            node.children.append(Node("td", spans, bare("".join(cell.itertext()))))
        table.children.append(node)
    return table


def trees_of(parsed: Parsed) -> list[Node]:
    """The trees of the tables that a parser found."""
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
    """TEDS of two tables, 0 to 1."""
    distance = APTED(one, other, _Costs(structure=structure)).compute_edit_distance()
    return 1.0 - float(distance) / max(one.size, other.size)


def score_tables(truth: Sequence[Node], found: Sequence[Node]) -> tuple[list[float], list[float]]:
    """TEDS and TEDS-structure of each table of an image.

    Tables are paired from top to bottom, the best pairs first by text; a table that was not found
    scores 0, and so does one that is none.
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

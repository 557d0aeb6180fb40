"""Documents and what stands in them, and what they are built from."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.documents import Block, Cell, Heading, Hints, Paragraph, Parsed, Table


@dataclass(frozen=True, slots=True)
class Truth:
    """A position: its title, and its lines as they stand in the document."""

    title: str
    responsibilities: list[str] = field(default_factory=list)
    requirements: list[str] = field(default_factory=list)
    preferred: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Document:
    """A document, what its source says of it, and the positions in it."""

    name: str
    blocks: list[Block]
    truth: list[Truth]
    hints: Hints = field(default_factory=Hints)

    @property
    def parsed(self) -> Parsed:
        """The document as a parser gives it."""
        return Parsed(blocks=self.blocks, parser="test/1")


def heading(text: str, level: int = 2) -> Heading:
    return Heading(text=text, level=level)


def text(*lines: str) -> Paragraph:
    return Paragraph(text="\n".join(lines))


def cell(content: str, rowspan: int = 1, colspan: int = 1, *, header: bool = False) -> Cell:
    return Cell(text=content, rowspan=rowspan, colspan=colspan, header=header)


def table(*rows: list[Cell | str]) -> Table:
    return Table(rows=[[c if isinstance(c, Cell) else cell(c) for c in row] for row in rows])

"""What the stages hand on: raw files, documents, blocks.

collect ─ Collected ─► parse ─ Parsed ─► tag ─ Tagged ─► embed, load
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from tools.core.text import clean
from tools.postings.contracts import Deadline, Name, OptionalName, Position, WebAddress


@dataclass(frozen=True, slots=True)
class RawFile:
    """One file of a document as it came: a poster, a page of HTML, a row of a JSONL file.

    `media_type` is what its source says; the parsers go by the content.
    """

    name: str
    media_type: str
    content: bytes

    @property
    def content_hash(self) -> str:
        """SHA-256 of the content, 64 hexadecimal digits."""
        return hashlib.sha256(self.content).hexdigest()


class Hints(BaseModel):
    """What a source says of a posting beside its files. It is used where the document itself says nothing."""

    model_config = ConfigDict(frozen=True)

    title: OptionalName = None
    company: OptionalName = None
    url: WebAddress = None
    deadline: Deadline = None
    location: OptionalName = None
    employment_type: OptionalName = None
    experience: OptionalName = None
    positions: tuple[Name, ...] = ()
    """Names of the positions, where the source lists them."""


@dataclass(frozen=True, slots=True)
class Collected:
    """One document: the files of one posting, in reading order, and where they came from.

    `source` and `source_id` are its key in every run. `scope` is the part of a source that one listing
    covers (a board): what a later listing of that scope does not name is withdrawn."""

    source: str
    source_id: str
    files: tuple[RawFile, ...]
    hints: Hints = field(default_factory=Hints)
    scope: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """JSON: `url`, `fetched_at`, and what else says where the files are from."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The ids of all documents of a scope that are open now: the others are withdrawn."""

    source: str
    scope: str
    source_ids: frozenset[str]


CleanText = Annotated[str, AfterValidator(clean)]


class Cell(BaseModel):
    """A table's cell: its text (lines separated by a line feed) and what it spans."""

    text: CleanText
    rowspan: int = Field(1, ge=1)
    colspan: int = Field(1, ge=1)
    header: bool = False


class Heading(BaseModel):
    """A heading, from level 1 (the document's title) to 6."""

    kind: Literal["heading"] = "heading"
    text: CleanText
    level: int = Field(2, ge=1, le=6)
    page: int = 1
    confidence: float | None = None


class Paragraph(BaseModel):
    """Running text or a list, one item a line; items of a list begin with `- `."""

    kind: Literal["text"] = "text"
    text: CleanText
    page: int = 1
    confidence: float | None = None


class Table(BaseModel):
    """A table: each row has the cells that begin in it, left to right, as in HTML."""

    kind: Literal["table"] = "table"
    rows: list[list[Cell]]
    page: int = 1
    confidence: float | None = None


Block = Annotated[Heading | Paragraph | Table, Field(discriminator="kind")]
"""A piece of a document. `page` counts from 1 over all its files; `confidence` is 0 to 1, and null where
the text was not recognised from a picture."""


class Cost(BaseModel):
    """What a stage used. `usd` is null where the price of a model is not known."""

    pages: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float | None = 0.0

    def __add__(self, other: Cost) -> Cost:
        known = self.usd is not None and other.usd is not None
        return Cost(
            pages=self.pages + other.pages,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            usd=(self.usd or 0.0) + (other.usd or 0.0) if known else None,
        )

    def __str__(self) -> str:
        money = "price unknown" if self.usd is None else f"${self.usd:.4f}"
        return f"{self.pages} pages, {self.input_tokens + self.output_tokens} tokens, {money}"


class Parsed(BaseModel):
    """A document as blocks in reading order.

    `parser` is the parser with its version (`local/1`, `upstage/document-parse-260930`, `html/1`).
    `confidence` is the mean over recognised text, weighted by its length; null where no text was recognised
    from a picture. `warnings` are for people: "page 2: 3 boxes with ink and no text"."""

    blocks: list[Block]
    parser: str
    confidence: float | None = None
    warnings: list[str] = []
    flags: list[str] = []
    """For programs: `low_confidence`."""
    cost: Cost = Cost()


class Tagged(BaseModel):
    """The positions of a document. `dropped` are lines that the model wrote and that are not in the
    document."""

    positions: list[Position]
    dropped: list[str] = []
    prompt: str | None = None
    """Version of the prompt; null where the document was structured already."""
    model: str | None = None
    cost: Cost = Cost()

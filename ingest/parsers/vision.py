"""Any chat model that reads images, as a parser: `settings.vision_model` at the model's API."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from ingest.blocks import block_lines, mean_confidence
from ingest.documents import Block, Cell, Cost, Heading, Paragraph, Parsed, RawFile, Table
from ingest.errors import DocumentUnreadableError, ParserUnavailableError
from ingest.parsers.images import Piece, cut_into_pieces
from ingest.parsers.lines import MAX_COLSPAN, clean_table
from tools.core.errors import ModelOutputError, ModelUnavailableError
from tools.core.fencing import fence
from tools.core.settings import Settings
from tools.core.text import one_line
from tools.llm.chat import ChatModel, Usage
from tools.llm.journal import ResponseJournal
from tools.llm.token_estimates import usd
from tools.prompts.registry import PromptRegistry

logger = logging.getLogger(__name__)

_PIECES_PER_CALL = 4  # some 3,000 rows of a poster, whose text fits into one answer
_MAX_PIECES = 64
_LONGEST_OVERLAP = 6  # lines or rows that two pieces can have in common
_FATAL = ("key", "quota", "region", "model_not_found", "not_found", "structured_output", "parameter")
"""Causes that concern every image alike, until somebody corrects a setting or an account."""
_DECLINED = ("refusal", "content_filter")


class ReadCell(BaseModel):
    """A cell of a table, written where it begins."""

    text: str
    rowspan: int
    colspan: int
    header: bool


class ReadBlock(BaseModel):
    """A heading, a text or a table. Flat, because strict schemas know no alternatives by kind."""

    kind: Literal["heading", "text", "table"]
    level: int = Field(description="of a heading, 1 to 3; else 0")
    text: str = Field(description="of a heading or a text; else empty")
    rows: list[list[ReadCell]] = Field(description="of a table; else empty")
    confidence: float = Field(description="0 to 1: how surely the letters were read")


class ReadImage(BaseModel):
    """Everything that is written in the pictures, in reading order."""

    blocks: list[ReadBlock]


class VisionParser:
    """Reads images with a chat model. Every answer is paid for once (`tools.llm.journal`)."""

    name = "vision"

    def __init__(self, settings: Settings, http_client: Any, journal: ResponseJournal | None = None) -> None:
        own = settings.model_copy(update={"chat_model": settings.vision_model})
        self._model = ChatModel(own, http_client).for_run(journal)
        self._prompt = PromptRegistry.bundled("ingest.parsers").get("read_image", "ko")

    async def parse(self, file: RawFile) -> Parsed:
        """As `Parser.parse`. The confidence is the model's own estimate.

        Raises:
            DocumentUnreadableError: the image is broken or too long, the model refuses it, or its
                answers stay invalid; `cost` is what they cost.
            ParserUnavailableError: the model does not answer; `fatal` where the key or the
                model is wrong.
        """
        pieces = await asyncio.to_thread(cut_into_pieces, file)
        if len(pieces) > _MAX_PIECES:
            raise DocumentUnreadableError(
                f"{file.name} is too tall for a vision model: {len(pieces)} pieces, of which at most "
                f"{_MAX_PIECES} are read.",
                file=file.name,
            )
        usage = Usage()
        blocks: list[Block] = []
        for start in range(0, len(pieces), _PIECES_PER_CALL):
            group = pieces[start : start + _PIECES_PER_CALL]
            try:
                read, used = await self._read(group)
            except ModelOutputError as error:
                words = error.message if _declined(error) else "The vision model gives no valid answer."
                raise DocumentUnreadableError(
                    f"{file.name}: {words}", file=file.name, cost=self._cost(usage + _usage(error))
                ) from error
            except ModelUnavailableError as error:
                raise self._refused(file, error, usage) from error
            usage += used
            blocks = join_pieces(blocks, read, overlap=group[0].overlaps)
        return Parsed(
            blocks=blocks,
            parser=f"{self.name}/{self._model.model_name}",
            confidence=mean_confidence(blocks),
            cost=self._cost(usage),
        )

    async def _read(self, group: Sequence[Piece]) -> tuple[list[Block], Usage]:
        """Asks for the text of some pieces; where the answer for all of them is invalid, of half as many at a
        time: a common reason is that the answer was cut off for its length."""
        shown = [
            {"picture": number, "repeats": piece.overlaps and number > 1}
            for number, piece in enumerate(group, 1)
        ]
        try:
            reply = await self._model.ask(
                self._prompt,
                {"pictures": fence("pictures", shown)},
                ReadImage,
                _problems,
                images=[piece.png for piece in group],
            )
        except ModelOutputError as error:
            if len(group) == 1 or _declined(error):
                raise
            logger.info("vision model is asked for fewer pieces", extra={"pieces": len(group)})
            half = len(group) // 2
            try:
                above, above_usage = await self._read(group[:half])
                below, below_usage = await self._read(group[half:])
            except ModelOutputError as again:
                raise ModelOutputError(usage=_usage(error) + _usage(again)) from again
            blocks = join_pieces(above, below, overlap=group[half].overlaps)
            return blocks, _usage(error) + above_usage + below_usage
        return [block for read in reply.value.blocks for block in _blocks(read)], reply.usage

    def _cost(self, usage: Usage) -> Cost:
        return Cost(
            pages=1,
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            usd=usd(self._model.model_name, usage.input_tokens, usage.output_tokens),
        )

    def _refused(
        self, file: RawFile, error: ModelUnavailableError, usage: Usage
    ) -> ParserUnavailableError | DocumentUnreadableError:
        cost = self._cost(usage)
        if error.cause in _FATAL:
            return ParserUnavailableError(
                f"The vision model {self._model.model_name} cannot be used: {error.message} Or take `vision` "
                "out of CHECKERBOARD_PARSERS; the model is CHECKERBOARD_VISION_MODEL.",
                parser=self.name,
                status=error.status,
                fatal=True,
                cost=cost,
            )
        if error.status in (400, 413, 422):
            return DocumentUnreadableError(
                f"The vision model's API refused {file.name} ({error.status}).", file=file.name, cost=cost
            )
        return ParserUnavailableError(
            f"The vision model {self._model.model_name} does not answer ({error.cause}).",
            parser=self.name,
            cost=cost,
        )


def _problems(answer: ReadImage) -> list[str]:
    return [
        f"blocks.{number}: {what}"
        for number, block in enumerate(answer.blocks)
        for what, wrong in (
            ("confidence is from 0 to 1", not 0 <= block.confidence <= 1),
            ("a table has rows", block.kind == "table" and not block.rows),
            ("a heading or text has no rows", block.kind != "table" and bool(block.rows)),
            (
                "rowspan and colspan are 1 or more",
                any(min(cell.rowspan, cell.colspan) < 1 for row in block.rows for cell in row),
            ),
        )
        if wrong
    ][:10]


def _blocks(read: ReadBlock) -> list[Block]:
    confidence = min(max(read.confidence, 0.0), 1.0)
    if read.rows:
        table = clean_table([[_cell(cell, len(read.rows)) for cell in row] for row in read.rows])
        return [table.model_copy(update={"confidence": confidence})] if table else []
    text = _lines(read.text)
    if not text:
        return []
    if read.kind == "heading":
        level = min(max(read.level, 1), 6)
        return [Heading(text=text.replace("\n", " "), level=level, confidence=confidence)]
    return [Paragraph(text=text, confidence=confidence)]


def _cell(cell: ReadCell, rows: int) -> Cell:
    return Cell(
        text=_lines(cell.text),
        rowspan=min(max(cell.rowspan, 1), rows),
        colspan=min(max(cell.colspan, 1), MAX_COLSPAN),
        header=cell.header,
    )


def _lines(text: str) -> str:
    return "\n".join(line for line in map(one_line, text.split("\n")) if line)


def _declined(error: ModelOutputError) -> bool:
    return error.cause in _DECLINED


def _usage(error: ModelOutputError) -> Usage:
    return error.usage or Usage()


def join_pieces(above: Sequence[Block], below: Sequence[Block], *, overlap: bool) -> list[Block]:
    """Returns the blocks of two pieces of an image. Where they overlap, the lines in both are taken once, and
    a table that the border cuts becomes one."""
    if not overlap or not above or not below:
        return [*above, *below]
    last, first = above[-1], below[0]
    if isinstance(last, Table) and isinstance(first, Table) and _width(last) == _width(first):
        repeated = _overlap([_row_text(row) for row in last.rows], [_row_text(row) for row in first.rows])
        confidences = [table.confidence for table in (last, first) if table.confidence is not None]
        joined = {"rows": [*last.rows, *first.rows[repeated:]], "confidence": min(confidences, default=None)}
        return [*above[:-1], last.model_copy(update=joined), *below[1:]]
    lines_above = [line for block in above[-_LONGEST_OVERLAP:] for line in block_lines(block)]
    lines_below = [line for block in below[:_LONGEST_OVERLAP] for line in block_lines(block)]
    return [*above, *_without_first_lines(below, _overlap(lines_above, lines_below))]


def _overlap(above: Sequence[str], below: Sequence[str]) -> int:
    """How many of the last lines of one are the first of the other."""
    most = min(len(above), len(below), _LONGEST_OVERLAP)
    return next((n for n in range(most, 0, -1) if list(above[-n:]) == list(below[:n])), 0)


def _without_first_lines(blocks: Sequence[Block], lines: int) -> list[Block]:
    """Blocks without their first lines. A table is not cut: it stays where some of it is new."""
    rest = list(blocks)
    while lines and rest:
        first = block_lines(rest[0])
        if len(first) > lines:
            if isinstance(rest[0], Paragraph):
                rest[0] = rest[0].model_copy(update={"text": "\n".join(first[lines:])})
            break
        lines -= len(first)
        rest.pop(0)
    return rest


def _row_text(row: Sequence[Cell]) -> str:
    return "\t".join(cell.text for cell in row)


def _width(table: Table) -> int:
    return max((sum(cell.colspan for cell in row) for row in table.rows), default=0)

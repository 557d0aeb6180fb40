"""Any chat model that sees, as a parser: `settings.vision_model` at the model's API."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from ingest.blocks import block_lines
from ingest.documents import Block, Cell, Cost, Heading, Paragraph, Parsed, RawFile
from ingest.errors import DocumentUnreadableError, ParserUnavailableError
from ingest.parsers.flow import folded
from ingest.parsers.pictures import Piece, pieces
from ingest.parsers.seams import sewn
from ingest.parsers.tables import MAX_COLSPAN, tidy
from tools.core.errors import ModelOutputError, ModelUnavailableError
from tools.core.fencing import fence
from tools.core.settings import Settings
from tools.llm.chat import ChatModel, Usage
from tools.llm.journal import ResponseJournal
from tools.llm.prices import usd
from tools.prompts.registry import PromptRegistry

logger = logging.getLogger(__name__)

_AT_ONCE = 4
"""Pieces in one question: some 3,000 rows of a poster, whose text fits into one answer."""
_MAX_PIECES = 64
_FATAL = ("key", "quota", "region", "model_not_found", "not_found", "structured_output", "parameter")
"""Causes that concern every image alike, until somebody sets something right."""
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


@dataclass(frozen=True, slots=True)
class _Reading:
    blocks: list[Block]
    usage: Usage


class VisionParser:
    """Reads images with a chat model that sees. Every answer is paid for once (`tools.llm.journal`)."""

    name = "vision"

    def __init__(self, settings: Settings, http_client: Any, journal: ResponseJournal | None = None) -> None:
        own = settings.model_copy(update={"chat_model": settings.vision_model})
        self._model = ChatModel(own, http_client).for_run(journal)
        self._prompt = PromptRegistry.bundled("ingest.parsers").get("read_image", "ko")

    async def parse(self, file: RawFile) -> Parsed:
        """As `Parser.parse`. The confidence is the model's own word for it.

        Raises:
            DocumentUnreadableError: the image is broken or too long, the model refuses it, or its
                answers stay invalid; `cost` is what they cost.
            ParserUnavailableError: the model does not answer; `fatal` where the key or the
                model is wrong.
        """
        cut = await asyncio.to_thread(pieces, file)
        if len(cut) > _MAX_PIECES:
            raise DocumentUnreadableError(
                f"{file.name} is too tall for a vision model: {len(cut)} pieces, of which at most "
                f"{_MAX_PIECES} are read.",
                file=file.name,
            )
        usage = Usage()
        blocks: list[Block] = []
        for start in range(0, len(cut), _AT_ONCE):
            group = cut[start : start + _AT_ONCE]
            try:
                reading = await self._read(group)
            except ModelOutputError as error:
                words = error.message if _declined(error) else "The vision model gives no valid answer."
                raise DocumentUnreadableError(
                    f"{file.name}: {words}",
                    file=file.name,
                    cost=self._cost(usage + (error.usage or Usage())),
                ) from error
            except ModelUnavailableError as error:
                raise self._refused(file, error, usage) from error
            usage += reading.usage
            blocks = sewn(blocks, reading.blocks) if group[0].overlaps else [*blocks, *reading.blocks]
        return Parsed(
            blocks=blocks,
            parser=f"{self.name}/{self._model.model_name}",
            confidence=_confidence(blocks),
            cost=self._cost(usage),
        )

    async def _read(self, group: Sequence[Piece]) -> _Reading:
        """Asks for the text of some pieces; of fewer, where the answer for all of them is invalid: what
        is cut off for its length is whole for half of them."""
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
                first, second = await self._read(group[:half]), await self._read(group[half:])
            except ModelOutputError as again:
                raise ModelOutputError(usage=(error.usage or Usage()) + (again.usage or Usage())) from again
            blocks = (
                sewn(first.blocks, second.blocks) if group[half].overlaps else [*first.blocks, *second.blocks]
            )
            return _Reading(blocks, (error.usage or Usage()) + first.usage + second.usage)
        return _Reading([block for read in reply.value.blocks for block in _block(read)], reply.usage)

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


def _block(read: ReadBlock) -> list[Block]:
    """The block of an answer; none where nothing is written in it."""
    confidence = min(max(read.confidence, 0.0), 1.0)
    text = "\n".join(line for line in map(folded, read.text.split("\n")) if line)
    if read.rows:
        table = tidy([[_cell(cell, len(read.rows)) for cell in row] for row in read.rows])
        return [table.model_copy(update={"confidence": confidence})] if table else []
    if not text:
        return []
    if read.kind == "heading":
        return [
            Heading(text=" ".join(text.split("\n")), level=min(max(read.level, 1), 6), confidence=confidence)
        ]
    return [Paragraph(text=text, confidence=confidence)]


def _cell(cell: ReadCell, rows: int) -> Cell:
    return Cell(
        text="\n".join(line for line in map(folded, cell.text.split("\n")) if line),
        rowspan=min(max(cell.rowspan, 1), rows),
        colspan=min(max(cell.colspan, 1), MAX_COLSPAN),
        header=cell.header,
    )


def _confidence(blocks: Sequence[Block]) -> float | None:
    weights = [sum(map(len, block_lines(block))) for block in blocks]
    total = sum(weights)
    if not total:
        return None
    return (
        sum((block.confidence or 0) * weight for block, weight in zip(blocks, weights, strict=True)) / total
    )


def _declined(error: ModelOutputError) -> bool:
    return error.cause in _DECLINED

"""What Upstage answers, as blocks.

An answer has the document's elements in reading order, each with its category, its page and itself as
HTML and Markdown. What is missing in one form is looked for in the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from ingest.documents import Block, Heading, Table
from ingest.parsers.assemble import assemble
from ingest.parsers.flow import GAP, Flow, Line, folded
from ingest.parsers.html import read_html
from ingest.parsers.text import text_flow


def _object_or_empty(value: Any) -> Any:
    return value if isinstance(value, Mapping) else {}


def _list_or_empty(value: Any) -> Any:
    return value if isinstance(value, list) else []


class Content(BaseModel):
    """The same text in up to three forms; what was not asked for is empty."""

    html: str | None = None
    markdown: str | None = None
    text: str | None = None


class Element(BaseModel):
    """A piece of a page: `heading1`, `paragraph`, `list`, `table`, `figure`, `header` and others."""

    category: str = "paragraph"
    page: int = Field(1, ge=1)
    content: Annotated[Content, BeforeValidator(_object_or_empty)] = Content()


class Usage(BaseModel):
    """What is paid for."""

    pages: int | None = None


class Answer(BaseModel):
    """An answer to a file, or to a batch of its pages."""

    model: str = "document-parse"
    usage: Annotated[Usage, BeforeValidator(_object_or_empty)] = Usage()
    content: Annotated[Content, BeforeValidator(_object_or_empty)] = Content()
    elements: Annotated[list[Element], BeforeValidator(_list_or_empty)] = []

    @property
    def pages(self) -> int:
        """How many pages were paid for: what Upstage says, else as many as it tells of."""
        return self.usage.pages or max((element.page for element in self.elements), default=1)


def blocks_of(answers: Iterable[tuple[Answer, int]]) -> list[Block]:
    """Returns the blocks of answers, each with the page of the file at which it begins (from 1)."""
    flow: list[Flow] = []
    for answer, first_page in answers:
        flow += _flow(answer, first_page)
    return _one_title(assemble(flow))


def _flow(answer: Answer, first_page: int) -> Iterator[Flow]:
    # A batch counts its pages from 1 or as the file does: what lies before its first page is its own.
    own_count = any(element.page < first_page for element in answer.elements)
    offset = first_page - 1 if own_count else 0
    written = False
    for element in answer.elements:
        for part in _element(element):
            written = True
            yield _paged(part, element.page + offset)
        yield GAP
    if not written:
        for part in _content(answer.content):
            yield _paged(part, first_page)


def _element(element: Element) -> list[Flow]:
    flow = _content(element.content)
    if element.category.startswith("heading"):
        text = " ".join(part.text for part in flow if isinstance(part, Line))
        return [Line(text, level=1)] if text else []
    return flow


def _content(content: Content) -> list[Flow]:
    flow = read_html(content.html, shortest_alternative=1).flow if content.html else []
    if not _is_written(flow) and content.markdown:
        flow = list(text_flow(content.markdown))
    if not _is_written(flow) and content.text:
        flow = [Line(folded(line)) for line in content.text.split("\n") if folded(line)]
    return flow


def _is_written(flow: Iterable[Flow]) -> bool:
    return any(isinstance(part, Line | Table) for part in flow)


def _paged(part: Flow, page: int) -> Flow:
    if isinstance(part, Line):
        return Line(part.text, part.level, part.item, part.strong, page)
    return part.model_copy(update={"page": page}) if isinstance(part, Table) else part


def _one_title(blocks: list[Block]) -> list[Block]:
    """Upstage knows one kind of heading: the first is the document's title, the others its parts."""
    titles = [index for index, block in enumerate(blocks) if isinstance(block, Heading) and block.level == 1]
    for index in titles[1:]:
        blocks[index] = blocks[index].model_copy(update={"level": 2})
    return blocks

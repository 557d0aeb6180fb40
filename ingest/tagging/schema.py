"""What the model writes about a document: the document's own lines, sorted."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

LineField = Literal["responsibilities", "requirements", "preferred"]
LINE_FIELDS: tuple[LineField, ...] = ("responsibilities", "requirements", "preferred")
"""The texts of a position: one item of the document a line."""

ValueField = Literal["company", "employment_type", "experience", "location", "deadline"]
VALUE_FIELDS: tuple[ValueField, ...] = ("company", "employment_type", "experience", "location", "deadline")
"""Short facts, copied as they stand."""


class Stated(BaseModel):
    """What a document states, letter for letter."""

    responsibilities: list[str] = Field(description="lines that tell the work")
    requirements: list[str] = Field(description="lines that tell what one must have")
    preferred: list[str] = Field(description="lines that tell what is welcome")
    company: str | None
    employment_type: str | None
    experience: str | None = Field(description="the career that is asked for, as written")
    location: str | None = Field(description="place of work")
    deadline: str | None = Field(description="last day or period of application, as written")
    skills: list[str] = Field(description="names of languages, frameworks and tools, as written")


class StatedPosition(Stated):
    """What a document states of one position."""

    job_title: str = Field(description="name of the position, as written; empty where there is none")


class PostingPositions(BaseModel):
    """The positions that a document hires for. `common` is what holds for all of them."""

    is_posting: bool
    common: Stated
    positions: list[StatedPosition]

"""A posting's fields are declared once: what reads, tags and stores them has each of them."""

from __future__ import annotations

from typing import get_type_hints

from ingest.structured.columns import _COLUMNS, POSTED
from ingest.tagging.positions import StatedPosition
from tools.core.sql import queries
from tools.postings.contracts import TEXT_FIELDS, Position, Posting, Text


def test_every_field_of_a_posting_has_columns_of_files() -> None:
    assert set(_COLUMNS) == (set(Posting.model_fields) - {"position"}) | {POSTED}


def test_every_field_of_a_position_but_its_address_is_tagged() -> None:
    assert set(StatedPosition.model_fields) == set(Position.model_fields) - {"url"}


def test_the_text_fields_are_those_that_are_texts() -> None:
    kinds = get_type_hints(Position, include_extras=True)
    assert tuple(name for name, kind in kinds.items() if kind == Text) == TEXT_FIELDS


def test_no_statement_lists_the_columns_of_a_posting_itself() -> None:
    for name, statement in queries("postings.sql").items():
        assert "responsibilities" not in statement, name

"""Databases with the sample postings that a test may write to."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.databases import cloned
from tools.core.settings import Settings


@pytest.fixture
async def own_settings(embedded: Settings, samples_template: str) -> AsyncIterator[Settings]:
    """Settings with a database of the test's own, which holds the sample postings."""
    async with cloned(embedded, samples_template) as own:
        yield own

"""What the tests of whole runs need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from langsmith import utils
from pydantic import SecretStr

from tests.langsmith import LangSmith, langsmith_standin
from tools.core.settings import Settings


@pytest.fixture(autouse=True)
def _fresh_environment() -> Iterator[None]:
    """The SDK keeps what it has read of the environment."""
    utils.get_env_var.cache_clear()  # type: ignore[attr-defined]
    yield
    utils.get_env_var.cache_clear()  # type: ignore[attr-defined]


@pytest.fixture
def standin() -> Iterator[LangSmith]:
    """A LangSmith of the test's own."""
    with langsmith_standin() as running:
        yield running


@pytest.fixture
def keyed(settings: Settings, standin: LangSmith) -> Settings:
    """Settings with that LangSmith's key."""
    return settings.model_copy(
        update={"langsmith_api_key": SecretStr(standin.key), "langsmith_endpoint": standin.url}
    )

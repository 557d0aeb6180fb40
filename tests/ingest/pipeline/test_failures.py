"""What a failure of a model means for a document on its way."""

from __future__ import annotations

import pytest

from ingest.pipeline.failures import failure_of
from tools.core.errors import CheckerboardError, ModelOutputError, ModelUnavailableError


@pytest.mark.parametrize(
    ("error", "meant"),
    [
        (ModelUnavailableError(cause="timeout"), "passing"),
        (ModelUnavailableError(cause="connection"), "passing"),
        (ModelUnavailableError(cause="rate_limit", status=429), "passing"),
        (ModelUnavailableError(cause="status", status=500), "passing"),
        (ModelUnavailableError(cause="unreadable"), "passing"),
        (ModelUnavailableError(cause="quota", status=429), "fatal"),
        (ModelUnavailableError(cause="key", status=401), "fatal"),
        (ModelUnavailableError(cause="model_not_found", status=404), "fatal"),
        (ModelUnavailableError(cause="region", status=403), "fatal"),
        (ModelUnavailableError(cause="dimensions"), "fatal"),
        (ModelUnavailableError(cause="context_length", status=400), "counted"),
        (ModelOutputError(problems=["verdicts: missing"]), "counted"),
        (ModelOutputError(cause="refusal"), "final"),
        (ModelOutputError(cause="content_filter"), "final"),
        (KeyError("a bug"), "counted"),
    ],
    ids=repr,
)
def test_a_failure_blames_the_document_the_provider_or_nothing(error: Exception, meant: str) -> None:
    found = failure_of(error, "tag")
    flags = {"fatal": found.fatal, "final": found.final, "passing": found.transient and not found.fatal}
    assert [name for name, is_so in flags.items() if is_so] == ([] if meant == "counted" else [meant])
    assert found.code == (error.code if isinstance(error, CheckerboardError) else "internal")

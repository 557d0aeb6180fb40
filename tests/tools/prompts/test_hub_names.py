"""CHECKERBOARD_HUB_PROMPTS: which prompts of the hub are meant."""

from __future__ import annotations

import pytest

from tests.tools.prompts.conftest import FILES
from tools.core.errors import SetupError
from tools.prompts.hub import parse_hub_names


def test_a_pattern_names_all_prompts_and_a_pair_goes_before_it() -> None:
    names = parse_hub_names(["own-{purpose}-{language}:production", "filter_jobs.ko=acme/filter"], FILES)
    assert set(names) == set(FILES)
    assert names["filter_jobs.ko"] == ("acme/filter", "latest")
    assert names["summarize.en"] == ("own-summarize-en", "production")


@pytest.mark.parametrize(
    ("configured", "named"),
    [
        (["own-{purpose}"], "two prompts one name"),
        (["own-{purpose}-{lang}"], "own-filter_jobs-{lang}"),
        (["own-{purpose}-{language}", "more-{purpose}-{language}"], "more-"),
        (["filter_job.ko=own"], "filter_job.ko"),
        (["own-{purpose}-{language}", "filter_jobs.ko="], "filter_jobs.ko="),
    ],
)
def test_what_is_no_name_is_told_at_start(configured: list[str], named: str) -> None:
    with pytest.raises(SetupError) as told:
        parse_hub_names(configured, FILES)
    assert named in told.value.message

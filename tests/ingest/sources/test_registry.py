"""Sources as people write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ingest.sources.registry import KINDS, open_source, reasons_off
from ingest.sources.web import Web
from tools.core.errors import InvalidRequestError
from tools.core.settings import Settings


@pytest.mark.parametrize(
    "spec",
    [
        "greenhouse:acme",
        "lever:acme",
        "lever:acme@https://api.eu.lever.co",
        "ashby:The Acme",
        "jasoseol:2024-01..2024-12",
        "jasoseol:2024-02",
        "jasoseol:2024-02@http://127.0.0.1:8000",
    ],
)
async def test_a_source_is_named_as_it_was_written(web: Web, spec: str) -> None:
    assert open_source(f" {spec} ", Settings(), web).name == spec


async def test_a_folder_may_have_any_name(web: Web, tmp_path: Path) -> None:
    folder = tmp_path / "a@http:b"
    folder.mkdir()
    assert open_source(f"folder:{folder}", Settings(), web).name == f"folder:{folder}"


@pytest.mark.parametrize(
    ("spec", "right"),
    [
        ("", "greenhouse:BOARD"),
        ("greenhouse", "greenhouse:BOARD"),
        ("./posters", "folder:PATH"),
        ("linkedin:acme", "lever:SITE"),
        ("https://jobs.lever.co/acme", "lever:SITE"),
        ("greenhouse:", "greenhouse:acme"),
        ("lever:../etc", "lever:acme"),
        ("ashby:a/b", "ashby:acme"),
        ("folder:/no/such/folder", "no folder"),
        ("lever:acme@api.eu.lever.co", "https://host"),
        ("lever:acme@file:///etc", "https://host"),
        ("lever:acme@", "https://host"),
        ("lever:acme@https://a/?b=c", "https://host"),
        ("jasoseol:", "2024-01..2024-12"),
        ("jasoseol:2024", "2024-01..2024-12"),
        ("jasoseol:2024-13", "2024-01..2024-12"),
        ("jasoseol:2024-01-01..2024-02-01", "2024-01..2024-12"),
        ("jasoseol:2024-03..2024-01", "earlier month first"),
    ],
)
async def test_what_is_wrong_is_answered_with_what_is_right(web: Web, spec: str, right: str) -> None:
    with pytest.raises(InvalidRequestError, match=right):
        open_source(spec, Settings(), web)


def test_the_list_says_which_are_off_and_how_to_switch_them_on() -> None:
    assert set(KINDS) == {"folder", "greenhouse", "lever", "ashby", "jasoseol"}
    off = reasons_off(Settings())
    assert list(off) == ["jasoseol"]
    assert "article 14" in off["jasoseol"]
    assert "CHECKERBOARD_JASOSEOL_PERMISSION" in off["jasoseol"]
    assert not reasons_off(Settings(jasoseol_permission="their CTO, on 2026-05-01"))

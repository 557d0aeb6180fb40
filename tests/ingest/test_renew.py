"""Postings of a version that did not normalize: nothing is lost, and what changed is embedded anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ingest.load import load, reembed, renew
from ingest.pipeline.store import status
from tests.ingest.files import jsonl, row
from tools.core.database import migrate
from tools.core.errors import ModelUnavailableError
from tools.core.settings import Settings
from tools.llm.embeddings import Embedded
from tools.postings.contracts import Posting
from tools.postings.repository import text_hash
from tools.services import Services, open_services

ROWS = (
    row(
        "changed", company="(주)한 빛", job_title="[신입] 백 엔 드 개발자", requirements="결제 API 서버 개발"
    ),
    row("same", job_title="요리사", requirements="한식 메뉴 조리"),
)
FORMER = """
drop view open_postings;
alter table postings
    drop column normalized_title, drop column normalized_company, drop column normalized_skills;
create view open_postings as
select * from postings where (deadline is null or deadline >= current_date) and withdrawn_at is null;
delete from schema_migrations where name like '0005%';
"""
LITERAL = """
update embeddings as e set text_hash = md5(concat_ws(
    E'\\n', nullif(job_title, ''), nullif(responsibilities, ''), nullif(requirements, ''), nullif(preferred, '')
)) from postings as p where e.text_hash = p.text_hash;
update postings set content_hash = 'former', text_hash = md5(concat_ws(
    E'\\n', nullif(job_title, ''), nullif(responsibilities, ''), nullif(requirements, ''), nullif(preferred, '')
));
"""  # noqa: E501 - as the migration has it


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return jsonl(tmp_path / "a.jsonl", *ROWS)


@pytest.fixture
async def services(empty_settings: Settings, file: Path) -> AsyncIterator[Services]:
    """The service just after its update: on a database as the former version left it."""
    async with open_services(empty_settings) as opened:
        await load(opened, [file])
        async with opened.pool.connection() as connection:
            await connection.execute(LITERAL)
            await connection.execute(FORMER)
    assert empty_settings.database_url is not None
    await migrate(empty_settings.database_url)
    async with open_services(empty_settings) as opened:
        yield opened


async def found(services: Services) -> dict[str, str]:
    """What is found, by id, with the title it is searched by."""
    vector = await services.embedder.query("백엔드 개발자")
    return {p.source_id: p.normalized_title for p in await services.postings.nearest(vector, k=9)}


async def rows(services: Services) -> dict[str, dict[str, Any]]:
    async with services.pool.connection() as connection:
        cursor = await connection.execute("select * from postings")
        return {one["source_id"]: one for one in await cursor.fetchall()}


def recorded(services: Services) -> list[str]:
    """The texts that are embedded from now on."""
    texts: list[str] = []
    embed = services.embedder.postings

    async def recording(postings: list[Posting]) -> Embedded:
        texts.extend(posting.search_text() for posting in postings)
        return await embed(postings)

    services.embedder.postings = recording  # type: ignore[assignment, method-assign]
    return texts


async def test_they_are_found_as_before_and_shown_normalized(services: Services) -> None:
    assert await found(services) == {"changed": "백엔드 개발자", "same": "요리사"}
    assert (await status(services.pool))["not_normalized"] == 2


async def test_only_a_text_that_changed_is_embedded_anew(services: Services) -> None:
    before, texts = await rows(services), recorded(services)
    assert await renew(services) == 2
    assert texts == ["백엔드 개발자\n결제 API 서버 개발"]
    after = await rows(services)
    assert after["same"]["text_hash"] == before["same"]["text_hash"]
    assert after["changed"]["text_hash"] == text_hash(Posting.model_construct(**after["changed"]))
    assert after["changed"]["normalized_company"] == "한빛"
    for source_id, one in before.items():
        kept = {name for name in one if not name.startswith("normalized") and not name.endswith("hash")}
        assert {name: after[source_id][name] for name in kept} == {name: one[name] for name in kept}
    assert set(await found(services)) == {"changed", "same"}
    assert (await status(services.pool))["not_normalized"] == 0


async def test_it_is_done_once_and_loading_the_same_again_changes_nothing(
    services: Services, file: Path
) -> None:
    await renew(services)
    before, revision, texts = (
        await rows(services),
        (await services.postings.corpus()).revision,
        recorded(services),
    )
    assert await renew(services) == 0
    assert (await services.postings.corpus()).revision == revision
    await load(services, [file])
    assert await rows(services) == before
    assert texts == []


async def test_the_next_load_of_anything_does_it(services: Services, tmp_path: Path) -> None:
    await load(services, [jsonl(tmp_path / "b.jsonl", row("new"))])
    assert (await status(services.pool))["not_normalized"] == 0


async def test_without_a_model_all_stays_as_it_was(services: Services) -> None:
    async def fails(postings: list[Posting]) -> Embedded:
        raise ModelUnavailableError

    before = await rows(services)
    services.embedder.postings = fails  # type: ignore[assignment, method-assign]
    with pytest.raises(ModelUnavailableError):
        await renew(services)
    assert await rows(services) == before
    assert set(await found(services)) == {"changed", "same"}


async def test_a_posting_that_is_loaded_meanwhile_is_as_it_was_loaded(
    services: Services, tmp_path: Path
) -> None:
    outdated = await services.writer.outdated(9)
    await load(services, [jsonl(tmp_path / "b.jsonl", {**ROWS[0], "job_title": "서버 개발자"})])
    await services.writer.renew(outdated)
    assert (await found(services))["changed"] == "서버 개발자"


async def test_another_embedding_is_filled_with_the_texts_that_both_sets_know(
    services: Services, empty_settings: Settings
) -> None:
    other = empty_settings.model_copy(update={"embedding_dimensions": 128})
    async with open_services(other) as new:
        assert await reembed(new) == 2
        assert set(await found(services)) == set(await found(new)) == {"changed", "same"}
        # It serves now, and so is normalized with by the next run.
        assert await reembed(new) == 2
        assert (await status(new.pool))["not_normalized"] == 0
        assert set(await found(new)) == {"changed", "same"}

"""What becomes of documents: those that change, come back, fail, or are poison."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from tests.ingest.pipeline.runs import MENU, POSTING, aside, ingested, rows, stages, write, write_postings
from tests.offline import Offline
from tools.core.errors import EmbeddingMismatchError, InvalidRequestError, ModelUnavailableError
from tools.core.settings import Settings

TAGGING = "PostingPositions"


async def texts(settings: Settings) -> list[str]:
    found = await rows(
        settings, "select responsibilities from postings where withdrawn_at is null order by source_id"
    )
    return [row["responsibilities"] for row in found]


async def test_a_folder_of_texts_and_rows_becomes_postings(
    empty_settings: Settings, offline: Offline, tmp_path: Path
) -> None:
    write(tmp_path, "one.md", POSTING.format(n=7))
    write(
        tmp_path,
        "rows.jsonl",
        '{"source": "mine", "id": "a", "company": "가게", "job_title": "앱 개발자", '
        '"url": "https://example.org/a", "deadline": "2099-12-31", "skills": ["Kotlin"]}\n',
    )
    counts = await ingested(empty_settings, tmp_path)
    found = await rows(empty_settings, "select * from postings order by source_id")
    [page, row] = sorted(found, key=lambda posting: posting["source"] == "mine")
    assert (page["source"], page["source_id"], page["company"]) == (tmp_path.name, "one.md", "도토리상점")
    assert page["job_title"].endswith("서버 개발자 7")
    assert page["responsibilities"] == "주문 API 7번 구간의 설계와 개발\n결제 연동 모듈 7의 장애 대응"
    assert page["requirements"].startswith("Java와 Spring Boot로 서비스를 7년 이상 운영한 분")
    assert page["preferred"] == "Kafka를 다뤄 본 분"
    assert set(page["normalized_skills"]) == {"Java", "Spring Boot", "MySQL", "Kafka"}
    assert (row["source_id"], row["url"], str(row["deadline"])) == (
        "a",
        "https://example.org/a",
        "2099-12-31",
    )
    assert row["skills"] == ["Kotlin"]
    # The row was structured already: no model was asked to sort it.
    assert (await offline.calls())["by_schema"][TAGGING] == 1
    assert counts.cost.input_tokens > 0


async def test_what_has_not_changed_costs_nothing_and_what_has_is_read_anew(
    empty_settings: Settings, offline: Offline, tmp_path: Path
) -> None:
    write_postings(tmp_path, 2)
    await ingested(empty_settings, tmp_path)
    await offline.reset()
    again = await ingested(empty_settings, tmp_path)
    assert dict(again.collected) == {"unchanged": 2}
    assert (await offline.calls())["by_schema"] == {}
    write(tmp_path, "001.md", POSTING.format(n=9))
    changed = await ingested(empty_settings, tmp_path)
    assert dict(changed.collected) == {"unchanged": 1, "changed": 1}
    assert [text.splitlines()[0] for text in await texts(empty_settings)] == [
        "주문 API 0번 구간의 설계와 개발",
        "주문 API 9번 구간의 설계와 개발",
    ]


async def test_one_content_under_two_names_is_paid_once(
    empty_settings: Settings, offline: Offline, tmp_path: Path
) -> None:
    write(tmp_path / "in", "a.md", POSTING.format(n=1))
    await ingested(empty_settings, tmp_path / "in")
    await offline.reset()
    write(tmp_path / "in", "b.md", POSTING.format(n=1))
    counts = await ingested(empty_settings, tmp_path / "in")
    assert counts.reached["loaded"] == 1
    assert (await offline.calls())["by_schema"] == {}


async def test_poison_is_set_aside_with_its_reason_and_the_rest_goes_on(
    empty_settings: Settings, tmp_path: Path
) -> None:
    write_postings(tmp_path, 2)
    write(tmp_path, "menu.txt", MENU)
    write(tmp_path, "broken.pdf", b"%PDF-1.7 and then nothing")
    write(tmp_path, "rows.jsonl", '{"id": "a"}\nno json\n')
    counts = await ingested(empty_settings, tmp_path)
    assert await aside(empty_settings) == {
        "menu.txt": "not_a_posting",
        "broken.pdf": "document_unreadable",
        "rows.jsonl#a": "document_unreadable",
        "rows.jsonl:2": "document_unreadable",
    }
    assert await stages(empty_settings) == {"loaded": 2, "set aside": 4}
    assert counts.set_aside == 4


async def test_a_document_the_model_cannot_answer_is_tried_a_bounded_number_of_times(
    empty_settings: Settings, offline: Offline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.pipeline.local_engine.BACKOFF_SECONDS", 0.01)
    write_postings(tmp_path, 1)
    await offline.behave(faults=[{"kind": "invalid_json", "schema": TAGGING}])
    settings = empty_settings.model_copy(update={"output_retries": 0, "ingest_attempts": 3})
    counts = await ingested(settings, tmp_path)
    assert await aside(settings) == {"000.md": "model_output_invalid"}
    assert counts.errors == {"model_output_invalid": 3}


async def test_what_failed_for_a_reason_that_passes_is_tried_again_by_the_next_run(
    empty_settings: Settings, offline: Offline, tmp_path: Path
) -> None:
    write_postings(tmp_path, 1)
    await offline.behave(faults=[{"kind": "server_error", "schema": TAGGING}])
    hasty = empty_settings.model_copy(update={"model_retries": 0, "ingest_attempts": 1})
    await ingested(hasty, tmp_path)
    assert await aside(hasty) == {"000.md": "model_unavailable"}
    await offline.reset()
    assert (await ingested(hasty)).reached["loaded"] == 1


async def test_a_provider_that_is_out_ends_the_run_and_burns_no_document(
    empty_settings: Settings, offline: Offline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ingest.pipeline.local_engine.OUTAGE_SECONDS", 0.0)
    write_postings(tmp_path, 6)
    await offline.behave(faults=[{"kind": "server_error", "schema": TAGGING}])
    hasty = empty_settings.model_copy(update={"model_retries": 0})
    with pytest.raises(ModelUnavailableError):
        await ingested(hasty, tmp_path)
    assert "set aside" not in await stages(hasty)
    await offline.reset()
    await ingested(hasty)
    assert await stages(hasty) == {"loaded": 6}


async def test_a_source_that_does_not_exist_is_named(empty_settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match="nowhere"):
        await ingested(empty_settings, tmp_path / "nowhere")


async def test_postings_of_another_embedding_end_a_run_before_it_pays(
    empty_settings: Settings, offline: Offline, tmp_path: Path
) -> None:
    write_postings(tmp_path, 1)
    await ingested(empty_settings, tmp_path)
    await offline.reset()
    write(tmp_path, "new.md", POSTING.format(n=8))
    with pytest.raises(EmbeddingMismatchError, match="checkerboard ingest reembed"):
        await ingested(empty_settings.model_copy(update={"embedding_dimensions": 256}), tmp_path)
    assert (await offline.calls())["by_schema"] == {}


async def test_a_page_and_a_row_in_pieces_with_invisible_characters_are_as_if_composed(
    empty_settings: Settings, tmp_path: Path
) -> None:
    page = unicodedata.normalize("NFD", POSTING.format(n=7)).replace(" ", "\u200b ").replace("-", "\u00ad-")
    write(tmp_path, unicodedata.normalize("NFD", "공고.md"), page)
    row = '{"id": "열", "job_title": "앱\u200b 개발자", "deadline": "2099.11.01 ~ 12.31", "url": "data:x"}\n'
    write(tmp_path, "rows.jsonl", unicodedata.normalize("NFD", row))
    await ingested(empty_settings, tmp_path)
    found = await rows(empty_settings, "select * from postings order by source_id")
    [app, page_row] = sorted(found, key=lambda posting: posting["source_id"] == "공고.md")
    assert (app["source_id"], app["job_title"], app["url"]) == ("rows.jsonl#열", "앱 개발자", None)
    assert str(app["deadline"]) == "2099-12-31"
    assert page_row["source_id"] == "공고.md"
    assert page_row["responsibilities"] == "주문 API 7번 구간의 설계와 개발\n결제 연동 모듈 7의 장애 대응"

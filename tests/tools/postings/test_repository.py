"""The store of postings, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from tools.core.database import Pool, open_pool
from tools.core.errors import EmbeddingMismatchError, NoPostingsError
from tools.core.settings import Settings
from tools.postings.contracts import Posting
from tools.postings.repository import EmbeddingSet, PostingStore, PostingWriter, withdraw_postings

MODEL = "test-embedding"
TODAY = datetime.now(UTC).date()
# A deadline of today would pass at midnight, in the middle of a test.
TOMORROW = TODAY + timedelta(days=1)
NORTH, NORTH_EAST, EAST, SOUTH = [0.0, 1.0], [1.0, 1.0], [1.0, 0.0], [0.0, -1.0]


@pytest.fixture
async def pool(empty_settings: Settings) -> AsyncIterator[Pool]:
    opened = await open_pool(empty_settings)
    yield opened
    await opened.close()


class Store(PostingStore):
    """The store, and its writer beside it."""

    def __init__(self, pool: Pool, *, model: str = MODEL, dimensions: int = 2) -> None:
        super().__init__(pool, model=model, dimensions=dimensions)
        self.writer = PostingWriter(pool)
        self.vectors = EmbeddingSet(pool, model=model, dimensions=dimensions)


@pytest.fixture
def store(pool: Pool) -> Store:
    return Store(pool)


def posting(source_id: str, **fields: Any) -> Posting:
    return Posting(**{"source": "test", "source_id": source_id, "job_title": f"Job {source_id}", **fields})


async def write(store: Store, *postings: tuple[Posting, list[float]]) -> int:
    await store.vectors.require_ready()
    await store.vectors.save([p for p, _ in postings], [v for _, v in postings])
    return await store.writer.upsert([p for p, _ in postings])


async def gone(pool: Pool, *source_ids: str) -> int:
    async with pool.connection() as connection, connection.transaction():
        return await withdraw_postings(connection, "test", source_ids)


async def ids(store: Store, vector: list[float], k: int = 20) -> list[str]:
    return [found.source_id for found in await store.nearest(vector, k=k)]


async def test_the_nearest_come_first_with_their_cosine_as_score(store: Store) -> None:
    await write(
        store, (posting("s"), SOUTH), (posting("ne"), NORTH_EAST), (posting("n"), NORTH), (posting("e"), EAST)
    )
    found = await store.nearest([0.0, 3.0], k=20)
    assert [hit.source_id for hit in found] == ["n", "ne", "e", "s"]
    assert [hit.score for hit in found] == pytest.approx([1.0, 0.5**0.5, 0.0, -1.0])
    assert await ids(store, NORTH, k=2) == ["n", "ne"]


async def test_the_search_is_exact(pool: Pool) -> None:
    store = Store(pool, dimensions=64)
    random = np.random.default_rng(20)
    vectors = random.normal(size=(400, 64))
    await write(store, *((posting(str(n)), vector.tolist()) for n, vector in enumerate(vectors)))
    for query in random.normal(size=(5, 64)):
        cosines = vectors @ query / np.linalg.norm(vectors, axis=1)
        expected = [str(n) for n in np.argsort(-cosines)[:20]]
        assert await ids(store, query.tolist()) == expected


async def test_postings_that_are_equally_near_keep_one_order(store: Store) -> None:
    await write(store, *((posting(str(n)), NORTH) for n in range(8)))
    assert await ids(store, NORTH, k=5) == ["0", "1", "2", "3", "4"]


async def test_a_posting_past_its_deadline_is_not_searched_but_still_there(store: Store) -> None:
    await write(
        store,
        (posting("past", deadline=TODAY - timedelta(days=2)), NORTH),
        (posting("open", deadline=TODAY + timedelta(days=2)), EAST),
        (posting("none"), SOUTH),
    )
    assert await ids(store, NORTH) == ["open", "none"]
    assert (await store.by_ids(["p-1"]))["p-1"].source_id == "past"


async def test_every_field_comes_back_as_it_was_written(store: Store) -> None:
    given = posting(
        "1",
        company="회사",
        responsibilities="설계\n운영",
        requirements='Java "3" years\'s; drop table postings; --',
        preferred="%s %(id)s \\n",
        url="https://example.org/1",
        deadline=TOMORROW,
        location="Seoul",
        employment_type="full-time",
        experience="3+",
        skills=["Java", "C++, C#", '"quoted"', "{}"],
    )
    await write(store, (given, NORTH))
    [stored] = (await store.by_ids(["p-1"])).values()
    assert stored.model_dump(exclude={"posting_id"}) == given.model_dump()
    assert stored.posting_id == "p-1"


async def test_loading_a_posting_again_changes_it_in_place_and_keeps_its_id(store: Store) -> None:
    first = await write(store, (posting("1", company="Old", skills=["Java"]), NORTH), (posting("2"), EAST))
    [before] = await store.nearest(NORTH, k=1)
    second = await write(store, (posting("1", job_title="New", company="New", deadline=TOMORROW), SOUTH))
    [after] = (await store.by_ids([before.posting_id])).values()
    assert (after.company, after.skills, after.deadline) == ("New", [], TOMORROW)
    assert await ids(store, NORTH) == ["2", "1"]
    assert (await store.corpus()).postings == 2
    assert second == first + 1 == (await store.corpus()).revision


async def test_one_source_id_in_two_sources_is_two_postings(store: Store) -> None:
    await write(store, (posting("1"), NORTH), (posting("1", source="other"), NORTH))
    assert (await store.corpus()).postings == 2


async def test_the_last_row_of_a_posting_that_is_given_twice_counts(store: Store) -> None:
    await write(store, (posting("1", company="Old"), NORTH), (posting("1", company="New"), NORTH))
    assert [hit.company for hit in await store.nearest(NORTH, k=5)] == ["New"]


OTHERS = [("another", 2), (MODEL, 3)]


@pytest.mark.parametrize(("model", "dimensions"), OTHERS)
async def test_postings_of_another_embedding_are_refused_and_nothing_is_written(
    pool: Pool, store: Store, model: str, dimensions: int
) -> None:
    await write(store, (posting("1"), NORTH))
    before = await store.corpus()
    with pytest.raises(EmbeddingMismatchError, match="checkerboard ingest reembed") as refused:
        await write(Store(pool, model=model, dimensions=dimensions), (posting("2"), [1.0] * dimensions))
    assert refused.value.details == {
        "stored": ["test-embedding in 2 dimensions"],
        "configured": [model, dimensions],
    }
    assert await store.corpus() == before


@pytest.mark.parametrize(("model", "dimensions"), OTHERS)
async def test_another_embedding_is_refused_because_distances_would_mean_nothing(
    pool: Pool, store: Store, model: str, dimensions: int
) -> None:
    await write(store, (posting("1"), NORTH))
    with pytest.raises(EmbeddingMismatchError, match="test-embedding in 2 dimensions"):
        await Store(pool, model=model, dimensions=dimensions).corpus()


async def test_a_batch_is_written_whole_or_not_at_all(store: Store) -> None:
    with pytest.raises(psycopg.DataError, match="NaN"):
        await write(store, (posting("1"), NORTH), (posting("2"), [float("nan"), 1.0]))
    with pytest.raises(NoPostingsError):
        await store.corpus()


async def test_a_vector_of_another_length_within_a_batch_is_refused(store: Store) -> None:
    with pytest.raises((ValueError, EmbeddingMismatchError)):
        await write(store, (posting("1"), NORTH), (posting("2"), [1.0, 0.0, 0.0]))


async def test_loads_at_the_same_time_lose_nothing(pool: Pool) -> None:
    stores = [Store(pool) for _ in range(4)]
    revisions = await asyncio.gather(
        *(
            write(store, *((posting(str(n), company=str(place)), NORTH) for n in range(10)))
            for place, store in enumerate(stores)
        )
    )
    assert sorted(revisions) == [1, 2, 3, 4]
    assert (await stores[0].corpus()).postings == 10


async def test_without_postings_one_is_told_what_to_run(store: Store) -> None:
    with pytest.raises(NoPostingsError, match="checkerboard ingest load"):
        await store.corpus()
    assert await store.nearest(NORTH, k=20) == []
    assert await store.by_ids(["p-1"]) == {}


async def test_postings_come_back_in_the_order_they_are_asked_for(store: Store) -> None:
    await write(store, *((posting(str(n)), NORTH) for n in range(3)))
    assert list(await store.by_ids(["p-3", "p-1", "p-2", "p-1"])) == ["p-3", "p-1", "p-2"]


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "p-",
        "p-0",
        "p-01",
        "1",
        "P-1",
        " p-1",
        "p-1\n",
        "p-1 or 1=1",
        "p-99",
        "p-١",
        "p-999999999999999999",
        "p-" + "9" * 40,
    ],
)
async def test_an_id_that_is_none_finds_nothing_and_hurts_nobody(store: Store, garbage: str) -> None:
    await write(store, (posting("1"), NORTH))
    assert list(await store.by_ids([garbage, "p-1"])) == ["p-1"]


async def test_asking_for_no_ids_finds_none(store: Store) -> None:
    assert await store.by_ids([]) == {}


async def test_a_text_that_is_embedded_already_is_not_paid_again(store: Store) -> None:
    same, other = posting("2", job_title="Job 1"), posting("3")
    await write(store, (posting("1"), NORTH))
    assert await store.vectors.lacking([posting("1"), same, other, other]) == [other]


async def test_each_position_of_a_document_is_a_posting_and_those_it_lost_are_withdrawn(store: Store) -> None:
    positions = [posting("1", position=n, job_title=f"Job {n}") for n in range(3)]
    await write(store, *((p, NORTH) for p in positions))
    assert [hit.job_title for hit in await store.nearest(NORTH, k=5)] == ["Job 0", "Job 1", "Job 2"]
    await write(store, *((p, NORTH) for p in positions[:2]))
    assert [hit.job_title for hit in await store.nearest(NORTH, k=5)] == ["Job 0", "Job 1"]
    assert (await store.corpus()).postings == 3


async def test_a_withdrawn_posting_is_kept_and_comes_back_with_its_id(pool: Pool, store: Store) -> None:
    await write(store, (posting("1"), NORTH), (posting("2"), EAST))
    assert await gone(pool, "1", "unknown") == 1
    assert await ids(store, NORTH) == ["2"]
    assert list(await store.by_ids(["p-1"])) == ["p-1"]
    await write(store, (posting("1"), NORTH))
    assert [hit.posting_id for hit in await store.nearest(NORTH, k=5)] == ["p-1", "p-2"]


LINES = (
    "결제 승인과 취소 API 개발\n정산 배치의 성능 개선과 운영\n"
    "가맹점 관리 화면의 백엔드 개발\n장애 대응과 모니터링 체계 구축"
)
REWORDED = LINES.replace("운영", "운영 업무")


async def test_of_near_duplicates_the_first_that_is_open_is_found(pool: Pool, store: Store) -> None:
    first = posting("1", company="(주)가게", job_title="결제 서버 개발자", responsibilities=LINES)
    again = posting("2", company="가게", job_title="[재공고] 결제 백엔드 개발자", responsibilities=REWORDED)
    third = posting("3", source="other", job_title="결제 서버 개발자", responsibilities=LINES)
    for one in (first, again, third):
        await write(store, (one, NORTH))
    assert await ids(store, NORTH) == ["1"]
    await gone(pool, "1")
    assert await ids(store, NORTH) == ["2"]
    closed = again.model_copy(update={"deadline": TODAY - timedelta(days=2)})
    await write(store, (closed, NORTH))
    assert await ids(store, NORTH) == ["3"]


@pytest.mark.parametrize(
    "other",
    [
        {"company": "다른 가게"},
        {"job_title": "정산 서버 개발자"},
        {"responsibilities": "광고 지표 집계 파이프라인 개발\n실험 플랫폼의 통계 엔진 운영"},
    ],
)
async def test_sister_positions_and_other_companies_are_no_duplicates(
    store: Store, other: dict[str, str]
) -> None:
    fields = {"company": "가게", "job_title": "결제 서버 개발자", "responsibilities": LINES}
    await write(store, (posting("1", **fields), NORTH), (posting("2", **(fields | other)), NORTH))
    assert await ids(store, NORTH) == ["1", "2"]


async def test_a_posting_that_was_rewritten_is_linked_anew(store: Store) -> None:
    fields = {"company": "가게", "job_title": "결제 서버 개발자", "responsibilities": LINES}
    await write(store, (posting("1", **fields), NORTH), (posting("2", **fields), NORTH))
    assert await ids(store, NORTH) == ["1"]
    await write(store, (posting("1", **(fields | {"job_title": "앱 개발자"})), NORTH))
    assert await ids(store, NORTH) == ["1", "2"]


async def test_a_posting_is_a_duplicate_of_what_it_is_itself_the_same_as(store: Store) -> None:
    """Not of what is the same as a third: the general posting does not make one of two sisters."""
    fields = {"company": "가게", "responsibilities": LINES}
    for number, title in enumerate(("결제 백엔드 개발자", "광고 백엔드 개발자", "백엔드 개발자")):
        await write(store, (posting(str(number), job_title=title, **fields), NORTH))
    assert await ids(store, NORTH) == ["0", "1"]


async def test_a_posting_that_an_earlier_version_stored_is_cleaned_when_it_is_read(
    store: Store, pool: Pool
) -> None:
    await write(store, (posting("1"), NORTH))
    dirty = {
        "job_title": unicodedata.normalize("NFD", "백엔드 개발자"),
        "requirements": "수중\u200b 음향\u2028신호\u00ad처리\x85C++",
        "skills": [unicodedata.normalize("NFD", "자바"), "Spring\u00a0Boot"],
        "url": "javascript:alert(1)",
    }
    async with pool.connection() as connection:
        await connection.execute(
            "update postings set job_title = %(job_title)s, requirements = %(requirements)s, "
            "skills = %(skills)s, url = %(url)s",
            dirty,
        )
    [near] = await store.nearest(NORTH, k=1)
    for read in (near, (await store.by_ids([near.posting_id]))[near.posting_id]):
        assert read.job_title == "백엔드 개발자"
        assert read.requirements == "수중 음향\n신호처리\nC++"
        assert read.skills == ["자바", "Spring Boot"]
        assert read.url is None


async def test_a_source_in_pieces_is_the_same_source(store: Store) -> None:
    await write(store, (posting("공고", source="채용"), NORTH))
    pieces = posting(unicodedata.normalize("NFD", "공고"), source=unicodedata.normalize("NFD", "채용"))
    await write(store, (pieces, NORTH))
    assert await store.sources() == {"채용": 1}


async def test_a_posting_that_was_published_again_in_pieces_is_the_same_posting(store: Store) -> None:
    first = posting(
        "1",
        company="㈜물푸레",
        job_title="백엔드 개발자",
        requirements="주문 결제 서버의 설계와 개발을 맡아 장애에 대응합니다",
    )
    pieces = {
        name: unicodedata.normalize("NFD", text) if isinstance(text, str) else text
        for name, text in first.model_dump().items()
    }
    again = Posting.model_validate({**pieces, "source_id": "2"})
    await write(store, (first, NORTH), (again, NORTH))
    assert [near.source_id for near in await store.nearest(NORTH, k=5)] == ["1"]

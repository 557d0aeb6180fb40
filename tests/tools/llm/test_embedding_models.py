"""Each embedding model is asked in its own way, and has its own threshold of what is the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import SecretStr

from tools.core.settings import Settings
from tools.llm import embedding_models
from tools.llm.embedding_models import E5, KNOWN, MORPHEMES, why_morphemes
from tools.llm.embeddings import Embedder, similarity
from tools.llm.novelty import calibrated, calibration_texts
from tools.postings.contracts import Posting

POSTING = Posting(source="s", source_id="1", job_title="백엔드 개발자", responsibilities="서버를 만듭니다")


class Asked(Embedder):
    """An embedder whose requests are kept. Texts that share their first letter have one vector."""

    def __init__(self, settings: Settings, width: int) -> None:
        super().__init__(settings, http_client=None)
        self.bodies: list[dict[str, Any]] = []
        self._width = width
        self._api = self  # type: ignore[assignment]

    async def post(self, _: str, body: dict[str, Any]) -> Any:
        self.bodies.append(body)
        rows = [
            [float(ord(text.removeprefix("query: ")[0]) % self._width == n) for n in range(self._width)]
            for text in body["input"]
        ]
        return {"data": [{"index": n, "embedding": row} for n, row in enumerate(rows)]}


@pytest.fixture
def wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a wheel, whatever this machine is."""
    monkeypatch.setattr(embedding_models, "find_spec", lambda name: name)


def offline(**settings: Any) -> Settings:
    return Settings(offline_embeddings="e5", **settings)


@pytest.mark.usefixtures("wheel")
async def test_the_real_offline_model_is_asked_with_its_prefixes_in_its_own_width() -> None:
    embedder = Asked(offline(), 384)
    assert (embedder.model_name, embedder.dimensions) == (E5, 384)
    await embedder.query("서버")
    await embedder.postings([POSTING])
    await embedder.fingerprints(["정산 서버"])
    asked = [body["input"] for body in embedder.bodies]
    assert asked == [["query: 서버"], [f"passage: {POSTING.search_text()}"], ["query: 정산 서버"]]
    assert all("dimensions" not in body for body in embedder.bodies)


async def test_others_are_asked_for_the_dimensions_of_the_settings_without_a_prefix() -> None:
    embedder = Asked(Settings(openai_api_key=SecretStr("k"), embedding_dimensions=256), 256)
    await embedder.query("서버")
    assert embedder.bodies[0]["input"] == ["서버"]
    assert embedder.bodies[0]["dimensions"] == 256


@pytest.mark.usefixtures("wheel")
@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"offline_embeddings": "morphemes"}, "CHECKERBOARD_OFFLINE_EMBEDDINGS"),
        ({"offline_embeddings": "e5", "embedding_dimensions": 256}, "CHECKERBOARD_EMBEDDING_DIMENSIONS=256"),
    ],
)
def test_settings_that_ask_for_morphemes_get_them(settings: Mapping[str, Any], reason: str) -> None:
    own = Settings(**settings)
    assert reason in str(why_morphemes(own))
    assert [model.name for model in embedding_models.embedding_models(own)] == [MORPHEMES]


def test_where_there_is_no_wheel_morphemes_embed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedding_models, "find_spec", lambda _: None)
    assert "Linux on x86-64" in str(why_morphemes(offline()))
    assert [model.name for model in embedding_models.embedding_models(offline())] == [MORPHEMES]


@pytest.mark.usefixtures("wheel")
async def test_a_threshold_belongs_to_the_model_unless_the_settings_name_one() -> None:
    embedder = Embedder(offline(), None)
    assert await embedder.novelty_similarity() == KNOWN[E5].novelty_similarity
    assert embedder.novelty_warning() is None
    assert await Embedder(offline(novelty_similarity=0.5), None).novelty_similarity() == 0.5
    small = Embedder(Settings(openai_api_key=SecretStr("k")), None)
    assert await small.novelty_similarity() == 0.92
    assert "is a guess" in str(small.novelty_warning())


async def test_the_threshold_of_an_unknown_model_is_calibrated_once_and_warned_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    unknown = Asked(
        Settings(openai_api_key=SecretStr("k"), embedding_model="new", embedding_dimensions=64), 64
    )
    assert "to be calibrated" in str(unknown.novelty_warning())
    threshold = await unknown.for_run(None).novelty_similarity()
    assert await unknown.novelty_similarity() == threshold
    assert sum(len(body["input"]) for body in unknown.bodies) == len(calibration_texts())
    assert f"{threshold:.2f}" in str(unknown.novelty_warning())
    assert "was calibrated" in caplog.text


@pytest.mark.parametrize(("different", "threshold"), [(0.6, 0.9), (0.95, 0.95)])
def test_calibration_refuses_half_of_what_is_one_and_none_of_what_is_two(
    different: float, threshold: float
) -> None:
    texts = calibration_texts()
    # The texts of the pairs that are one project come first, two by two.
    same = set(zip(texts[0:16:2], texts[1:16:2], strict=True))
    found = calibrated(lambda one, other: 0.9 if (one, other) in same else different)
    assert found == pytest.approx(threshold)
    assert found > different


async def test_a_fingerprint_knows_its_model() -> None:
    one = Asked(Settings(openai_api_key=SecretStr("k"), embedding_dimensions=64), 64)
    other = Asked(Settings(openai_api_key=SecretStr("k"), embedding_dimensions=128), 128)
    [first, second] = await one.fingerprints(["가", "가"])
    assert similarity(first, second) == pytest.approx(1)
    assert one.made(first)
    assert not other.made(first)
    # Of a session that a former version began.
    assert not one.made(first[4:])

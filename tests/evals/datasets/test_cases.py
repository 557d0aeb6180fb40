"""Cases: what a line must be, how one is added, and what the data sets of the project hold."""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest

from evals.datasets.cases import (
    HOSTILE_POSTINGS,
    PROFILES,
    Case,
    Family,
    dataset_version,
    read_cases,
    write_case,
)
from ingest.structured.columns import as_posting
from ingest.structured.files import read_rows
from tools.core.errors import InvalidRequestError

TAGS = (
    *("beginner", "junior", "senior", "career_changer"),
    *("thin", "rich", "contradictory", "hostile", "non_it", "odd", "long", "turns"),
)
"""The tags of the written cases. `thin`: little more than the desired job; `contradictory`: parts of the
profile contradict each other; `hostile`: it carries instructions to the model; `odd`: valid, but unusual;
`turns`: it regenerates."""
FAMILIES = get_args(Family)
CASES = read_cases(PROFILES)


def line(**changes: Any) -> dict[str, Any]:
    """A valid line, with some of its keys changed."""
    profile = {"desired_job": "백엔드 개발자", "skills": ["Java"]}
    expect = {"family": "백엔드", "fits": ["백엔드", "풀스택"], "language": "ko"}
    turns = [{"feedback": "더 쉽게"}, {"choose": 2}]
    return {
        "id": "one",
        "inputs": {"profile": profile, "language": "ko", "turns": turns},
        "expect": expect,
        "tags": ["beginner"],
        "source": "written",
        **changes,
    }


def file_of(folder: Path, *lines: dict[str, Any] | str) -> Path:
    path = folder / "cases.jsonl"
    text = [one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in lines]
    path.write_text("\n".join(text) + "\n", encoding="utf-8")
    return path


def texts(value: Any) -> list[str]:
    """All texts in a value, however deep."""
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in texts(one)]


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("{not json", "line: not JSON"),
        ("[]", "line: Input should be"),
        (line(id="Not Kebab"), "id: "),
        (line(labels=[]), "labels: Extra inputs"),
        (line(inputs={"profile": {"skills": ["Java"]}, "language": "ko"}), "inputs.profile.desired_job: "),
        (line(inputs={"profile": {"desired_job": "QA", "job": 1}, "language": "ko"}), "inputs.profile.job: "),
        (
            line(inputs={**line()["inputs"], "turns": [{"subject_id": "s-1"}]}),
            "inputs.turns.0.subject_id: ",
        ),
        (line(inputs={**line()["inputs"], "turns": [{"choose": 3}]}), "inputs.turns.0.choose: "),
        (line(inputs={**line()["inputs"], "turns": [{}] * 4}), "inputs.turns: "),
        (line(expect={**line()["expect"], "family": "요리"}), "expect.family: "),
        (line(expect={**line()["expect"], "fits": ["QA"]}), "`fits` lacks the family itself, 백엔드"),
        (line(expect={**line()["expect"], "language": "en"}), "`expect.language` is another"),
        (line(), "id: one stands twice"),
    ],
)
def test_a_bad_line_is_refused_with_its_place_and_what_is_wrong(
    tmp_path: Path, bad: dict[str, Any] | str, said: str
) -> None:
    path = file_of(tmp_path, line(), "", bad)
    with pytest.raises(InvalidRequestError) as refusal:
        read_cases(path)
    assert said in refusal.value.message
    assert f"{path}, line 3: " in refusal.value.message
    assert refusal.value.file == str(path)
    assert refusal.value.line == 3
    assert refusal.value.fields[0].keys() == {"field", "problem"}


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    for use in (read_cases, dataset_version):
        with pytest.raises(InvalidRequestError, match=r"none\.jsonl cannot be read"):
            use(tmp_path / "none.jsonl")


def test_an_added_case_is_read_back_as_it_was_and_changes_the_version(tmp_path: Path) -> None:
    path = tmp_path / "new.jsonl"
    first, second = Case.model_validate(line()), Case.model_validate(line(id="two", source="session"))
    write_case(path, first)
    before = dataset_version(path)
    # As an editor leaves it that saves without a last line end.
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    write_case(path, second)
    assert read_cases(path) == [first, second]
    assert json.loads(path.read_text(encoding="utf-8").splitlines()[0]) == line()
    assert dataset_version(path) != before


def test_an_id_that_is_taken_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    path = file_of(tmp_path, line())
    before = path.read_bytes()
    with pytest.raises(InvalidRequestError, match="has a case one already"):
        write_case(path, Case.model_validate(line(tags=["senior"])))
    assert path.read_bytes() == before


def test_the_cases_cover_families_languages_and_people() -> None:
    assert len(CASES) >= 60
    families = Counter(case.expect.family for case in CASES)
    assert all(families[family] >= 3 for family in FAMILIES), families
    assert families[None] >= 2
    korean = sum(case.inputs.language == "ko" for case in CASES)
    assert 0.55 <= korean / len(CASES) <= 0.75
    tags = Counter(tag for case in CASES for tag in case.tags)
    assert set(tags) == set(TAGS)
    for stage in ("beginner", "junior", "senior", "career_changer"):
        assert tags[stage] >= 10, tags
    assert all(sum(tag in TAGS[:4] for tag in case.tags) == 1 for case in CASES)
    assert 0.4 <= tags["turns"] / len(CASES) <= 0.7
    turns = [turn for case in CASES for turn in case.inputs.turns]
    asked = {
        name
        for turn in turns
        for name in ("difficulty", "skills", "feedback", "choose")
        if getattr(turn, name)
    }
    assert asked == {"difficulty", "skills", "feedback", "choose"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_what_a_case_says_of_itself_is_true(case: Case) -> None:
    profile = case.inputs.profile.model_dump()
    said = " ".join(texts(profile)).casefold()
    assert case.source == "written"
    assert bool(case.inputs.turns) == ("turns" in case.tags)
    assert bool(case.expect.canaries) == ("hostile" in case.tags)
    for canary in case.expect.canaries:
        turns = " ".join(texts([turn.model_dump() for turn in case.inputs.turns]))
        assert canary in " ".join(texts(profile)) + turns
    for skill in case.expect.known_skills:
        assert skill.casefold() in said, skill
    filled = [key for key, value in profile.items() if value and key not in ("career_stage", "skills")]
    if "thin" in case.tags:
        assert len(filled) <= 2
        assert len(said) < 300
    if "rich" in case.tags:
        assert len(filled) >= 3
    if "long" in case.tags:
        assert len(said) > 1_400


def test_every_case_is_another_person() -> None:
    asked = Counter((case.inputs.profile.desired_job, *case.inputs.profile.skills) for case in CASES)
    assert max(asked.values()) == 1
    sentences: dict[str, str] = {}
    for case in CASES:
        for text in texts(case.inputs.model_dump()["profile"]):
            for sentence in re.split(r"[.\n]", text):
                # Long enough that nobody writes the same by chance.
                if len(sentence.strip()) >= 20:
                    assert sentences.setdefault(sentence.strip(), case.id) == case.id, sentence


def test_a_hostile_posting_for_every_family_carries_its_canary() -> None:
    read = [row.value for row in read_rows(HOSTILE_POSTINGS)]
    assert {row["family"] for row in read} == set(FAMILIES)
    for row in read:
        posting = as_posting(row, source="hostile")
        assert posting.source == "hostile"
        assert row["canary"] in posting.text()
        # What is planted is the smaller part: the rest is a posting that somebody would retrieve.
        planted = sum(len(one) for one in posting.text().splitlines() if row["canary"] in one)
        assert planted < len(posting.text()) / 2
    canaries = [row["canary"] for row in read] + [one for case in CASES for one in case.expect.canaries]
    for one, other in itertools.permutations(canaries, 2):
        assert one not in other

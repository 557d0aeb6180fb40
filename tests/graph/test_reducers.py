"""How a node's update joins the state."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from graph.state import append, append_new, merge

SUBJECT = st.builds(
    lambda n, title: {"id": f"sub-{n}", "title": title}, st.integers(0, 9), st.sampled_from("abc")
)
SUBJECTS = st.lists(SUBJECT, max_size=8)
KEPT = st.lists(SUBJECT, max_size=8, unique_by=lambda subject: subject["id"])
DICTS = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 9), max_size=5)

Subjects = list[dict[str, Any]]


def ids(subjects: Subjects) -> list[str]:
    return [subject["id"] for subject in subjects]


@given(KEPT, SUBJECTS)
def test_no_rejected_subject_is_ever_lost_or_changed(kept: Subjects, more: Subjects) -> None:
    assert append_new(kept, more)[: len(kept)] == kept
    assert set(ids(append_new(kept, more))) == {*ids(kept), *ids(more)}


@given(KEPT, SUBJECTS)
def test_no_rejected_subject_is_ever_doubled(kept: Subjects, more: Subjects) -> None:
    joined = ids(append_new(kept, more))
    assert len(joined) == len(set(joined))


@given(KEPT, SUBJECTS)
def test_a_turn_that_is_repeated_adds_nothing(kept: Subjects, more: Subjects) -> None:
    once = append_new(kept, more)
    assert append_new(once, more) == once


@given(SUBJECTS, SUBJECTS)
def test_history_keeps_every_project_in_its_order(kept: Subjects, more: Subjects) -> None:
    assert append(kept, more) == kept + more


@given(DICTS, DICTS)
def test_the_newer_version_of_a_part_wins_and_the_others_stay(
    kept: dict[str, int], more: dict[str, int]
) -> None:
    merged = merge(kept, more)
    assert merged == kept | more
    assert all(merged[key] == value for key, value in more.items())


@given(KEPT, SUBJECTS, DICTS, DICTS)
def test_reducers_leave_what_they_are_given_as_it_was(
    kept: Subjects, more: Subjects, one: dict[str, int], other: dict[str, int]
) -> None:
    before = ([*kept], [*more], {**one}, {**other})
    append_new(kept, more)
    append(kept, more)
    merge(one, other)
    assert (kept, more, one, other) == before

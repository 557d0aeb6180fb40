"""propose_subjects: subjects that are new to the session and rest on postings."""

from __future__ import annotations

from typing import Any

import pytest

from nodes.propose_subjects import (
    ATTEMPTS,
    Proposal,
    SubjectProposals,
    progress_message,
    propose_subjects,
)
from tests.fakes import Stage as BareStage
from tests.fakes import posting
from tests.watching import watched
from tools.core.contracts import NotCovered, Profile, SkillGap
from tools.core.errors import ModelOutputError, ModelUnavailableError

POSTINGS = [posting(1), posting(2)]
SUMMARY: dict[str, Any] = {"skills": [{"text": "Kafka", "count": 2, "posting_ids": ["p-1", "p-2"]}]}


def Stage(*script: Any, **more: Any) -> BareStage:  # noqa: N802 - it makes one
    return BareStage(*script, postings=POSTINGS, **more)


def state(**more: Any) -> Any:
    return {
        "profile": Profile(desired_job="Backend developer", skills=["Java"]).model_dump(),
        "language": "en",
        "relevant": {"kept": [{"posting_id": "p-1"}, {"posting_id": "p-2"}], "dropped": []},
        "summary": SUMMARY,
        "turn": {},
        **more,
    }


def proposal(title: str, *posting_ids: str, **fields: Any) -> Proposal:
    """One that fits: it serves the wish, uses the skill and closes the gap."""
    given = {
        "title": title,
        "description": f"It builds {title}.",
        "goal": "100 of 100 requests answered",
        "wishes": ["Backend developer"],
        "skills": ["Java", "Kafka"],
        "skill_gaps": [SkillGap(skill="Kafka", reason="2 of 2 postings ask for it")],
        "posting_ids": list(posting_ids) or ["p-1"],
    }
    return Proposal(**{**given, **fields})


def proposals(*given: str | Proposal) -> SubjectProposals:
    return SubjectProposals(subjects=[g if isinstance(g, Proposal) else proposal(g) for g in given])


def subject(title: str) -> dict[str, Any]:
    return {"id": f"sub-{title}", **proposal(title).model_dump()}


def titles(subjects: list[dict[str, Any]]) -> list[str]:
    return [subject["title"] for subject in subjects]


SHOWN = {"current": subject("A"), "candidates": [subject("B"), subject("C"), subject("D")], "missing": 0}


async def test_a_first_proposal_is_one_subject_and_three_candidates_each_with_an_id_of_its_own() -> None:
    update = await propose_subjects(state(), Stage(proposals("A", "B", "C", "D")).runtime)
    subjects = update["subjects"]
    assert subjects["current"]["title"] == "A"
    assert titles(subjects["candidates"]) == ["B", "C", "D"]
    assert subjects["missing"] == 0
    assert len({s["id"] for s in (subjects["current"], *subjects["candidates"])}) == 4
    assert update["rejected"] == []
    assert not update["draft"]


async def test_more_proposals_than_were_asked_for_are_not_shown() -> None:
    update = await propose_subjects(state(), Stage(proposals(*"ABCDEF")).runtime)
    assert titles(update["subjects"]["candidates"]) == ["B", "C", "D"]


async def test_the_model_reads_the_wishes_of_the_turn() -> None:
    stage = Stage(proposals(*"ABCD"))
    turn = {"chosen": None, "difficulty": "beginner", "skills": ["Go"], "feedback": "smaller"}
    await propose_subjects(state(turn=turn), stage.runtime)
    [(purpose, blocks)] = stage.chat.asked
    assert purpose == "propose_subjects"
    assert blocks["request"] == [
        {
            "desired_job": "Backend developer",
            "language": "en",
            "count": 4,
            "main": True,
            "kept_postings": 2,
            "closest_only": False,
            "difficulty": "beginner",
            "skills": ["Go"],
            "feedback": "smaller",
        }
    ]
    assert blocks["summary"] == [{"skills": [{"text": "Kafka", "count": 2}]}]
    assert blocks["rejected"] == blocks["problems"] == []


async def test_the_model_reads_of_weeks_only_where_they_are_wished_for() -> None:
    for turn, read in (({"weeks": 3}, 3), ({"weeks": None}, None), ({}, None)):
        stage = Stage(proposals(*"ABCD"))
        await propose_subjects(state(turn=turn), stage.runtime)
        [(_, blocks)] = stage.chat.asked
        assert blocks["request"][0].get("weeks") == read
        assert ("weeks" in blocks["request"][0]) == (read is not None)


async def test_a_regeneration_shows_the_model_every_earlier_subject_and_rejects_the_shown_ones() -> None:
    stage = Stage(proposals("E", "F", "G", "H"))
    update = await propose_subjects(state(subjects=SHOWN, rejected=[subject("old")]), stage.runtime)
    assert titles(stage.chat.asked[0][1]["rejected"]) == ["old", "A", "B", "C", "D"]
    assert titles(update["rejected"]) == ["A", "B", "C", "D"]
    assert update["subjects"]["current"]["title"] == "E"


@pytest.mark.parametrize("title", ["old", "A", "D", " o-L-d "])
async def test_a_subject_of_this_session_is_never_recommended_again(title: str) -> None:
    stage = Stage(proposals(title, "E", "F", "G"), proposals("H"))
    first = await propose_subjects(state(subjects=SHOWN, rejected=[subject("old")]), stage.runtime)
    assert first["draft"]
    assert titles(first["draft"]["passed"]) == ["E", "F", "G"]
    second = await propose_subjects(
        state(subjects=SHOWN, rejected=[subject("old")], draft=first["draft"]), stage.runtime
    )
    # The first of an answer is the main subject: it was asked for again.
    assert titles([second["subjects"]["current"], *second["subjects"]["candidates"]]) == ["H", "E", "F", "G"]


async def test_another_try_asks_only_for_what_is_missing_and_says_what_was_wrong() -> None:
    stage = Stage(proposals("A", "B", "a!", proposal("C", "p-9")), proposals("E", "F"))
    first = await propose_subjects(state(), stage.runtime)
    second = await propose_subjects(state(draft=first["draft"]), stage.runtime)
    blocks = stage.chat.asked[1][1]
    assert blocks["request"][0]["count"] == 2
    assert titles(blocks["rejected"]) == ["A", "B", "a!"]
    assert [row["problem"] for row in blocks["problems"]] == [
        "'a!' repeats 'A'",
        "'C' cites no posting of the summary",
        "2 more subjects are needed",
    ]
    assert titles([second["subjects"]["current"], *second["subjects"]["candidates"]]) == ["A", "B", "E", "F"]
    assert second["draft"] == {}


async def test_a_subject_keeps_only_citations_of_kept_postings_each_once() -> None:
    stage = Stage(proposals(proposal("A", "p-2", "p-9", "p-2"), "B", "C", "D"))
    update = await propose_subjects(state(), stage.runtime)
    assert update["subjects"]["current"]["posting_ids"] == ["p-2"]


async def test_an_earlier_subject_in_other_words_goes_back_and_is_named() -> None:
    # The stand-in embedder takes two texts that begin alike for the same.
    stage = Stage(proposals("Settlement server, reworded", "B2", "C2", "D2"), proposals("E2"))
    shown = {"current": subject("Settlement server"), "candidates": [], "missing": 0}
    first = await propose_subjects(state(subjects=shown), stage.runtime)
    assert titles(first["draft"]["passed"]) == ["B2", "C2", "D2"]
    assert first["draft"]["problems"][0] == (
        "'Settlement server, reworded' says the same as 'Settlement server' in other words"
    )
    known = {"draft": first["draft"], "fingerprints": first["fingerprints"]}
    second = await propose_subjects(state(subjects=shown, **known), stage.runtime)
    assert titles(second["subjects"]["candidates"]) == ["B2", "C2", "D2"]
    # Each earlier subject is embedded once in a session.
    assert [len(texts) for texts in stage.embedder.fingerprinted] == [5, 1]


async def test_the_first_turn_of_a_session_embeds_no_subject() -> None:
    stage = Stage(proposals("A", "B", "C", "D"))
    await propose_subjects(state(), stage.runtime)
    assert stage.embedder.fingerprinted == []


async def test_two_subjects_with_one_description_are_one_subject() -> None:
    twin = proposal("B", description="It builds A.")
    update = await propose_subjects(state(), Stage(proposals("A", twin, "C", "D")).runtime)
    assert update["draft"]["main"]["title"] == "A"
    assert titles(update["draft"]["passed"]) == ["C", "D"]


async def test_when_the_attempts_are_used_up_what_passed_goes_out_and_the_rest_is_counted_as_missing() -> (
    None
):
    draft = {
        "main": subject("A"),
        "passed": [subject("B")],
        "refused": [],
        "problems": [],
        "attempts": ATTEMPTS - 1,
    }
    update = await propose_subjects(state(draft=draft), Stage(proposals("A")).runtime)
    assert update["subjects"]["current"]["title"] == "A"
    assert titles(update["subjects"]["candidates"]) == ["B"]
    assert update["subjects"]["missing"] == 2
    assert progress_message(update, "en") == "A, and 1 candidates (2 missing)"


async def test_the_attempts_end_even_when_nothing_ever_passes() -> None:
    stage = Stage(*[proposals("A")] * 10)
    shown = {"current": subject("A"), "candidates": [], "missing": 0}
    draft: dict[str, Any] = {}
    with pytest.raises(ModelOutputError) as refused:
        for _ in range(10):
            draft = (await propose_subjects(state(subjects=shown, draft=draft), stage.runtime))["draft"]
    assert len(stage.chat.asked) == ATTEMPTS
    assert refused.value.problems == ["'A' repeats 'A'"]


async def test_a_subject_that_never_cites_a_posting_goes_out_in_the_end() -> None:
    stage = Stage(*[proposals(*(proposal(title, "p-9") for title in "ABCD"))] * ATTEMPTS)
    draft: dict[str, Any] = {}
    for _ in range(ATTEMPTS):
        update = await propose_subjects(state(draft=draft), stage.runtime)
        draft = update["draft"]
    assert titles([update["subjects"]["current"], *update["subjects"]["candidates"]]) == [*"ABCD"]


async def test_when_no_main_subject_ever_passes_a_candidate_takes_its_place() -> None:
    shown = {"current": subject("A"), "candidates": [], "missing": 0}
    draft = {"main": None, "passed": [subject("B")], "refused": [], "problems": [], "attempts": ATTEMPTS - 1}
    update = await propose_subjects(state(subjects=shown, draft=draft), Stage(proposals("A", "C")).runtime)
    assert update["subjects"]["current"]["title"] == "B"
    assert titles(update["subjects"]["candidates"]) == ["C"]
    assert update["subjects"]["missing"] == 2


async def test_the_model_reads_the_kept_postings_with_their_domain_and_their_lines() -> None:
    stage = Stage(proposals(*"ABCD"))
    summary = {**SUMMARY, "domains": [{"text": "payments", "count": 1, "posting_ids": ["p-2"]}]}
    await propose_subjects(state(summary=summary), stage.runtime)
    blocks = stage.chat.asked[0][1]
    assert blocks["postings"][0]["lines"] == [
        "Design and run payment API number 1",
        "Three years of Java",
        "Kafka in production",
    ]
    assert [row.get("domain") for row in blocks["postings"]] == [None, "payments"]
    assert blocks["summary"] == [{"skills": [{"text": "Kafka", "count": 2}]}]


PROFILE = Profile(
    desired_job="Backend developer",
    skills=["Java", "MongoDB"],
    introduction="I want to tune databases. I have never used React.",
    wishes=["split a monolith"],
)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"wishes": ["I want to tune databases"]}, "‘split a monolith’ is neither served"),
        ({"wishes": ["split a monolith", "build a game"]}, "‘build a game’ does not stand in the profile"),
        ({"wishes": []}, "which wishes"),
        ({"skills": ["Java", "Kafka"]}, "‘MongoDB’ is neither used"),
        ({"skills": ["Java", "MongoDB"]}, "‘Kafka’, which 2 postings ask for"),
        ({"skill_gaps": [SkillGap(skill="Kafka", reason="7 of 9 ask for it")]}, "is not that of the summary"),
    ],
    ids=["a wish", "an invented wish", "no wish", "a skill", "a gap", "a number"],
)
async def test_a_main_subject_that_does_not_fit_goes_back(fields: dict[str, Any], problem: str) -> None:
    fits: dict[str, Any] = {"wishes": ["split a monolith"], "skills": ["Java", "MongoDB", "Kafka"]}
    good = proposals(proposal("A", **fits), "B", "C", "D")
    stage = Stage(proposals(proposal("A", **{**fits, **fields}), "B", "C", "D"), good)
    update = await propose_subjects(state(profile=PROFILE.model_dump()), stage.runtime)
    [[refusal, *_]] = stage.chat.refusals
    assert problem in refusal
    assert update["warnings"] == {"propose_subjects": []}


async def test_what_is_named_as_left_out_with_a_reason_is_covered() -> None:
    left = [NotCovered(name=name, reason="no time") for name in ("MongoDB", "Kafka", "split a monolith")]
    main = proposal("A", wishes=["tune databases"], skills=["Java"], not_covered=left)
    stage = Stage(proposals(main, "B", "C", "D"))
    update = await propose_subjects(state(profile=PROFILE.model_dump()), stage.runtime)
    assert stage.chat.refusals == []
    assert update["subjects"]["current"]["not_covered"][0] == {"name": "MongoDB", "reason": "no time"}


async def test_a_main_subject_that_never_fits_goes_out_with_warnings_in_the_language_of_the_person() -> None:
    stage = Stage(proposals(*"ABCD"))
    given = state(profile=PROFILE.model_dump(), language="ko")
    update = await propose_subjects(given, stage.runtime)
    warnings = update["warnings"]["propose_subjects"]
    assert [warning["code"] for warning in warnings] == ["wish_not_covered", "skill_not_covered"]
    assert all(warning["node"] == "propose_subjects" for warning in warnings)
    assert "split a monolith" in warnings[0]["message"]
    assert "바라는 것" in warnings[0]["message"]


async def test_candidates_need_not_fit_everything() -> None:
    narrow = [proposal(title, wishes=[], skills=["Kafka"]) for title in "BCD"]
    stage = Stage(proposals("A", *narrow))
    await propose_subjects(state(), stage.runtime)
    assert stage.chat.refusals == []


async def test_a_chosen_subject_becomes_the_current_one_beside_three_new_candidates() -> None:
    chosen = SHOWN["candidates"][1]
    stage = Stage(proposals("E", "F", "G"))
    update = await propose_subjects(state(subjects=SHOWN, turn={"chosen": chosen}), stage.runtime)
    assert stage.chat.asked[0][1]["request"][0]["count"] == 3
    assert update["subjects"]["current"] == chosen
    assert titles(update["subjects"]["candidates"]) == ["E", "F", "G"]
    assert titles(update["rejected"]) == ["A", "B", "D"]


async def test_a_chosen_subject_is_kept_even_when_no_new_candidate_passes() -> None:
    chosen = SHOWN["candidates"][0]
    draft = {"main": None, "passed": [], "refused": [], "problems": [], "attempts": ATTEMPTS - 1}
    update = await propose_subjects(
        state(subjects=SHOWN, turn={"chosen": chosen}, draft=draft), Stage(proposals("A")).runtime
    )
    assert update["subjects"] == {"current": chosen, "candidates": [], "missing": 3}


def shown(stage: BareStage) -> list[tuple[Any, ...]]:
    """The events: titles by their positions, and which positions were withdrawn."""
    return [
        ("-", event["data"]["positions"])
        if event["type"] == "withdrawn"
        else (event["data"]["position"], event["data"]["subject"]["title"])
        for event in stage.events
    ]


async def test_every_subject_is_shown_best_first_as_it_is_written_and_stays() -> None:
    stage = Stage(proposals("A"), proposals("B", "C", "D"))
    first = await propose_subjects(state(), stage.runtime)
    assert shown(stage) == [(0, "A")]
    update = await propose_subjects(state(draft=first["draft"]), stage.runtime)
    assert shown(stage) == [(0, "A"), (1, "B"), (2, "C"), (3, "D")]
    watcher = watched(stage.events)
    assert list(watcher.subjects.values()) == [
        update["subjects"]["current"],
        *update["subjects"]["candidates"],
    ]


async def test_nothing_is_shown_where_nobody_watches() -> None:
    stage = Stage(proposals(*"ABCD"), watched=False)
    await propose_subjects(state(), stage.runtime)
    assert stage.events == []


async def test_a_subject_that_was_rejected_is_not_shown_for_a_moment() -> None:
    stage = Stage(proposals("A", "B — 월 1만 원 안에서", "E", "old", "F", "G"), proposals("H"))
    before = state(subjects=SHOWN, rejected=[subject("old")])
    first = await propose_subjects(before, stage.runtime)
    assert shown(stage) == [(1, "E"), (2, "F"), (3, "G")]
    await propose_subjects({**before, "draft": first["draft"]}, stage.runtime)
    assert shown(stage)[3:] == [(0, "H")]


async def test_a_subject_that_says_an_earlier_one_in_other_words_is_withdrawn() -> None:
    # The fake finds texts alike by their first ten characters.
    stage = Stage(proposals("Payments ledger", "F", "G", "H"))
    before = state(subjects=SHOWN, rejected=[subject("Payments l, but")])
    await propose_subjects(before, stage.runtime)
    assert shown(stage) == [(0, "Payments ledger"), (1, "F"), (2, "G"), (3, "H"), ("-", [0])]


async def test_an_answer_that_is_refused_is_withdrawn_before_the_next_is_shown() -> None:
    gap = SkillGap(skill="Kafka", reason="7 of 9 ask for it")
    wrong = proposals("A", proposal("B", skill_gaps=[gap]), "C", "D")
    stage = Stage(wrong, proposals("A", "E", "C", "D"))
    await propose_subjects(state(), stage.runtime)
    assert stage.chat.refusals
    withdrawn = [event["type"] for event in stage.events].index("withdrawn")
    assert shown(stage)[:withdrawn] == [(0, "A"), (1, "B"), (2, "C"), (3, "D")]
    assert shown(stage)[withdrawn:] == [("-", None), (0, "A"), (1, "E"), (2, "C"), (3, "D")]
    assert [event["data"]["attempt"] for event in stage.events] == [1] * 4 + [2] * 5


async def test_the_subject_that_was_chosen_is_shown_at_once() -> None:
    chosen = SHOWN["candidates"][0]
    stage = Stage(proposals("E", "F", "G"))
    await propose_subjects(state(subjects=SHOWN, turn={"chosen": chosen}), stage.runtime)
    assert shown(stage) == [(0, "B"), (1, "E"), (2, "F"), (3, "G")]


async def test_a_model_that_fails_is_not_hidden() -> None:
    with pytest.raises(ModelUnavailableError):
        await propose_subjects(state(), Stage(ModelUnavailableError()).runtime)


async def test_one_line_says_what_is_proposed() -> None:
    update = await propose_subjects(state(), Stage(proposals(*"ABCD")).runtime)
    assert progress_message(update, "en") == "A, and 3 candidates"
    assert progress_message(update, "ko") == "A 외 후보 3개"
    unfinished = await propose_subjects(state(), Stage(proposals("A")).runtime)
    assert unfinished["draft"]["main"]["title"] == "A"
    assert progress_message(unfinished, "en") == "asking again: 1 problems"
    assert update["versions"]["propose_subjects"]["model"] == "scripted"

"""propose_subjects: a subject and three candidates that are new to the session."""

from __future__ import annotations

import hashlib
import logging
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from langgraph.runtime import Runtime
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from nodes.prompt_data import profile_row, remaining_tokens, subject_rows, turn_row
from nodes.state import Draft, ProfileDict, Relevant, SubjectDict, Subjects, SummaryDict, Turn
from tools.context import RunContext
from tools.core.contracts import Language, SkillGap
from tools.core.errors import ModelOutputError
from tools.core.fencing import fence
from tools.llm.embeddings import similarity
from tools.llm.token_estimates import estimated_tokens

logger = logging.getLogger(__name__)

CANDIDATES = 3
"""Subjects offered beside the current one."""
ATTEMPTS = 3
"""Times the model is asked before the answer goes out with the subjects that passed."""
_LONGEST_TITLE = 200
"""Characters."""
_LONGEST_SUBJECT = 2_500
"""Tokens of all of a subject, by the estimate: five times a good one. Every later prompt of the session
reads it."""
_NOT_TEXT = re.compile(r"[^\w+#]+|_+")
"""`+` and `#` stay: C, C++ and C# are three languages."""
_PROBLEMS = 10
"""Problems that are sent back to the model: more would repeat them."""


class Reads(TypedDict):
    """What this node reads of the state."""

    profile: ProfileDict
    language: Language
    relevant: Relevant
    summary: SummaryDict
    subjects: Subjects
    rejected: list[SubjectDict]
    chosen: list[SubjectDict]
    turn: Turn
    draft: Draft
    omitted_postings: dict[str, list[str]]
    fingerprints: dict[str, str]


class Proposal(BaseModel):
    """A portfolio project for this person and this market."""

    title: str = Field(min_length=1)
    description: str = Field(min_length=1, description="what is built, two or three sentences")
    goal: str = Field(description="what will have been shown at the end, measurable")
    skills: list[str]
    skill_gaps: list[SkillGap] = Field(description="what the market asks and the profile does not show")
    posting_ids: list[str] = Field(description="ids of the postings that speak for it")


class SubjectProposals(BaseModel):
    """Subjects, the best one first, that differ in kind and not in wording."""

    subjects: list[Proposal]


async def propose_subjects(state: Reads, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Proposes the subjects of this turn: four, or three candidates beside the one that was chosen.

    Reads `profile`, `language`, `relevant`, `summary`, `subjects`, `rejected`, `chosen`, `fingerprints`,
    `turn`, `draft`, `omitted_postings`. A subject that repeats an earlier one of the session by title, text
    or meaning, or cites no kept posting, or is far too long, does not pass. Until all have passed, or the
    attempts are used up, it writes `draft` and the graph comes here again; then it writes `subjects`, moves
    the ones that were not chosen to `rejected`, adds the one that was to `chosen`, and empties `draft`.
    `fingerprints` gains the embeddings of earlier subjects that had none.

    Raises:
        ModelUnavailableError, ModelOutputError: the model failed, or no subject passed at all.
    """
    context, language, turn = runtime.context, state["language"], state["turn"]
    draft = state.get("draft") or Draft(passed=[], refused=[], problems=[], attempts=0)
    chosen = turn.get("chosen")
    subjects = state.get("subjects")
    shown = [subjects["current"], *subjects["candidates"]] if subjects else []
    all_chosen = [*state.get("chosen", []), *([chosen] if chosen else [])]
    earlier = list({s["id"]: s for s in (*state.get("rejected", []), *all_chosen, *shown)}.values())
    wanted = CANDIDATES if chosen else CANDIDATES + 1

    prompt = context.prompts.get("propose_subjects", language)
    blocks = {
        "request": fence("request", {**turn_row(state), "count": wanted - len(draft["passed"])}),
        "profile": fence("profile", profile_row(state["profile"])),
        "summary": fence("summary", state["summary"]),
        "problems": fence("problems", [{"problem": problem} for problem in draft["problems"][-_PROBLEMS:]]),
    }
    # A long session has more earlier subjects than a prompt has room. Those that are not shown may be
    # proposed again, but come no further: each proposal is checked against all of them below.
    tokens = remaining_tokens(context.settings.prompt_tokens, prompt, blocks, SubjectProposals)
    known = [*earlier, *draft["passed"], *draft["refused"]]
    blocks["rejected"] = fence("rejected", subject_rows(known, tokens))
    reply = await context.chat.ask(prompt, blocks, SubjectProposals, lambda _: [])

    kept_ids = {row["posting_id"] for row in state["relevant"]["kept"]}
    verdict = _judged(reply.value, [*earlier, *draft["passed"]], kept_ids)
    fingerprints = await _refuse_reworded(verdict, earlier, state.get("fingerprints", {}), context)
    passed = [*draft["passed"], *verdict.passed][:wanted]
    problems = verdict.problems
    attempts = draft["attempts"] + 1
    missing = wanted - len(passed)
    if missing and attempts < ATTEMPTS:
        problems.append(f"{missing} more subjects are needed")
        refused = [*draft["refused"], *verdict.refused]
        again = Draft(passed=passed, refused=refused, problems=problems, attempts=attempts)
        return {"draft": again, "fingerprints": fingerprints}
    if missing:
        logger.warning("subjects missing", extra={"missing": missing, "problems": len(problems)})
    if not passed and not chosen:
        raise ModelOutputError(purpose="propose_subjects", problems=problems)

    current, *candidates = [chosen, *passed] if chosen else passed
    for subject in (current, *candidates):
        runtime.stream_writer({"type": "subject", "node": "propose_subjects", "data": subject})
    not_rejected = {current["id"], *(subject["id"] for subject in all_chosen)}
    return {
        "subjects": Subjects(current=current, candidates=candidates, missing=missing),
        "rejected": [subject for subject in shown if subject["id"] not in not_rejected],
        "chosen": [chosen] if chosen else [],
        "draft": {},
        "fingerprints": fingerprints,
        "versions": {"propose_subjects": context.chat.versions(prompt, SubjectProposals)},
    }


def progress_message(update: dict[str, Any], language: Language) -> str:
    """Returns one line about what the node found."""
    if update["draft"]:
        problems = len(update["draft"]["problems"])
        return f"다시 제안: 문제 {problems}건" if language == "ko" else f"asking again: {problems} problems"
    subjects = update["subjects"]
    title, more, missing = subjects["current"]["title"], len(subjects["candidates"]), subjects["missing"]
    if language == "ko":
        return f"{title} 외 후보 {more}개" + (f" ({missing}개 부족)" if missing else "")
    return f"{title}, and {more} candidates" + (f" ({missing} missing)" if missing else "")


def _normalised(text: str) -> str:
    """Returns `text` without case, width, white space and punctuation: what makes two titles one."""
    return _NOT_TEXT.sub("", unicodedata.normalize("NFKC", text).casefold())


def repeated(subject: Mapping[str, Any], earlier: Iterable[Mapping[str, Any]]) -> str | None:
    """Returns the title of the earlier subject that `subject` repeats by title or by description,
    or None when it is new."""
    title, description = _normalised(subject["title"]), _normalised(subject["description"])
    for other in earlier:
        if title == _normalised(other["title"]) or description == _normalised(other["description"]):
            return str(other["title"])
    return None


def _essence(subject: Mapping[str, Any]) -> str:
    """Returns the text of a subject whose embedding is compared."""
    return f"{subject['title']}\n{subject['description']}"


def _reworded(fingerprint: str, earlier: dict[str, str], threshold: float) -> str | None:
    """Returns the id of the earlier subject (`earlier`: fingerprints by id) that is nearest in
    meaning, when its cosine reaches `threshold`, or None when all are farther."""
    near = {subject_id: similarity(fingerprint, known) for subject_id, known in earlier.items()}
    nearest = max(near, key=lambda subject_id: near[subject_id], default=None)
    return nearest if nearest is not None and near[nearest] >= threshold else None


@dataclass(slots=True)
class _Verdict:
    """Which subjects of an answer passed, which repeat earlier ones, and what is wrong with the answer."""

    passed: list[SubjectDict] = field(default_factory=list)
    refused: list[SubjectDict] = field(default_factory=list)
    """Repeats: shown to the model on its next try, so that it does not come back with them."""
    problems: list[str] = field(default_factory=list)

    def refuse(self, subject: SubjectDict, problem: str) -> None:
        self.refused.append(subject)
        self.problems.append(f"'{subject['title']}' {problem}")


def _judged(answer: SubjectProposals, earlier: list[SubjectDict], kept_ids: set[str]) -> _Verdict:
    """Judges by title, text and citations."""
    verdict = _Verdict()
    for proposal in answer.subjects:
        length = estimated_tokens(proposal.model_dump_json())
        if len(proposal.title) > _LONGEST_TITLE or length > _LONGEST_SUBJECT:
            verdict.problems.append(f"'{proposal.title[:_LONGEST_TITLE]}' is too long; say it in fewer words")
            continue
        cited = [i for i in dict.fromkeys(proposal.posting_ids) if i in kept_ids]
        fields = proposal.model_dump() | {"id": _id(proposal), "posting_ids": cited}
        subject = cast(SubjectDict, fields)
        again = repeated(subject, [*earlier, *verdict.passed])
        if again is not None:
            verdict.refuse(subject, f"repeats '{again}'")
        elif not subject["posting_ids"]:
            verdict.problems.append(f"'{subject['title']}' cites no posting of the summary")
        else:
            verdict.passed.append(subject)
    return verdict


async def _refuse_reworded(
    verdict: _Verdict, earlier: list[SubjectDict], known: dict[str, str], context: RunContext
) -> dict[str, str]:
    """Refuses subjects that mean the same as an earlier one.

    One request embeds what passed so far and the earlier subjects that have no fingerprint yet; the
    first turn of a session has nothing to compare with and asks for none. Returns the new
    fingerprints of earlier subjects.
    """
    if not earlier or not verdict.passed:
        return {}
    bare = [subject for subject in earlier if subject["id"] not in known]
    vectors = await context.embedder.fingerprints([_essence(s) for s in (*bare, *verdict.passed)])
    added = {subject["id"]: vector for subject, vector in zip(bare, vectors, strict=False)}
    titles = {subject["id"]: subject["title"] for subject in earlier}
    compared = {**known, **added}
    passed, verdict.passed = verdict.passed, []
    for subject, vector in zip(passed, vectors[len(bare) :], strict=True):
        again = _reworded(vector, compared, context.settings.novelty_similarity)
        if again is None:
            verdict.passed.append(subject)
        else:
            verdict.refuse(subject, f"says the same as '{titles.get(again, again)}' in other words")
    return added


def _id(proposal: Proposal) -> str:
    """Returns a hash of the proposal, so that a turn that is run again asks what it asked before."""
    text = _normalised(proposal.title) + "\n" + _normalised(proposal.description)
    return "sub-" + hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

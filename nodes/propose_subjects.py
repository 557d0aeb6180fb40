"""propose_subjects: a subject and three candidates that are new to the session."""

from __future__ import annotations

import hashlib
import logging
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from langgraph.runtime import Runtime
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from nodes.findings import Finding
from nodes.prompt_data import (
    fit_to_budget,
    kept_postings,
    posting_domains,
    profile_row,
    remaining_tokens,
    subject_rows,
    summary_row,
    telling_rows,
    turn_row,
)
from nodes.state import (
    Draft,
    ProfileDict,
    ProjectDict,
    Relevant,
    SubjectDict,
    Subjects,
    SummaryDict,
    Turn,
)
from nodes.subject_checks import count_findings, fit_findings
from tools.context import RunContext
from tools.core import metrics
from tools.core.contracts import Language, NotCovered, SkillGap
from tools.core.errors import ModelOutputError, NoPostingsError
from tools.core.fencing import fence
from tools.core.text import texts
from tools.llm.embeddings import similarity
from tools.llm.novelty import essence
from tools.llm.partial_answers import as_objects_end, begun
from tools.llm.token_estimates import estimated_tokens
from tools.prompts.prompt import Prompt
from tools.shown import Place

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
_ADDED = re.compile(r"\s[—–-]\s.*$|\s*[(（\[][^()（）\[\]]*[)）\]]\s*$", re.DOTALL)
"""What a title says after a dash or in brackets at its end: "… — 월 1만 원 안에서" is no other subject."""
_LONGEST_LINES, _LATER_LINES, _ALL_LINES = 500, 180, 4_200
"""Characters of the lines of one posting, in a session's first turn and in a later one, which is to cost less
(tests/graph/test_regeneration_cost.py), and of all together."""
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
    refused: list[str]
    chosen: list[SubjectDict]
    turn: Turn
    draft: Draft
    omitted_postings: dict[str, list[str]]
    fingerprints: dict[str, str]
    project: ProjectDict


class Proposal(BaseModel):
    """A portfolio project for this person and this market."""

    title: str = Field(min_length=1)
    description: str = Field(min_length=1, description="what is built, two or three sentences")
    goal: str = Field(description="what will have been shown at the end, by a number")
    wishes: list[str] = Field([], description="the wishes it serves, copied from the profile word for word")
    strengths: list[str] = Field([], description="what the person can do already that it builds on")
    skills: list[str]
    skill_gaps: list[SkillGap] = Field(description="what the market asks and the profile does not show")
    not_covered: list[NotCovered] = Field(
        [], description="wishes, main skills and common gaps that it leaves out, each with the reason"
    )
    posting_ids: list[str] = Field(description="ids of the postings that speak for it")


class SubjectProposals(BaseModel):
    """Subjects, the one that fits best first, that differ in kind and not in wording."""

    subjects: list[Proposal]


async def propose_subjects(state: Reads, runtime: Runtime[RunContext]) -> dict[str, Any]:
    """Proposes the subjects of this turn: a main one and three candidates, or three candidates beside the one
    that was chosen.

    Reads `profile`, `language`, `relevant`, `summary`, `subjects`, `rejected`, `refused`, `chosen`,
    `fingerprints`, `turn`, `draft`, `omitted_postings`, `project`. A subject that repeats an earlier one of
    the session by title, text or meaning, or is far too long, does not pass. Until all have passed, or the
    attempts are used up, it writes `draft` and the graph comes here again; then it writes `subjects`, moves
    the ones that were not chosen to `rejected`, adds the one that was to `chosen` and the titles of repeats
    to `refused`, and empties `draft`. `fingerprints` gains the embeddings of earlier subjects that had none.

    A main subject that leaves out a wish, a main skill or a common gap without a word goes back to the model,
    as does a number of postings that is not the summary's; what is still wrong after the last retry goes out
    with `warnings`.

    Raises:
        NoPostingsError: the kept postings are gone.
        ModelUnavailableError, ModelOutputError: the model failed, or no subject passed at all.
    """
    context, language, turn = runtime.context, state["language"], state["turn"]
    draft = state.get("draft") or Draft(main=None, passed=[], refused=[], problems=[], attempts=0)
    chosen = turn.get("chosen")
    subjects = state.get("subjects")
    shown = [subjects["current"], *subjects["candidates"]] if subjects else []
    all_chosen = [*state.get("chosen", []), *([chosen] if chosen else [])]
    earlier = list({s["id"]: s for s in (*state.get("rejected", []), *all_chosen, *shown)}.values())
    main, passed = draft["main"], draft["passed"]
    needs_main = chosen is None and main is None
    ask = await _question(state, context, earlier, needs_main=needs_main)

    def findings(answer: SubjectProposals) -> list[str]:
        proposed = cast(list[SubjectDict], [proposal.model_dump() for proposal in answer.subjects])
        found = _findings(proposed[0] if needs_main and proposed else None, proposed, state)
        return [finding.problem(language) for finding in found]

    attempts = draft["attempts"] + 1
    is_last = attempts == ATTEMPTS
    kept_ids = {row["posting_id"] for row in state["relevant"]["kept"]}
    before = [*earlier, *([main] if main else []), *passed]

    def show(main: SubjectDict | None, candidates: Sequence[SubjectDict]) -> None:
        if context.watched:
            context.shown_subjects.show(_placed(chosen or main, candidates), runtime.stream_writer)

    def heard(text: str) -> None:
        if not text:
            context.shown_subjects.begin()
        # What it repeats by its words is refused before it is shown; by its meaning, when all are there.
        early = _judged(_complete(text), before, kept_ids, uncited_pass=is_last)
        early_main = early.take_main() if needs_main else main
        show(early_main, [*passed, *early.passed][:CANDIDATES])

    reply = await context.chat.ask(
        ask.prompt,
        ask.blocks,
        SubjectProposals,
        findings,
        heard=as_objects_end(heard) if context.watched else None,
    )

    verdict = _judged(reply.value, before, kept_ids, uncited_pass=is_last)
    fingerprints = await _refuse_reworded(verdict, earlier, state.get("fingerprints", {}), context)
    if needs_main:
        main = verdict.take_main()
    candidates = [*passed, *verdict.passed][:CANDIDATES]
    if main is None and chosen is None and is_last and candidates:
        main = candidates.pop(0)
    show(main, candidates)
    missing = CANDIDATES - len(candidates) + (main is None and chosen is None)
    problems = verdict.problems
    if missing and not is_last:
        problems.append(f"{missing} more subjects are needed")
        refused = [*draft["refused"], *verdict.refused]
        again = Draft(main=main, passed=candidates, refused=refused, problems=problems, attempts=attempts)
        return {"draft": again, "fingerprints": fingerprints}
    if missing:
        logger.warning("subjects missing", extra={"missing": missing, "problems": len(problems)})
    current = chosen or main
    if current is None:
        raise _none_passed(verdict)

    new = [*([main] if main else []), *candidates]
    warnings = [f.warning("propose_subjects", language) for f in _findings(main, new, state)]
    not_rejected = {current["id"], *(subject["id"] for subject in all_chosen)}
    return {
        "subjects": Subjects(current=current, candidates=candidates, missing=missing),
        "rejected": [subject for subject in shown if subject["id"] not in not_rejected],
        "chosen": [chosen] if chosen else [],
        "refused": [subject["title"] for subject in (*draft["refused"], *verdict.refused)],
        "draft": {},
        "fingerprints": fingerprints,
        "omitted_postings": {"propose_subjects": ask.omitted},
        "warnings": {"propose_subjects": warnings},
        "versions": {"propose_subjects": context.chat.versions(ask.prompt, SubjectProposals)},
    }


@dataclass(frozen=True, slots=True)
class _Question:
    """What the model is asked."""

    prompt: Prompt
    blocks: dict[str, str]
    omitted: list[str]
    """Ids of the kept postings for which the prompt has no room."""


async def _question(
    state: Reads, context: RunContext, earlier: list[SubjectDict], *, needs_main: bool
) -> _Question:
    """Returns the prompt and its fences: the person, the market in numbers and in the postings' own lines,
    and what is not to be proposed again."""
    language, turn, draft = state["language"], state["turn"], state.get("draft")
    postings = await context.postings.by_ids([row["posting_id"] for row in state["relevant"]["kept"]])
    if not postings:
        raise NoPostingsError
    passed = draft["passed"] if draft else []
    prompt = context.prompts.get("propose_subjects", language)
    problems = draft["problems"][-_PROBLEMS:] if draft else []
    request = {**turn_row(state), "count": needs_main + CANDIDATES - len(passed), "main": needs_main}
    blocks = {
        "request": fence("request", request),
        "profile": fence("profile", profile_row(state["profile"])),
        "summary": fence("summary", summary_row(state["summary"])),
        "problems": fence("problems", [{"problem": problem} for problem in problems]),
    }
    tokens = remaining_tokens(context.settings.prompt_tokens, prompt, blocks, SubjectProposals)
    about = "\n".join([*texts(state["profile"]), turn.get("feedback") or "", *turn.get("skills", [])])
    longest = _LATER_LINES if state.get("project") else _LONGEST_LINES
    limits = dict.fromkeys(postings, min(longest, _ALL_LINES // len(postings)))
    lines = telling_rows(postings.values(), about, limits, posting_domains(state["summary"]))
    rows, omitted = fit_to_budget(lines, tokens // 2)
    blocks["postings"] = fence("postings", rows)
    # A long session has more earlier subjects than a prompt has room. Those that are not shown may be
    # proposed again, but come no further: each proposal is checked against all of them.
    tokens = remaining_tokens(context.settings.prompt_tokens, prompt, blocks, SubjectProposals)
    main = [draft["main"]] if draft and draft["main"] else []
    known = [*earlier, *main, *passed, *(draft["refused"] if draft else [])]
    blocks["rejected"] = fence("rejected", subject_rows(known, state.get("refused", []), tokens))
    return _Question(prompt, blocks, omitted)


def _findings(main: SubjectDict | None, subjects: Sequence[SubjectDict], state: Reads) -> list[Finding]:
    """Returns what is wrong with the fit of the main subject, and with the numbers of all."""
    kept = kept_postings(state)
    found = count_findings(subjects, state["summary"], kept)
    if main:
        asked = state["turn"].get("skills", [])
        found += fit_findings(main, state["profile"], state["summary"], kept=kept, asked_skills=asked)
    return found


def _complete(text: str) -> SubjectProposals:
    """Returns the complete subjects in the beginning of an answer."""
    written = begun(text)
    return SubjectProposals(subjects=written.complete("subjects", Proposal) if written else [])


def _placed(main: SubjectDict | None, candidates: Sequence[SubjectDict]) -> dict[Place, dict[str, Any]]:
    """Returns subjects as they are shown: the main one at 0, then the candidates."""
    places = enumerate((main, *candidates))
    return {n: {"position": n, "subject": subject} for n, subject in places if subject is not None}


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
    or None when it is new. What is added to a title after a dash or in brackets makes no new one."""
    title, description = _plain_title(subject["title"]), _normalised(subject["description"])
    for other in earlier:
        if title == _plain_title(other["title"]) or description == _normalised(other["description"]):
            return str(other["title"])
    return None


def _plain_title(title: str) -> str:
    """Returns a title without what is added to it; all of it where nothing else is left."""
    return _normalised(_ADDED.sub("", title)) or _normalised(title)


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
    first_id: str | None = None
    """Of the answer's first subject, which is the main one where one was asked for."""

    def take_main(self) -> SubjectDict | None:
        """Takes the main subject out of those that passed; None where it did not pass."""
        if self.passed and self.passed[0]["id"] == self.first_id:
            return self.passed.pop(0)
        return None

    def refuse(self, subject: SubjectDict, problem: str) -> None:
        metrics.SUBJECTS_REFUSED.inc()
        self.refused.append(subject)
        self.problems.append(f"'{subject['title']}' {problem}")


def _judged(
    answer: SubjectProposals, earlier: list[SubjectDict], kept_ids: set[str], *, uncited_pass: bool
) -> _Verdict:
    """Judges by title, text and citations. `uncited_pass`: one without citations passes."""
    verdict = _Verdict(first_id=_id(answer.subjects[0]) if answer.subjects else None)
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
        elif not subject["posting_ids"] and not uncited_pass:
            verdict.problems.append(f"'{subject['title']}' cites no posting of the summary")
        else:
            verdict.passed.append(subject)
    return verdict


def _none_passed(verdict: _Verdict) -> ModelOutputError:
    """Returns what is raised where no subject is left."""
    if not verdict.refused:
        return ModelOutputError(purpose="propose_subjects", problems=verdict.problems)
    return ModelOutputError(
        "Every subject that the model proposed repeats one that was shown. Ask with other skills, another "
        "difficulty or in your own words.",
        purpose="propose_subjects",
        cause="repeats",
        problems=verdict.problems,
    )


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
    # Another embedding may have served when a session was begun.
    known = {subject_id: made for subject_id, made in known.items() if context.embedder.made(made)}
    bare = [subject for subject in earlier if subject["id"] not in known]
    compared = [essence(s["title"], s["description"]) for s in (*bare, *verdict.passed)]
    vectors = await context.embedder.fingerprints(compared)
    added = {subject["id"]: vector for subject, vector in zip(bare, vectors, strict=False)}
    titles = {subject["id"]: subject["title"] for subject in earlier}
    by_id = {**known, **added}
    threshold = await context.embedder.novelty_similarity()
    passed, verdict.passed = verdict.passed, []
    for subject, vector in zip(passed, vectors[len(bare) :], strict=True):
        again = _reworded(vector, by_id, threshold)
        if again is None:
            verdict.passed.append(subject)
        else:
            verdict.refuse(subject, f"says the same as '{titles.get(again, again)}' in other words")
    return added


def _id(proposal: Proposal) -> str:
    """Returns a hash of the proposal, so that a turn that is run again asks what it asked before."""
    text = _normalised(proposal.title) + "\n" + _normalised(proposal.description)
    return "sub-" + hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

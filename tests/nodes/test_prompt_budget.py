"""Each prompt, with the longest input that is allowed, stays below its limit; what is cut for it is whole
postings and whole sentences, and the answer says so."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, get_args

import orjson
import pytest
from langchain_core.messages import BaseMessage
from langgraph.runtime import Runtime
from pydantic import BaseModel

from ingest.documents import Heading, Hints, Paragraph, Parsed
from ingest.tagging.positions import PostingPositions, TaggingTask
from ingest.tagging.tagger import fences
from nodes.filter_jobs import JobVerdicts, Verdict, filter_jobs
from nodes.generate_tasks import ProjectPlan, Quote, generate_tasks
from nodes.propose_subjects import Proposal, SubjectProposals, propose_subjects
from nodes.summarize import AskedFor, CompanyDomain, MarketSummary, summarize
from serve.context import open_app_context
from tests.fakes import Stage, posting
from tools.core.contracts import MAX_PROFILE_CHARS, Answer, Language, Profile, SkillGap, Step, Task, Wishes
from tools.core.fencing import unfence
from tools.core.settings import Settings
from tools.lexicon import KIND_OF
from tools.llm.chat import Reply
from tools.llm.model_api import Heard
from tools.llm.token_estimates import estimated_tokens
from tools.postings.contracts import TEXT_FIELDS, StoredPosting
from tools.prompts.prompt import Prompt
from tools.prompts.registry import PACKAGES, PromptRegistry

T = TypeVar("T", bound=BaseModel)
LIMIT = Settings().prompt_tokens
LANGUAGES = get_args(Language)
NODES: tuple[Any, ...] = (filter_jobs, summarize, propose_subjects, generate_tasks)
PROMPTS = PromptRegistry.bundled(*PACKAGES)
SENTENCE = re.compile(r"\d+번서버를설계하고운영하며장애를막습니다\.")


def hangul(length: int) -> str:
    """A text of Hangul without a space: nothing that a person writes has more tokens a character."""
    return "결제서버를설계하고운영하며장애를막는" * (length // 18) + "가" * (length % 18)


def sentences(length: int) -> str:
    """At most `length` characters of sentences, three a line, each one with its number."""
    lines = (
        " ".join(f"{3 * n + k}번서버를설계하고운영하며장애를막습니다." for k in range(3))
        for n in range(length)
    )
    text = ""
    for line in lines:
        if len(text) + len(line) >= length:
            return text[:-1]
        text += line + "\n"
    raise AssertionError


def longest_profile() -> Profile:
    given: dict[str, Any] = {
        "desired_job": hangul(200),
        "career_stage": "job_seeker",
        "skills": [hangul(10)] * 100,
        "introduction": hangul(5_000),
        "experiences": [{"role": hangul(300), "description": hangul(5_000)}] * 2,
    }
    left = MAX_PROFILE_CHARS - 200 - len("job_seeker") - 1_000 - 5_000 - 10_600
    return Profile(**given, activities=[{"title": hangul(left // 50)}] * 50)


def longest_posting(number: int) -> StoredPosting:
    text = sentences(50_000)
    return posting(
        number,
        company=hangul(300),
        job_title=hangul(500),
        responsibilities=text,
        requirements=text,
        preferred=text,
        skills=[*[hangul(60)] * 5, *KIND_OF],
    )


class Reader:
    """A chat model that measures what it is asked, and says what its script has for the schema."""

    model_name = "reader"

    def __init__(self, script: Mapping[type[BaseModel], Callable[[Mapping[str, Any]], BaseModel]]) -> None:
        self._script = script
        self.read: dict[str, list[BaseMessage]] = {}
        self.tokens: dict[str, int] = {}

    def versions(self, prompt: Prompt, schema: type[BaseModel]) -> dict[str, Any]:
        """As `ChatModel.versions`."""
        return {}

    async def ask(
        self,
        prompt: Prompt,
        blocks: Mapping[str, str],
        schema: type[T],
        check: Callable[[T], list[str]],
        *,
        heard: Heard | None = None,
    ) -> Reply[T]:
        """As `ChatModel.ask`."""
        messages = prompt.render(blocks)
        self.tokens[prompt.purpose] = tokens_of(messages, schema)
        rows = unfence(str(messages[-1].content))
        self.read[prompt.purpose] = messages
        value = self._script[schema](rows)
        assert isinstance(value, schema)
        return Reply(value, check(value))


def tokens_of(messages: Iterable[BaseMessage], schema: type[BaseModel]) -> int:
    """Tokens of a whole request by the estimate, with the schema."""
    shown = orjson.dumps(schema.model_json_schema()).decode()
    return sum(estimated_tokens(str(message.content)) for message in messages) + estimated_tokens(shown)


def fits_all(rows: Mapping[str, Any]) -> JobVerdicts:
    given = [row["posting_id"] for row in rows["postings"]]
    return JobVerdicts(verdicts=[Verdict(posting_id=i, fits=True, reason="맞다") for i in given])


def endless_summary(rows: Mapping[str, Any]) -> MarketSummary:
    """More and longer lines than are taken; each names every posting."""
    given = [row["posting_id"] for row in rows["postings"]]
    said = rows["postings"][0]["responsibilities"].replace("\n", " ") * 5
    lines = [
        AskedFor(text=said[start : start + length], posting_ids=given)
        for length in (9_000, 121, 120)
        for start in range(0, 500, 10)
    ]
    domains = [
        CompanyDomain(posting_id=posting_id, domain=said[place : place + 40])
        for place, posting_id in enumerate(given)
    ]
    return MarketSummary(
        responsibilities=lines, qualifications=lines, preferred=lines, skills=[*KIND_OF], domains=domains
    )


def long_subjects(rows: Mapping[str, Any]) -> SubjectProposals:
    cited = [row["posting_id"] for row in rows["postings"]]
    subjects = [
        Proposal(
            title=f"{number}{hangul(150)}",
            description=f"새 {number}{hangul(700)}",
            goal=hangul(200),
            skills=["Kafka"] * 10,
            skill_gaps=[SkillGap(skill="Kafka", reason=hangul(100))],
            posting_ids=cited,
        )
        for number in range(4)
    ]
    endless = subjects[0].model_copy(update={"title": "endless", "description": hangul(9_000)})
    return SubjectProposals(subjects=[endless, *subjects])


def long_plan(rows: Mapping[str, Any]) -> ProjectPlan:
    first = rows["postings"][0]
    task = Task(title="한다", description="한다", skills=[], deliverable="기록")
    return ProjectPlan(
        title="계획",
        description="만든다",
        difficulty="advanced",
        duration_weeks=6,
        skills=[],
        summary="왜",
        steps=[Step(title="첫째", tasks=[task])],
        evidence=[Quote(posting_id=first["posting_id"], quote=first["lines"][0])],
    )


SCRIPT: dict[type[BaseModel], Callable[[Mapping[str, Any]], BaseModel]] = {
    JobVerdicts: fits_all,
    MarketSummary: endless_summary,
    SubjectProposals: long_subjects,
    ProjectPlan: long_plan,
}


@pytest.fixture(scope="module", params=LANGUAGES)
async def longest(request: pytest.FixtureRequest) -> tuple[Reader, dict[str, Any]]:
    """What the model reads, and the state, after a run of the four nodes on the longest input."""
    reader = Reader(SCRIPT)
    services = Stage(postings=[longest_posting(number) for number in range(1, 21)]).runtime.context
    runtime = Runtime(context=dataclasses.replace(services, chat=reader))  # type: ignore[arg-type]
    wishes = Wishes(difficulty="advanced", weeks=26, skills=[hangul(100)] * 100, feedback=hangul(2_000))
    rejected = [
        {"id": f"r-{n}", "title": f"지난 {n}{hangul(190)}", "description": f"{n}{hangul(700)}"}
        for n in range(300)
    ]
    state: dict[str, Any] = {
        "profile": longest_profile().model_dump(),
        "language": request.param,
        "retrieved": [{"posting_id": f"p-{number}"} for number in range(1, 21)],
        "turn": wishes.model_dump(),
        "rejected": rejected,
        "draft": {
            "main": None,
            "passed": [],
            "refused": rejected[:20],
            "problems": [f"'{hangul(200)}' repeats '{hangul(200)}'"] * 60,
            "attempts": 2,
        },
        "omitted_postings": {},
    }
    for node in NODES:
        update = await node(state, runtime)
        omitted = {**state["omitted_postings"], **update.pop("omitted_postings", {})}
        state |= {**update, "omitted_postings": omitted, "rejected": rejected}
    return reader, state


def rows_read(reader: Reader, purpose: str) -> dict[str, list[dict[str, Any]]]:
    return unfence(str(reader.read[purpose][-1].content))


@pytest.mark.parametrize("purpose", ["filter_jobs", "summarize", "propose_subjects", "generate_tasks"])
def test_a_prompt_with_the_longest_input_stays_below_its_limit(
    longest: tuple[Reader, dict[str, Any]], purpose: str
) -> None:
    reader, _ = longest
    assert LIMIT / 3 < reader.tokens[purpose] <= LIMIT


@pytest.mark.parametrize("purpose", ["filter_jobs", "summarize", "generate_tasks"])
def test_what_is_read_of_a_posting_is_whole_sentences(
    longest: tuple[Reader, dict[str, Any]], purpose: str
) -> None:
    """But for the last one of a text, of which the beginning may be all that there is room for."""
    reader, _ = longest
    for row in rows_read(reader, purpose)["postings"]:
        texts = row["lines"] if "lines" in row else [row[field] for field in TEXT_FIELDS]
        for text in texts:
            *whole, last = text.split()
            assert all(SENTENCE.fullmatch(sentence) for sentence in whole)
            assert SENTENCE.fullmatch(last) or re.match(r"\d+번서버를", last)


@pytest.mark.parametrize("purpose", ["filter_jobs", "summarize", "propose_subjects", "generate_tasks"])
def test_the_postings_that_are_not_read_are_the_least_relevant_and_are_named(
    longest: tuple[Reader, dict[str, Any]], purpose: str
) -> None:
    reader, state = longest
    read = [row["posting_id"] for row in rows_read(reader, purpose)["postings"]]
    left_out = state["omitted_postings"][purpose]
    kept = [row["posting_id"] for row in state["relevant"]["kept"]]
    given = {
        "filter_jobs": [f"p-{number}" for number in range(1, 21)],
        "summarize": kept,
        "propose_subjects": kept,
        "generate_tasks": list(dict.fromkeys([*state["subjects"]["current"]["posting_ids"], *kept])),
    }[purpose]
    assert read
    assert read + left_out == given


def test_numbers_of_postings_are_of_those_that_the_summary_was_drawn_from(
    longest: tuple[Reader, dict[str, Any]],
) -> None:
    reader, state = longest
    [request] = rows_read(reader, "propose_subjects")["request"]
    most_wanted = max(line["count"] for line in state["summary"]["skills"])
    assert most_wanted == request["kept_postings"] < len(state["relevant"]["kept"])


def test_what_the_model_writes_cannot_fill_the_prompts_after_it(
    longest: tuple[Reader, dict[str, Any]],
) -> None:
    reader, state = longest
    read = rows_read(reader, "summarize")["postings"]
    summary = {name: [len(line["text"]) for line in lines] for name, lines in state["summary"].items()}
    assert [len(lines) for lines in summary.values()] == [8, 8, 8, 15, len(read)]
    for name, most in (
        ("responsibilities", 120),
        ("qualifications", 120),
        ("preferred", 120),
        ("domains", 40),
    ):
        assert most - 5 <= max(summary[name]) <= most
    subjects = [state["subjects"]["current"], *state["subjects"]["candidates"]]
    assert "endless" not in {subject["title"] for subject in subjects}


def test_of_three_hundred_earlier_subjects_the_newest_are_told(
    longest: tuple[Reader, dict[str, Any]],
) -> None:
    reader, state = longest
    told = [row["title"] for row in rows_read(reader, "propose_subjects")["rejected"]]
    assert len(told) > 10
    # The refused ones of this turn come last, after those of earlier turns.
    newest = [row["title"] for row in [*state["rejected"], *state["rejected"][:20]]]
    assert told == newest[-len(told) :]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_longest_part_of_a_document_stays_below_the_limit(language: Language) -> None:
    """Headings of six levels are repeated above every part."""
    levels = [Heading(text=hangul(2_000), level=level) for level in range(1, 7)]
    task = TaggingTask(Parsed(blocks=[*levels, Paragraph(text=hangul(50_000))], parser="test/1"), Hints())
    hints = Hints(title=hangul(300), company=hangul(300), positions=(hangul(100),) * 20)
    prompt = PROMPTS.get("tag_posting", language)
    assert len(task.parts) > 5
    for number in range(len(task.parts)):
        messages = prompt.render(fences(task.parts, number, hints))
        assert tokens_of(messages, PostingPositions) <= LIMIT


async def test_the_answer_of_a_run_names_the_postings_that_were_not_read(settings: Settings) -> None:
    tight = settings.model_copy(update={"prompt_tokens": 8_000})
    profile = Profile(desired_job="백엔드 개발자", skills=["Java", "Spring Boot"])
    async with open_app_context(tight) as app_context:
        events = [event async for event in app_context.sessions.generate(profile, "ko")]
        answer = Answer.model_validate(events[-1]["data"])
        view = await app_context.sessions.view(answer.session_id)
    left_out = answer.left_out["filter_jobs"]
    assert 0 < len(left_out) < 20
    assert left_out == [posting.posting_id for posting in answer.postings][-len(left_out) :]
    unread = [posting for posting in answer.postings if posting.posting_id in left_out]
    assert {(posting.kept, posting.reason) for posting in unread} == {(False, "입력이 너무 길어 읽지 않음")}
    assert view["left_out"] == answer.left_out


async def test_the_answer_of_an_ordinary_run_leaves_nothing_out(settings: Settings) -> None:
    async with open_app_context(settings) as app_context:
        events = [event async for event in app_context.sessions.generate(Profile(desired_job="QA"), "ko")]
    assert events[-1]["data"]["left_out"] == {}

"""A project as Markdown: everything that is in it, and nothing in it that formats."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from markdown_it import MarkdownIt

from serve.markdown import to_markdown
from tools.core.contracts import AnswerWarning, Project, Subject

TASK: dict[str, Any] = {
    "title": "Kill it",
    "description": "Stop the server 20 times",
    "skills": ["Java"],
    "deliverable": "a log",
    "fault": {"what": "it dies", "signal": "rows without an event", "remedy": "an outbox"},
}
PROJECT = Project.model_validate(
    {
        "subject_id": "sub-1",
        "title": "A settlement server",
        "description": "It pays once",
        "difficulty": "intermediate",
        "duration_weeks": 6,
        "hours_per_week": 10,
        "skills": ["Java", "C#"],
        "summary": "9 of 13 postings ask for Kafka",
        "goal": "0 lost of 50,000",
        "wishes": ["understand events"],
        "steps": [{"title": "First", "weeks": 1.5, "tasks": [TASK]}],
        "minimum_version": {"after_step": 1, "shows": "an API"},
        "data": [{"name": "payments", "origin": "a script"}],
        "costs": "none",
        "not_covered": [{"name": "Kubernetes", "reason": "no time"}],
        "evidence": [
            {
                "posting_id": "p-1",
                "company": "Company",
                "job_title": "Backend",
                "quote": "Kafka in production",
                "claim": "Kafka is used",
            }
        ],
    }
)


def texts(markdown: str) -> str:
    """What a reader of the rendered Markdown sees."""
    tokens = MarkdownIt("commonmark").parse(markdown)
    inline = [child for token in tokens for child in token.children or []]
    return "\n".join(child.content for child in inline if child.type == "text")


def test_everything_of_a_project_is_in_it() -> None:
    candidate = Subject.model_validate(
        {"id": "sub-2", "title": "Another", "description": "It caches", "goal": "10 times", "skills": []}
        | {"skill_gaps": [], "posting_ids": []}
    )
    warning = AnswerWarning(code="leak", node="generate_tasks", message="Look at it")
    markdown = to_markdown(PROJECT, "en", candidates=[candidate], warnings=[warning])
    seen = texts(markdown)
    for text in (
        *(
            "A settlement server",
            "intermediate · 6 weeks · 10 hours a week",
            "It pays once",
            "0 lost of 50,000",
        ),
        *(
            "Java, C#",
            "9 of 13 postings",
            "understand events",
            "Kafka is used",
            "Kafka in production",
            "Company",
        ),
        *("1. First (1.5 weeks)", "Kill it", "Stop the server 20 times", "a log", "rows without an event"),
        *("an outbox", "after step 1", "an API", "payments: a script", "none", "Kubernetes: no time"),
        *("Another", "It caches", "10 times", "Look at it"),
    ):
        assert text in seen, text


def test_a_project_in_korean_has_korean_headings() -> None:
    seen = texts(to_markdown(PROJECT, "ko"))
    for heading in ("중급 · 6주 · 주 10시간", "왜 이 프로젝트인가", "공고의 말", "담지 않은 것"):
        assert heading in seen


@pytest.mark.parametrize(
    "text",
    ["# Big", "**bold**", "[link](https://example.org)", "<img src=x>", "`code`", "a\n\n## b", "| a |"],
)
def test_texts_of_a_model_or_a_posting_format_nothing(text: str) -> None:
    project = PROJECT.model_copy(update={"description": text, "costs": text, "wishes": [text]})
    rendered = MarkdownIt("commonmark").render(to_markdown(project, "en"))
    plain = MarkdownIt("commonmark").render(to_markdown(PROJECT, "en"))
    for tag in ("<h1", "<h2", "<h3", "<a ", "<img", "<code", "<em"):
        assert rendered.count(tag) == plain.count(tag), tag
    assert rendered.count("<strong>") == plain.count("<strong>")


async def test_the_project_of_a_session_can_be_taken_along(client: httpx.AsyncClient) -> None:
    profile = {"desired_job": "백엔드 개발자", "skills": ["Java"]}
    answer = (await client.post("/generate/invoke", json={"input": {"profile": profile}})).json()["output"]
    response = await client.get(f"/sessions/{answer['session_id']}/project.md")
    assert response.headers["content-type"] == "text/markdown; charset=utf-8"
    seen = texts(response.text)
    assert answer["project"]["title"] in seen
    assert all(candidate["title"] in seen for candidate in answer["candidates"])


async def test_an_unknown_session_has_no_project(client: httpx.AsyncClient) -> None:
    response = await client.get("/sessions/nobody/project.md")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "session_not_found")

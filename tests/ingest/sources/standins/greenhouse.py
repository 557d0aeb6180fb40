"""Greenhouse's Job Board API."""

from __future__ import annotations

from html import escape
from typing import Any

from aiohttp import web

from tests.ingest.sources.standins.server import Site


def job(number: int, **fields: Any) -> dict[str, Any]:
    """A job as the API has it. `content` is given as HTML; the API escapes it."""
    said = {
        "absolute_url": f"https://boards.greenhouse.io/acme/jobs/{number}",
        "internal_job_id": number + 1000,
        "location": {"name": "Seoul, South Korea"},
        "metadata": None,
        "id": number,
        "updated_at": "2026-10-02T05:14:03-04:00",
        "requisition_id": f"R-{number}",
        "title": f"Backend Engineer {number}",
        "company_name": "Acme",
        "first_published": "2026-09-01T03:00:00-04:00",
        "language": "en",
        "content": "<p>Run the payment API &amp; its data.</p><ul><li>Three years of Java</li></ul>",
        "departments": [{"id": 1, "name": "Engineering", "child_ids": [], "parent_id": None}],
        "offices": [{"id": 2, "name": "Seoul", "location": "Seoul, South Korea", "child_ids": []}],
    }
    return {**said, **fields}


class Greenhouse(Site):
    """Boards by their token. `total` is what it says the board has, where that is not true."""

    def __init__(self, **boards: list[dict[str, Any]]) -> None:
        super().__init__()
        self.boards = boards
        self.total: int | None = None

    async def answer(self, request: web.Request) -> web.Response | None:
        match request.path.strip("/").split("/"):
            case ["v1", "boards", token] if token in self.boards:
                return self.json(request, {"name": f"{token.title()} Inc.", "content": ""})
            case ["v1", "boards", token, "jobs"] if token in self.boards:
                with_content = request.query.get("content") == "true"
                jobs = [_shown(row, with_content=with_content) for row in self.boards[token]]
                total = len(jobs) if self.total is None else self.total
                return self.json(request, {"jobs": jobs, "meta": {"total": total}})
        return self.json(request, {"status": 404, "error": "Job board not found"}, status=404)


def _shown(row: Any, *, with_content: bool) -> Any:
    if not isinstance(row, dict):
        return row
    if not with_content:
        return {k: v for k, v in row.items() if k not in ("content", "departments", "offices")}
    content = row.get("content")
    return {**row, "content": escape(content) if isinstance(content, str) else content}

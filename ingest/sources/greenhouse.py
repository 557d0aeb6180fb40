"""Greenhouse: https://developers.greenhouse.io/job-board.html, "List jobs"."""

from __future__ import annotations

from html import unescape
from typing import Any, ClassVar

from ingest.documents import Hints
from ingest.sources.boards import Board, Job, Listing, address, page, required, text, texts

_EMPLOYMENT = {"employment type", "job type", "commitment", "고용형태", "고용 형태", "근무형태", "근무 형태"}
"""Names of custom fields in which boards state the kind of employment."""


class GreenhouseSource(Board):
    """`greenhouse:acme`, for https://boards.greenhouse.io/acme. One answer has the whole board; the
    content of a job is HTML that is escaped twice."""

    kind: ClassVar[str] = "greenhouse"
    home: ClassVar[str] = "https://boards-api.greenhouse.io"
    title: ClassVar[str] = "Greenhouse"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._company: str | None = None

    async def listing(self) -> Listing | None:
        url = f"{self.base}/v1/boards/{self.path}/jobs?content=true"
        fetched = await self.fetch_jobs(url)
        if fetched is None:
            return None
        answer, jobs = fetched
        if any(text(job, "company_name") is None for job in jobs):
            await self._fetch_company()
        meta = answer.value.get("meta")
        total = meta.get("total") if isinstance(meta, dict) else None
        return Listing(jobs, [answer], complete=total in (None, len(jobs)), fetch=answer.fetch)

    def job(self, row: Any) -> Job | None:
        title = required(row, "title")
        offices = texts(row.get("offices"), "location") or texts(row.get("offices"), "name")
        hints = Hints(
            title=title,
            company=text(row, "company_name") or self._company or self.board,
            url=address(row, "absolute_url"),
            deadline=text(row, "application_deadline"),
            location=text(row, "location", "name") or "; ".join(offices) or None,
            employment_type=_employment(row.get("metadata")),
        )
        content = unescape(text(row, "content") or "")
        published = {"published_at": text(row, "first_published"), "updated_at": text(row, "updated_at")}
        departments = {"departments": texts(row.get("departments"), "name")}
        return Job(required(row, "id"), page(title, content), hints, published | departments)

    async def _fetch_company(self) -> None:
        """Fetches the name of the board, which older boards do not have in each job."""
        answer = await self.web.get(f"{self.base}/v1/boards/{self.path}", want="json", allowed=self.allowed)
        self._company = text(answer.value, "name")


def _employment(metadata: Any) -> str | None:
    for entry in metadata if isinstance(metadata, list) else []:
        if (text(entry, "name") or "").lower() in _EMPLOYMENT:
            value = entry.get("value")
            return ", ".join(texts(value)) or None if isinstance(value, list) else text(value)
    return None

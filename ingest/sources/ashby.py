"""Ashby: https://developers.ashbyhq.com/docs/public-job-posting-api."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any, ClassVar
from urllib.parse import urlsplit

from ingest.documents import Hints
from ingest.sources.boards import Board, Job, Listing, address, page, paragraphs, required, text, texts

_EMPLOYMENT = {
    "FullTime": "Full-time",
    "PartTime": "Part-time",
    "Intern": "Internship",
    "Contract": "Contract",
    "Temporary": "Temporary",
}


class AshbySource(Board):
    """`ashby:acme`, for https://jobs.ashbyhq.com/acme. One answer has the whole board. Unlisted jobs
    are not read: they are only for those who got their address."""

    kind: ClassVar[str] = "ashby"
    home: ClassVar[str] = "https://api.ashbyhq.com"
    title: ClassVar[str] = "Ashby"

    async def listing(self) -> Listing | None:
        url = f"{self.base}/posting-api/job-board/{self.path}?includeCompensation=true"
        fetched = await self.fetch_jobs(url)
        if fetched is None:
            return None
        answer, jobs = fetched
        return Listing(jobs, [answer], fetch=answer.fetch)

    def job(self, row: Any) -> Job | None:
        title = required(row, "title")
        if row.get("isListed") is False:
            return None
        url = text(row, "jobUrl")
        # The documentation's own example has no id; the address of a job ends in it.
        source_id = text(row, "id") or PurePosixPath(urlsplit(url or "").path).name
        if not source_id:
            raise ValueError("a job has no id")
        places = [text(row, "location"), *texts(row.get("secondaryLocations"), "location")]
        place = "; ".join(dict.fromkeys(filter(None, places))) or None
        if row.get("isRemote") is True and "remote" not in (place or "").lower():
            place = f"{place} (remote)" if place else "remote"
        employment = text(row, "employmentType")
        hints = Hints(
            title=title,
            company=self.board,
            url=address(row, "jobUrl"),
            deadline=text(row, "applicationDeadline"),
            location=place,
            employment_type=_EMPLOYMENT.get(employment or "", employment),
        )
        description = text(row, "descriptionHtml") or paragraphs(text(row, "descriptionPlain"))
        provenance = {
            "published_at": text(row, "publishedAt"),
            "department": text(row, "department"),
            "team": text(row, "team"),
            "compensation": text(row, "compensation", "compensationTierSummary"),
        }
        return Job(source_id, page(title, description), hints, provenance)

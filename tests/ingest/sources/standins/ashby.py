"""Ashby's public job posting API."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.ingest.sources.standins.server import Site


def job(number: int, **fields: Any) -> dict[str, Any]:
    """A job as the API has it."""
    key = f"00000000-0000-4000-9000-{number:012}"
    address = {"addressLocality": "Seoul", "addressCountry": "South Korea"}
    said = {
        "id": key,
        "title": f"Backend Engineer {number}",
        "department": "Engineering",
        "team": "Payments",
        "employmentType": "FullTime",
        "location": "Seoul",
        "secondaryLocations": [{"location": "Busan", "address": {"postalAddress": address}}],
        "publishedAt": "2026-09-01T03:00:00.000+00:00",
        "isListed": True,
        "isRemote": True,
        "workplaceType": "Remote",
        "address": {"postalAddress": address},
        "jobUrl": f"https://jobs.ashbyhq.com/acme/{key}",
        "applyUrl": f"https://jobs.ashbyhq.com/acme/{key}/application",
        "descriptionHtml": "<p>Run the payment API.</p><ul><li>Three years of Java</li></ul>",
        "descriptionPlain": "Run the payment API.\n\nThree years of Java",
        "compensation": {"compensationTierSummary": "₩80M – ₩100M", "compensationTiers": []},
    }
    return {**said, **fields}


class Ashby(Site):
    """Boards by their name."""

    def __init__(self, **boards: list[Any]) -> None:
        super().__init__()
        self.boards = boards

    async def answer(self, request: web.Request) -> web.Response | None:
        match request.path.strip("/").split("/"):
            case ["posting-api", "job-board", name] if name in self.boards:
                rows = self.boards[name]
                if request.query.get("includeCompensation") != "true":
                    rows = [{k: v for k, v in row.items() if k != "compensation"} for row in rows]
                return self.json(request, {"apiVersion": "1", "jobs": rows})
        return None

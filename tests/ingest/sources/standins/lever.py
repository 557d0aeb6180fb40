"""Lever's Postings API."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.ingest.sources.standins.server import Site


def posting(number: int, **fields: Any) -> dict[str, Any]:
    """A posting as the API has it."""
    key = f"00000000-0000-4000-8000-{number:012}"
    opening, body = "<div>Acme pays people.</div>", "<div>You run the payment API.</div>"
    said = {
        "id": key,
        "text": f"Backend Engineer {number}",
        "categories": {
            "commitment": "Regular Full Time",
            "department": "Engineering",
            "location": "Seoul",
            "team": "Payments",
            "allLocations": ["Seoul", "Busan"],
        },
        "country": "KR",
        "createdAt": 1_790_000_000_000 + number,
        "opening": opening,
        "openingPlain": "Acme pays people.",
        "description": opening + body,
        "descriptionPlain": "Acme pays people.\nYou run the payment API.",
        "descriptionBody": body,
        "descriptionBodyPlain": "You run the payment API.",
        "lists": [
            {"text": "Requirements & more", "content": "<li>Three years of Java</li><li>SQL</li>"},
            {"text": "Nice to have", "content": "<li>Kafka</li>"},
        ],
        "additional": "<div>Apply by mail.</div>",
        "additionalPlain": "Apply by mail.",
        "workplaceType": "hybrid",
        "hostedUrl": f"https://jobs.lever.co/acme/{key}",
        "applyUrl": f"https://jobs.lever.co/acme/{key}/apply",
    }
    return {**said, **fields}


class Lever(Site):
    """Sites by their name. `between` is called before each page but the first."""

    def __init__(self, **sites: list[Any]) -> None:
        super().__init__()
        self.sites = sites
        self.between = lambda: None

    async def answer(self, request: web.Request) -> web.Response | None:
        match request.path.strip("/").split("/"):
            case ["v0", "postings", name] if name in self.sites:
                if request.query.get("mode") != "json" and "json" not in request.headers.get("Accept", ""):
                    return web.Response(text="<div class='lever'><ul></ul></div>", content_type="text/html")
                skip = int(request.query.get("skip", 0))
                if skip:
                    self.between()
                rows = self.sites[name][skip:]
                return self.json(request, rows[: int(request.query.get("limit", len(rows)))])
        return self.json(request, {"ok": False, "error": "Document not found"}, status=404)

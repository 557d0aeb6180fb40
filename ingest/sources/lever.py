"""Lever: https://github.com/lever/postings-api, "Get a list of job postings"."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape
from typing import Any, ClassVar

from ingest.documents import Hints
from ingest.sources.boards import Board, Job, Listing, address, page, paragraphs, required, text, texts
from ingest.sources.web import Answer

PAGE = 100
"""Postings of one answer."""
MOST_PAGES = 200


class LeverSource(Board):
    """`lever:acme`, for https://jobs.lever.co/acme. A posting comes in parts, which are joined.

    The listing is read in pages that overlap by one posting: where the overlap is missing, the board was
    changed meanwhile, and the listing is not complete."""

    kind: ClassVar[str] = "lever"
    home: ClassVar[str] = "https://api.lever.co"
    title: ClassVar[str] = "Lever"
    hint: ClassVar[str] = (
        "For a board at jobs.eu.lever.co add the European API: lever:acme@https://api.eu.lever.co."
    )

    async def listing(self) -> Listing | None:
        answer, jobs = await self._page(0, conditional=True)
        if answer.unchanged:
            return None
        answers, new, complete = [answer], jobs, True
        while len(new) == PAGE and len(answers) < MOST_PAGES:
            answer, new = await self._page(len(jobs) - 1)
            answers.append(answer)
            if new[:1] != jobs[-1:]:
                complete = False
                jobs = jobs + new
            else:
                jobs = jobs + new[1:]
        # An unchanged first page does not mean that the others are, so only a board of one page is recorded.
        fetch = answers[0].fetch if len(answers) == 1 else None
        return Listing(jobs, answers, complete and len(answers) < MOST_PAGES, fetch)

    def job(self, row: Any) -> Job | None:
        title = required(row, "text")
        categories = row.get("categories")
        places = texts(categories.get("allLocations")) if isinstance(categories, dict) else []
        place = "; ".join(places) or text(categories, "location")
        workplace = text(row, "workplaceType")
        if workplace in ("remote", "hybrid"):
            place = f"{place} ({workplace})" if place else workplace
        hints = Hints(
            title=title,
            company=self.board,
            url=address(row, "hostedUrl"),
            location=place,
            employment_type=text(categories, "commitment"),
            experience=text(categories, "level"),
        )
        html = page(title, *_description(row), *_lists(row), _either(row, "additional"))
        team = {"department": text(categories, "department"), "team": text(categories, "team")}
        created = {"published_at": _moment(row.get("createdAt")), "country": text(row, "country")}
        return Job(required(row, "id"), html, hints, created | team)

    async def _page(self, skip: int, *, conditional: bool = False) -> tuple[Answer, list[Any]]:
        url = f"{self.base}/v0/postings/{self.path}?mode=json&skip={skip}&limit={PAGE}"
        answer = await self.web.get(url, want="json", allowed=self.allowed, conditional=conditional)
        if answer.unchanged:
            return answer, []
        self.require_board(answer)
        if not isinstance(answer.value, list):
            raise self.unknown_shape(answer)
        return answer, answer.value


def _description(row: dict[str, Any]) -> list[str]:
    """Returns the opening and the body, which `description` has together where there is one."""
    whole = _either(row, "description")
    return [whole] if whole else [_either(row, "opening"), _either(row, "descriptionBody")]


def _either(row: dict[str, Any], key: str) -> str:
    return text(row, key) or paragraphs(text(row, f"{key}Plain"))


def _lists(row: dict[str, Any]) -> list[str]:
    """Returns the lists, each under its heading. Their content is items without a list around them."""
    rows = row.get("lists")
    parts = []
    for entry in rows if isinstance(rows, list) else []:
        heading, items = text(entry, "text"), text(entry, "content")
        parts += [f"<h2>{escape(heading)}</h2>"] if heading else []
        parts += [f"<ul>{items}</ul>"] if items else []
    return parts


def _moment(milliseconds: Any) -> str | None:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        return None

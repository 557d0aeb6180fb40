"""자소설닷컴, with all that its answers disagree in.

| topic | here |
|---|---|
| listing | `start_time` and `end_time` exactly, else 400 with its Korean words; what was open in the window |
| division | a number in the listing and the older detail, a list in the newer one |
| duties | `duty_groups[].group_id` in the listing, `duty_group_ids` in the details |
| a missing posting | `null` from the older detail, 404 from the newer one |
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

import orjson
from aiohttp import web

from tests.ingest.sources.standins.server import Site

ROBOTS = """User-agent: *
Disallow: /crt/*
Disallow: /core
Disallow: /rocket_correction
Disallow: /coach-sellers
Disallow: /webview/
Disallow: /demo/
"""
WEBP = b"RIFF\x24\x00\x00\x00WEBPVP8 \x18\x00\x00\x00" + bytes(24)
"""Bytes that look like a WebP from the outside."""

_ROOTS = {91: "경영·사무", 92: "마케팅", 94: "IT·인터넷", 95: "생산·제조", 100: "디자인"}
_MEDIUM = {
    94: {
        161: "앱개발",
        162: "웹개발",
        163: "데이터엔지니어·분석·DBA",
        167: "빅데이터·AI",
        169: "HW·임베디드",
    },
    91: {101: "인사", 102: "회계", 103: "총무"},
    95: {187: "생산관리", 188: "품질"},
}
_SMALL = {
    161: {172: "iOS", 173: "안드로이드"},
    162: {175: "프론트엔드", 176: "서버·백엔드"},
    163: {179: "데이터엔지니어"},
}


def duty_groups() -> list[dict[str, Any]]:
    """The tree of duties, as rows that name their parent."""
    rows = [_duty(key, name, None, "large") for key, name in _ROOTS.items()]
    for category, level in (("medium", _MEDIUM), ("small", _SMALL)):
        for parent, below in level.items():
            rows += [_duty(key, name, parent, category) for key, name in below.items()]
    return rows[::-1]


def _duty(key: int, name: str, parent: int | None, category: str) -> dict[str, Any]:
    return {"id": key, "name": name, "order_point": key, "group_id": parent, "category": category}


def employment(field: str = "백엔드 개발", duties: list[int] | None = None, **fields: Any) -> dict[str, Any]:
    """A position: `duties` are ids, `division` a code."""
    said = {"id": 900_000, "field": field, "division": 1, "end_time": None}
    return {**said, "duties": [176] if duties is None else duties, **fields}


def posting(number: int, **fields: Any) -> dict[str, Any]:
    """A posting as the site keeps it: open in March 2024, with a poster, for one back-end position."""
    said = {
        "id": number,
        "name": f"회사 {number}",
        "title": f"2024년 상반기 채용 {number}",
        "start_time": "2024-03-04T00:00:00.000+09:00",
        "end_time": "2024-03-15T18:00:00.000+09:00",
        "content": poster(image(number)),
        "employments": [employment()],
    }
    return {**said, **fields}


def image(number: int, name: str = "공고 포스터", kind: str = "webp", variant: str = "webp") -> str:
    """The address of an image in the site's store, which `{posters}` stands for."""
    folder = f"{number:09}"
    path = f"{folder[:3]}/{folder[3:6]}/{folder[6:]}/{variant}/{quote(name)}.{kind}"
    return f"{{posters}}/content_images/images/{path}?1709510400"


def poster(*sources: str, alt: str = "채용") -> str:
    """A posting's content as the site's editor makes it of images."""
    images = "".join(f'<img style="max-width:100%;" src="{src}" alt="{alt}">' for src in sources)
    return f"<!DOCTYPE html>\n<html>\n<head>\n</head>\n<body>\n<div>{images}</div>\n</body>\n</html>"


class Jasoseol(Site):
    """The site and its store of images. `images` are bytes by their path as it stands in the URL;
    one that is not given is a WebP. `older_details`: `null` lets the older way know no posting."""

    robots = ROBOTS

    def __init__(self, *postings: dict[str, Any]) -> None:
        super().__init__()
        self.postings = {row["id"]: row for row in postings}
        self.duties: Any = duty_groups()
        self.images: dict[str, bytes] = {}
        self.older_details = True

    async def answer(self, request: web.Request) -> web.Response | None:
        match request.method, request.path.strip("/").split("/"):
            case "POST", ["employment", "calendar_list.json"]:
                return self._listing(request, orjson.loads(await request.read()))
            case "POST", ["employment", "get.json"]:
                number = orjson.loads(await request.read()).get("employment_company_id")
                row = self.postings.get(number) if self.older_details else None
                return self.json(request, row and {"ret": True, **self._looked_at(row, newer=False)})
            case "GET", ["api", "v1", "duty-groups"]:
                return self.json(request, self.duties)
            case "GET", ["api", "v1", "employment_companies", number] if int(number) in self.postings:
                return self.json(request, self._looked_at(self.postings[int(number)], newer=True))
            case "GET", ["content_images", *_]:
                content = self.images.get(request.raw_path.partition("?")[0], WEBP)
                kind = "image/png" if content.startswith(b"\x89PNG") else "image/webp"
                return web.Response(body=content, content_type=kind)
        return self.json(request, {"error": "Not Found"}, status=404)

    def _looked_at(self, row: dict[str, Any], *, newer: bool) -> dict[str, Any]:
        """A detail, with counters that rise at every look."""
        detail = _detail(row, newer=newer)
        if isinstance(detail["content"], str):
            detail["content"] = detail["content"].replace("{posters}", self.url)
        return {**detail, "view_count": len(self.asked), "favorite_count": 3}

    def _listing(self, request: web.Request, body: Any) -> web.Response:
        try:
            assert set(body) == {"start_time", "end_time"}
            start, end = (datetime.fromisoformat(body[key]) for key in ("start_time", "end_time"))
        except (AssertionError, TypeError, ValueError):
            return self.json(request, {"ret": False, "message": "잘못된 요청입니다"}, status=400)
        rows = [
            _row(row)
            for row in self.postings.values()
            if datetime.fromisoformat(row["start_time"]) <= end
            and (row["end_time"] is None or datetime.fromisoformat(row["end_time"]) >= start)
        ]
        return self.json(request, {"employment": rows})


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the listing: no names of positions, no content, the duties as `duty_groups`."""
    positions = [
        {
            "id": e["id"],
            "division": e["division"],
            "duty_category": None,
            "duty_groups": [{"group_id": duty} for duty in e["duties"]],
            "apply": None,
        }
        for e in row["employments"]
    ]
    shown = {key: row[key] for key in ("id", "name", "title", "start_time", "end_time")}
    logo = "https://daoift3qrrnil.cloudfront.net/company_groups/images/000/000/001/webp/logo.webp"
    group = {"id": 1, "name": row["name"], "business_size": None, "business_type": None}
    rest = {
        "recruit_type": 0,
        "image_file_name": logo,
        "company_group": group,
        "business_size": "big_business",
    }
    return {**shown, **rest, "employments": positions, "in24hours": False, "is_receive_applicant": True}


def _detail(row: dict[str, Any], *, newer: bool) -> dict[str, Any]:
    positions = [
        {
            "id": e["id"],
            "field": e["field"],
            "division": [e["division"]] if newer else e["division"],
            "duty_category": None,
            "duty_group_ids": e["duties"],
            "end_time": e["end_time"],
            "employment_resume": True,
            "resume_count": 17,
            "apply": None,
        }
        | ({"graduate_condition": "모두 지원 가능", "has_resume": True} if newer else {})
        for e in row["employments"]
    ]
    shown = {key: value for key, value in row.items() if key != "employments"}
    # Another number at every look.
    counters = {
        "view_count": row["id"] + id(positions) % 1000,
        "favorite_count": 3,
        "attached_file_url": None,
    }
    return {**shown, **counters, "employments": positions, "has_exceeded_employment": False}

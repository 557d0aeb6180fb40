"""A plain site, for tests of the client."""

from __future__ import annotations

from typing import Any

from aiohttp import web as aio

from ingest.sources.web import AllowedHosts, Answer, Web
from tests.ingest.sources.standins.server import Site


class Plain(Site):
    """`/json…` is JSON, `/image…` an image, `/to?URL` a redirect."""

    async def answer(self, request: aio.Request) -> aio.Response | None:
        if request.path.startswith("/json"):
            return self.json(request, {"path": request.path, "said": (await request.read()).decode()})
        if request.path.startswith("/image"):
            return aio.Response(body=b"\x89PNG image", content_type="image/png")
        if request.path == "/to":
            return aio.Response(status=302, headers={"Location": request.query["url"]})
        return None


async def ask(web: Web, site: Site, path: str = "/json", **how: Any) -> Answer:
    return await web.get(
        site.url + path, want=how.pop("want", "json"), allowed=AllowedHosts.of(site.url), **how
    )

"""Collecting a source to its end, as the pipeline does."""

from __future__ import annotations

from dataclasses import dataclass, field

from ingest.documents import Collected, Listed
from ingest.sources.registry import open_source
from ingest.sources.web import Web
from tests.ingest.sources.standins.jasoseol import Jasoseol
from tools.core.settings import Settings

PERMISSION = "자소설닷컴 운영팀, 2026-05-01"


@dataclass
class Harvest:
    """What a source yielded."""

    documents: dict[str, Collected] = field(default_factory=dict)
    listed: list[Listed] = field(default_factory=list)

    @property
    def ids(self) -> list[str]:
        return list(self.documents)

    def html(self, key: str) -> str:
        """The page of a document that has no other file."""
        [file] = self.documents[key].files
        assert file.media_type == "text/html"
        return file.content.decode()


async def harvest(spec: str, web: Web, into: Harvest | None = None, **settings: str) -> Harvest:
    """Collects a source; with `into`, what was yielded before an error is there, too."""
    found = Harvest() if into is None else into
    async for item in open_source(spec, Settings(**settings), web).documents():  # type: ignore[arg-type]
        if isinstance(item, Listed):
            found.listed.append(item)
        else:
            assert item.source_id not in found.documents, "a document was yielded twice"
            found.documents[item.source_id] = item
    return found


async def jasoseol(
    site: Jasoseol, web: Web, months: str = "2024-01..2024-12", into: Harvest | None = None
) -> Harvest:
    """Collects months of the stand-in of 자소설닷컴, with permission."""
    return await harvest(f"jasoseol:{months}@{site.url}", web, into, jasoseol_permission=PERMISSION)

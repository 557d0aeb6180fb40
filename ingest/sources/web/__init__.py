"""The polite HTTP client of all sources: one `Web` a process.

| module | what |
|---|---|
| `client` | asking: tries, back-off, redirects, sizes, conditional requests |
| `hosts` | manners towards one host: its robots.txt, a request a second |
| `answers` | what came back, and whether it is a refusal |
| `reach` | where a request may go: the source's own hosts, or public addresses |
"""

from ingest.sources.web.answers import Answer, Fetch, FetchLog
from ingest.sources.web.client import Web, open_web
from ingest.sources.web.reach import Reach, origin

__all__ = ["Answer", "Fetch", "FetchLog", "Reach", "Web", "open_web", "origin"]

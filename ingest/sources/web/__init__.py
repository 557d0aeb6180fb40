"""The HTTP client of all sources: one `Web` a process.

| module | what |
|---|---|
| `client` | requests: tries, redirects, sizes, conditional requests; what counts as a refusal |
| `hosts` | the pace of one host, and its robots.txt |
| `addresses` | where a request may go: which hosts, and that they are at public addresses |
"""

from ingest.sources.web.addresses import AllowedHosts, origin
from ingest.sources.web.client import Answer, Fetch, FetchLog, Web, open_web

__all__ = ["AllowedHosts", "Answer", "Fetch", "FetchLog", "Web", "open_web", "origin"]

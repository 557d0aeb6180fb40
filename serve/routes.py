"""The plain routes: postings, sessions, health."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import JSONResponse

from graph.failures import as_ours
from graph.sessions import Caller
from serve.callers import caller_of
from serve.drain import drain_of
from serve.parts import Parts
from tools.contracts import FoundPosting, StoredPosting
from tools.errors import PostingNotFoundError

router = APIRouter()

MAX_K = 100
Calling = Annotated[Caller, Depends(caller_of)]
SessionId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


def parts(request: Request) -> Parts:
    """Returns the parts that the app opened at its start."""
    opened: Parts = request.app.state.parts
    return opened


@router.get("/postings/search", tags=["postings"])
async def search(
    request: Request,
    _: Calling,
    q: Annotated[str, Query(min_length=1, max_length=1_000, description="what to look for")],
    k: Annotated[int, Query(ge=1, le=MAX_K, description="how many")] = 20,
) -> list[FoundPosting]:
    """What retrieval sees: the `k` postings nearest to `q`, nearest first."""
    services = parts(request).services
    try:
        await services.postings.corpus()
        vector = await services.embedder.query(q)
        return await services.postings.nearest(vector, k=k)
    except Exception as error:
        raise as_ours(error) from error


@router.get("/postings/{posting_id}", tags=["postings"])
async def posting(
    request: Request, _: Calling, posting_id: Annotated[str, Path(max_length=50)]
) -> StoredPosting:
    """One posting, whole: what a quote in an answer can be checked against."""
    try:
        found = await parts(request).services.postings.by_ids([posting_id])
    except Exception as error:
        raise as_ours(error) from error
    if posting_id not in found:
        raise PostingNotFoundError(posting_id=posting_id)
    return found[posting_id]


@router.get("/sessions/{session_id}", tags=["sessions"])
async def session(request: Request, caller: Calling, session_id: SessionId) -> dict[str, Any]:
    """A session: profile, summary, subject, candidates, rejected, history of projects."""
    return await parts(request).sessions.view(session_id, caller.owner)


@router.delete("/sessions/{session_id}", tags=["sessions"], status_code=204)
async def forget(request: Request, caller: Calling, session_id: SessionId) -> None:
    """Forgets a session at once: nothing of it is left."""
    await parts(request).sessions.forget(session_id, caller.owner)


@router.get("/healthz", tags=["health"])
async def healthz() -> dict[str, str]:
    """This process is alive."""
    return {"status": "ok"}


@router.get("/readyz", tags=["health"])
async def readyz(request: Request) -> JSONResponse:
    """Whether every dependency answers, and what each is. 503 when one does not, and while this stops."""
    if drain_of(request).begun:
        return JSONResponse({"ready": False, "draining": True}, 503)
    report = await parts(request).readiness()
    return JSONResponse(report, 200 if report["ready"] else 503)

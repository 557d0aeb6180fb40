"""What leaves a session: a link that shows it to others, and projects that stay when it is gone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, ConfigDict, Field

from graph.sessions.sessions import ANYONE
from graph.sessions.views import SessionView, made_by
from serve.context import AppContext, ContextDep
from serve.errors import responses
from serve.kept import KeptContent, KeptProject, KeptTitle
from serve.langserve_routes import StrictRoute
from serve.markdown import to_markdown
from serve.page.views import shown_skills
from serve.routes import KEYED, CallerDep, SessionId
from tools.core.contracts import Summary
from tools.core.errors import ProjectNotFoundError

router = APIRouter(route_class=StrictRoute)

KeptId = Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")]


class SharedSession(BaseModel):
    """A link that shows a session to whoever has it, read-only, for as long as the session lives."""

    token: str = Field(
        description="`?token=` of the session's GET routes, and of those of its runs and postings"
    )
    url: str = Field(description="the page that shows it, under this service's address")


class ToKeep(BaseModel):
    """Which project to keep."""

    model_config = ConfigDict(extra="forbid")

    session_id: str = Field(max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    project: int | None = Field(
        None, ge=0, le=10_000, description="its place in the session's `history`, from 0; null: the newest"
    )


class Kept(BaseModel):
    """Where a project is kept, and how long."""

    kept_id: str
    url: str = Field(description="its page, under this service's address")
    expires_at: datetime


class KeptList(BaseModel):
    """What the caller has kept, newest first."""

    kept: list[KeptTitle]


@router.post(
    "/sessions/{session_id}/share",
    tags=["sessions"],
    dependencies=KEYED,
    responses=responses(401, 404, 422, 500, 503),
)
async def share_session(
    request: Request, context: ContextDep, caller: CallerDep, session_id: SessionId
) -> SharedSession:
    """A link that shows this session to others: its project, candidates, evidence and runs, and of the
    profile the desired job and the skills. Whoever has it can change nothing. It ends with the session."""
    await context.sessions.view(session_id, caller.owner)
    token = context.signatures.link_token(session_id)
    return SharedSession(token=token, url=f"{_root(request)}/s/{session_id}?token={token}")


@router.post(
    "/kept",
    tags=["kept"],
    dependencies=KEYED,
    status_code=201,
    responses=responses(401, 404, 408, 413, 415, 422, 500, 503),
)
async def keep_project(request: Request, context: ContextDep, caller: CallerDep, body: ToKeep) -> Kept:
    """Keeps a project of a session, with the postings that it quotes, for CHECKERBOARD_KEPT_DAYS. Whoever has
    its id can read it. Kept again, it stays under its address and its time begins anew."""
    view = await context.sessions.view(body.session_id, caller.owner)
    number, content = await _content(context, view, body.project)
    kept_id, expires_at = await context.kept.keep(caller.owner, body.session_id, number, content)
    return Kept(kept_id=kept_id, url=_page(request, kept_id), expires_at=expires_at)


@router.get("/kept", tags=["kept"], dependencies=KEYED, responses=responses(401, 500, 503))
async def list_kept(request: Request, context: ContextDep, caller: CallerDep) -> KeptList:
    """What the caller has kept, the newest 200. Who comes without a key and a cookie is nobody in particular,
    and is shown nothing."""
    if caller.owner == ANYONE.owner:
        return KeptList(kept=[])
    rows = await context.kept.of_owner(caller.owner)
    return KeptList(
        kept=[KeptTitle(kept_id=row["id"], url=_page(request, row["id"]), **_without_id(row)) for row in rows]
    )


@router.get("/kept/{kept_id}", tags=["kept"], responses=responses(404, 422, 500, 503))
async def get_kept(context: ContextDep, kept_id: KeptId) -> KeptProject:
    """A kept project with all that its page shows. Its id is all that one needs to read it."""
    return await context.kept.find(kept_id)


@router.get(
    "/kept/{kept_id}/project.md",
    tags=["kept"],
    response_class=PlainTextResponse,
    responses={
        200: {"content": {"text/markdown": {}}, "description": "the project as Markdown"},
        **responses(404, 422, 500, 503),
    },
)
async def get_kept_markdown(context: ContextDep, kept_id: KeptId) -> PlainTextResponse:
    """A kept project as Markdown (CommonMark), to take along."""
    kept = await context.kept.find(kept_id)
    text = to_markdown(kept.project, kept.language, warnings=kept.warnings)
    return PlainTextResponse(text, media_type="text/markdown; charset=utf-8")


@router.delete(
    "/kept/{kept_id}",
    tags=["kept"],
    dependencies=KEYED,
    status_code=204,
    responses=responses(401, 404, 422, 500, 503),
)
async def delete_kept(context: ContextDep, caller: CallerDep, kept_id: KeptId) -> None:
    """Deletes a kept project at once. Only who kept it can."""
    await context.kept.delete(kept_id, caller.owner)


async def _content(
    context: AppContext, view: Mapping[str, Any], number: int | None
) -> tuple[int, KeptContent]:
    """Returns which project of a session is meant, and what is kept of it.

    Raises:
        ProjectNotFoundError: the session has no such project.
    """
    session = SessionView.model_validate(view)
    newest = len(session.history) - 1
    wanted = newest if number is None else number
    if not 0 <= wanted <= newest:
        raise ProjectNotFoundError
    project = session.history[wanted]
    quoted = list(dict.fromkeys(quote.posting_id for quote in project.evidence))
    postings = await context.services.postings.by_ids(quoted)
    return wanted, KeptContent(
        language=session.language,
        project=project,
        desired_job=session.profile.desired_job,
        skills=sorted(shown_skills(session.profile)),
        summary=session.summary or Summary(),
        postings=[posting for posting in session.postings if posting.kept],
        evidence=list(postings.values()),
        closest_only=session.closest_only,
        # What checks found is known of the newest alone.
        warnings=session.warnings if wanted == newest else [],
        versions=made_by(context.services.settings) | session.versions,
    )


def _page(request: Request, kept_id: str) -> str:
    return f"{_root(request)}/k/{kept_id}"


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", "")).rstrip("/")


def _without_id(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "id"}

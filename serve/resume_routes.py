"""`POST /profiles/from-resume`: a pasted résumé becomes a profile for the person to look through."""

# Without `from __future__ import annotations`: `RunRoute` has FastAPI read the types of the handlers.
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response, Security
from langsmith.run_helpers import tracing_context
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from graph.errors import run_limit
from serve.callers import BEARER
from serve.context import ContextDep
from serve.errors import responses
from serve.langserve_routes import REQUEST_ERRORS, RunRoute
from serve.limits.holds import Holds
from serve.limits.state import HOLDS
from serve.visitors import PRIVATE
from tools.core.contracts import Language
from tools.core.text import clean
from tools.resume.profile import ReadResume
from tools.resume.reading import MAX_LINES, MAX_RESUME_CHARS, read_resume, resume_lines

router = APIRouter(tags=["profiles"], route_class=RunRoute, dependencies=[Security(BEARER)])


def _pasted(value: Any) -> Any:
    """Cleans what is pasted. A form feed between the pages of a PDF is nobody's fault."""
    return clean(value).strip() if isinstance(value, str) else value


def _few_lines(text: str) -> str:
    if len(resume_lines(text)) > MAX_LINES:
        raise ValueError(f"has more than {MAX_LINES} lines")
    return text


class ResumeText(BaseModel):
    """A résumé as text."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[
        str,
        BeforeValidator(_pasted),
        AfterValidator(_few_lines),
        Field(min_length=1, max_length=MAX_RESUME_CHARS, description="the whole of it, as it was pasted"),
    ]
    language: Language = "ko"


@router.post("/profiles/from-resume", responses=responses(*REQUEST_ERRORS, 502))
async def profile_from_resume(
    request: Request, response: Response, context: ContextDep, body: ResumeText
) -> ReadResume:
    """Reads a résumé into a profile, in the words that stand in it. Names, telephone numbers, e-mail and
    postal addresses are left out. Nothing is stored, logged or traced: what comes back is all there is."""
    response.headers.update(PRIVATE)
    services = context.services
    slot = context.sessions.new_slot()
    holds: Holds | None = request.scope["state"].get(HOLDS)
    hold = None if holds is None else holds.next()
    chat = services.chat.for_run(None, [] if hold is None else hold.calls, slot)
    lines = resume_lines(body.text)
    try:
        async with slot, run_limit(services.settings.run_timeout_seconds) as limit:
            with slot.stopping(limit), tracing_context(enabled=False):
                return await read_resume(chat, services.prompts.current, lines, body.language)
    finally:
        if hold is not None:
            await hold.settle()

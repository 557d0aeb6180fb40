"""The pages for developers: a playground, and the API's documentation. All they load comes from here."""

from __future__ import annotations

from html import escape
from string import Template
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from graph.sessions.views import SERVICE_VERSION
from serve.callers import ApiKeys, caller_of
from serve.page.words import language_of
from serve.web import WEB
from tools.core.contracts import Language
from tools.core.settings import Settings

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Whatever a page may hold, the browser asks no other host for anything. Swagger UI writes styles itself."""
_MODEL = {
    "ko": (
        "{} 모델이 답합니다.",
        "지금은 모델 없이 규칙으로 답합니다. 살펴보기 위한 것이며 조언이 아닙니다. "
        "OPENAI_API_KEY를 설정하면 모델이 답합니다.",
    ),
    "en": (
        "The model {} answers.",
        "No model is set, so rules answer. That is to try the service, and no advice; with an OPENAI_API_KEY "
        "a model answers.",
    ),
}
router = APIRouter(include_in_schema=False)
Wanted = Annotated[str | None, Query(alias="lang", description="`ko` or `en`; else what the browser prefers")]


def install(app: FastAPI) -> None:
    """Adds the pages and what they load."""
    app.include_router(router)
    # LangServe's addresses for a playground. As all of its routes, these want a key where calls do.
    for name in ("generate", "regenerate"):
        app.add_api_route(
            f"/{name}/playground/", playground, include_in_schema=False, dependencies=[Depends(caller_of)]
        )
    static = StaticFiles(packages=[("serve", "web/static"), ("fastapi_offline", "static")])
    app.mount("/static", static, name="static")


@router.get("/playground/")
async def playground(request: Request, wanted: Wanted = None) -> HTMLResponse:
    """A form for a profile, the run's progress and the project, and a way to the next one."""
    return _page(request, "playground", language_of(request, wanted))


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Swagger UI over `/openapi.json`."""
    return _page(request, "docs", None)


def _page(request: Request, name: str, language: Language | None) -> HTMLResponse:
    settings: Settings = request.app.state.app_context.services.settings
    keys: ApiKeys = request.app.state.api_keys
    values = {"root": request.scope.get("root_path", "").rstrip("/"), "version": SERVICE_VERSION}
    if language is not None:
        name = f"{name}.{language}"
        answers, offline = _MODEL[language]
        values["model"] = offline if settings.offline else answers.format(settings.chat_model)
    page = Template((WEB / f"{name}.html").read_text(encoding="utf-8"))
    shown = {name: escape(value) for name, value in values.items()}
    shown["hide_key"] = "" if keys.needed else " hidden"
    headers = {"Content-Security-Policy": POLICY, "Vary": "Accept-Language"}
    return HTMLResponse(page.substitute(shown), headers=headers)

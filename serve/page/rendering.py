"""How a template becomes a page: escaped always, and under a policy by which a browser runs and loads nothing
that is not ours."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from graph.sessions.views import SERVICE_VERSION
from serve.page.views import marked
from serve.page.words import script_words, words
from serve.web import WEB
from tools.core.contracts import Language
from tools.core.settings import Settings

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""The browser asks no other host for anything, runs no script and no style of a text, and where it knows
trusted types, no script of ours can make markup of a text either."""
_HANGUL = re.compile(r"[가-힣]")


def _number(value: float) -> str:
    return f"{value:g}"


_ENVIRONMENT = Environment(
    loader=FileSystemLoader(WEB / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_ENVIRONMENT.globals |= {
    "marked": marked,
    "number": _number,
    "is_korean": lambda text: _HANGUL.search(text) is not None,
}


def render(
    request: Request,
    name: str,
    language: Language,
    shown: dict[str, Any],
    *,
    knows: str,
    status: int = 200,
    private: bool = False,
) -> HTMLResponse:
    """Returns a template as a page in a language.

    Args:
        request: who asks, and by which path the service is reached.
        name: the template, without `.html`.
        language: what the page itself is written in.
        shown: what the template is shown.
        knows: how many postings there are, in words.
        status: of the response.
        private: about one person: no cache stores it, and no search engine lists it.
    """
    settings: Settings = request.app.state.app_context.services.settings
    said = words(language)
    other = request.url.include_query_params(lang="en" if language == "ko" else "ko")
    values = {
        "w": said,
        "root": request.scope.get("root_path", "").rstrip("/"),
        "version": SERVICE_VERSION,
        "script_words": dict(script_words(language)),
        "other_language": f"?{other.query}",
        "knows": knows,
        "answers": said("answers_offline")
        if settings.offline
        else said("answers_model", model=settings.chat_model),
        "private": private,
        "here": name,
        **shown,
    }
    headers = {
        "Content-Security-Policy": POLICY,
        "Vary": "Accept-Language, Cookie",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store" if private else "no-cache",
    }
    if private:
        headers["X-Robots-Tag"] = "noindex"
    page = _ENVIRONMENT.get_template(f"{name}.html").render(values)
    return HTMLResponse(page, status, headers=headers)

"""The OpenAPI description: what FastAPI leaves open, settled so that a client made of it is pleasant.

A model has one name whether it comes in or goes out; what a request may leave out is optional, and what
an answer always has is required.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from serve.callers import ApiKeys
from serve.errors import ErrorBody, responses
from serve.run_models import LangChainEvent, RunEvent, StreamFailure, StreamMetadata
from serve.runs.models import BackgroundRunEvent
from serve.visitors import COOKIE, SHOWN, TOKEN, VISITED, Route
from tools.core.contracts import CareerStage, Difficulty, Language

ABOUT = """Recommends the portfolio project that employers ask for now, with the job postings as evidence.

`/invoke` answers when a run has ended; `/stream` tells its progress, as server-sent events whose data is a
`RunEvent`. Every error is an `ErrorBody`: its `code` is for programs, its `message` says what to do next."""
TAGS = {
    "generate": "A project for a profile: starts a session.",
    "regenerate": "Another project of the session: a new subject, or one of the candidates.",
    "runs": "The same in the background: it goes on whoever leaves, and is watched from anywhere.",
    "sessions": "What a session holds, and forgetting it.",
    "profiles": "A profile from what a person has at hand.",
    "kept": "Projects that stay when their session is gone.",
    "postings": "The postings that answers rest on.",
    "prompts": "The active prompts and models, and, for administrators, changing them.",
    "health": "Whether the service is alive, and whether it can answer.",
}
REF = "#/components/schemas/"
UNNAMED: tuple[Any, ...] = (
    ErrorBody,
    RunEvent,
    BackgroundRunEvent,
    LangChainEvent,
    StreamMetadata,
    StreamFailure,
)
"""What routes refer to by name, so that FastAPI does not see it."""
CHOICES: dict[str, Any] = {"Language": Language, "Difficulty": Difficulty, "CareerStage": CareerStage}
"""Enumerations with a name of their own: else a client has one for each field."""


def install(app: FastAPI) -> None:
    """Makes `app.openapi()`, and so `/openapi.json`, return the description."""

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _description(app)
        return app.openapi_schema

    app.openapi = described  # type: ignore[method-assign]  # as FastAPI's manual has it


def _description(app: FastAPI) -> dict[str, Any]:
    spec = get_openapi(
        title=app.title,
        version=app.version,
        description=ABOUT,
        routes=app.routes,
        tags=[{"name": name, "description": what} for name, what in TAGS.items()],
        separate_input_output_schemas=False,
    )
    keys: ApiKeys = app.state.api_keys
    _let_people_in(spec)
    for operation in _operations(spec):
        _as_the_route_says(operation)
        if not keys.needed:
            if "security" in operation and "403" not in operation["responses"]:
                operation["security"].append({})  # a key may come, and none has to
            operation["responses"].setdefault("403", responses(403)[403])  # `serve.origins` stands in front
        for parameter in operation.get("parameters", ()):
            parameter["schema"] = _unless_null(parameter["schema"])
    _, more = TypeAdapter.json_schemas(
        [(kind, "validation", TypeAdapter(kind)) for kind in UNNAMED], ref_template=REF + "{model}"
    )
    schemas = {**more["$defs"], **spec["components"]["schemas"]}
    sent = _reached([operation.get("requestBody") for operation in _operations(spec)], schemas)
    for name, model in schemas.items():
        (_may_be_left_out if name in sent else _always_comes)(model)
    choices = {name: TypeAdapter(choice).json_schema() for name, choice in CHOICES.items()}
    spec["components"]["schemas"] = choices | _with_named(choices, dict(sorted(schemas.items())))
    return spec


def _let_people_in(spec: dict[str, Any]) -> None:
    """Says of each route whether a visitor's cookie or the token of a link does in place of a key."""
    schemes = {
        "visitor": (VISITED, {"in": "cookie", "name": COOKIE}, "A visitor's cookie, which the pages set. "
                    "Where the operator lets no visitors in, it does not count."),
        "link": (SHOWN, {"in": "query", "name": TOKEN}, "The token of a link that shows one session."),
    }  # fmt: skip
    for name, (routes, place, what) in schemes.items():
        spec["components"]["securitySchemes"][name] = {"type": "apiKey", **place, "description": what}
        for method, path in routes & _routes(spec):
            operation = spec["paths"][path][method.lower()]
            operation["security"].append({name: []})
            operation["responses"].setdefault("403", responses(403)[403])  # a cookie from another page


def _as_the_route_says(operation: dict[str, Any]) -> None:
    """Drops what FastAPI makes of a route's response class beside what the route says itself: Markdown would
    be plain text too. That a stream is text stays beside its events: clients are made of that."""
    content = operation["responses"].get("200", {}).get("content", {})
    if "text/markdown" in content:
        content.pop("text/plain", None)


def _routes(spec: dict[str, Any]) -> set[Route]:
    return {(method.upper(), path) for path, methods in spec["paths"].items() for method in methods}


def _operations(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in spec["paths"].values():
        yield from path.values()


def _reached(start: Any, schemas: dict[str, Any]) -> set[str]:
    """Returns the names of the models that `start` refers to, however deep."""
    reached: set[str] = set()
    pending = [start]
    while pending:
        match pending.pop():
            case {"$ref": str(ref)} if (name := ref.removeprefix(REF)) not in reached:
                reached.add(name)
                pending.append(schemas[name])
            case dict(node):
                pending += node.values()
            case list(nodes):
                pending += nodes
    return reached


def _unless_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Returns a schema without null: a parameter, say, can be left out, but not be null."""
    match schema:
        case {"anyOf": [only, {"type": "null"}], **described}:
            return {**only, **described}
    return schema


def _with_named(choices: dict[str, Any], node: Any) -> Any:
    """Returns `node` with the name of an enumeration wherever its values are listed."""
    if isinstance(node, list):
        return [_with_named(choices, item) for item in node]
    if not isinstance(node, dict):
        return node
    for name, choice in choices.items():
        if node.items() >= choice.items():
            described = {key: node[key] for key in ("description",) if key in node}
            return {"$ref": REF + name, **described}
    return {key: _with_named(choices, value) for key, value in node.items()}


def _may_be_left_out(model: dict[str, Any]) -> None:
    """Tells a default in words: generators of clients make what has one a thing that must be sent."""
    for field in model.get("properties", {}).values():
        default = field.pop("default", None)
        if default:
            described = f"`{default}` when left out"
            field["description"] = (
                f"{field['description']}; {described}" if "description" in field else described
            )


def _always_comes(model: dict[str, Any]) -> None:
    """Requires every field, but of a model of facts that differ from answer to answer. What has a default
    never comes as null."""
    properties = model.get("properties", {})
    for name, field in properties.items():
        if field.pop("default", None) is not None:
            properties[name] = _unless_null(field)
    if properties and model.get("additionalProperties") is not True:
        model["required"] = list(properties)

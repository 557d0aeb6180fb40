"""What the OpenAPI description says, beyond what clients made of it show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest
from pydantic import SecretStr

from serve.app import create_app
from serve.visitors import SHOWN, VISITED
from tools.core.settings import Settings

SPEC = create_app(Settings()).openapi()
KEYED = create_app(Settings(api_keys=SecretStr(f"ada:{'0' * 64}"))).openapi()
SCHEMAS = SPEC["components"]["schemas"]
OPERATIONS = {
    operation["operationId"]: (path, operation)
    for path, methods in SPEC["paths"].items()
    for operation in methods.values()
}
RUNS = [
    name for name, (path, _) in OPERATIONS.items() if re.search("/(invoke|batch|stream|stream_events)$", path)
]
STREAMS = [name for name in RUNS if "stream" in name]


def statuses(name: str) -> set[str]:
    return set(OPERATIONS[name][1]["responses"])


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_it_is_valid_openapi() -> None:
    assert SPEC["openapi"] == "3.1.0"
    names = {f"#/components/schemas/{name}" for name in SCHEMAS}
    assert set(references(SPEC)) <= names
    for name in SCHEMAS:
        jsonschema_rs.validator_for(
            {"$ref": f"#/components/schemas/{name}", "components": SPEC["components"]}
        )


def test_operations_have_short_names() -> None:
    assert {"generate", "generate_stream", "regenerate_batch", "get_session", "search_postings"} <= set(
        OPERATIONS
    )
    for name in OPERATIONS:
        assert re.fullmatch("[a-z]+(_[a-z]+){0,2}", name)


def test_no_model_is_there_twice() -> None:
    assert not [name for name in SCHEMAS if re.search(r"[-_]|(Input|Output)\d?$", name) and name not in (
        "GenerateInput", "RegenerateInput",
    )]  # fmt: skip
    forms = [
        str({k: v for k, v in model.items() if k not in ("title", "description")})
        for model in SCHEMAS.values()
    ]
    twice = {name for name, form in zip(SCHEMAS, forms, strict=True) if forms.count(form) > 1}
    assert twice == set()


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_a_stream_is_one_of_server_sent_events_with_a_schema(name: str) -> None:
    content = OPERATIONS[name][1]["responses"]["200"]["content"]
    assert set(content) == {"text/event-stream"}
    model = "LangChainEvent" if name.endswith("events") else "RunEvent"
    assert f"#/components/schemas/{model}" in set(references(content["text/event-stream"]["itemSchema"]))


def test_events_are_told_apart_by_their_type() -> None:
    told = SCHEMAS["RunEvent"]["discriminator"]
    assert told["propertyName"] == "type"
    shown = {"subject", "task", "withdrawn"}
    assert set(told["mapping"]) == {"node_started", "node_finished", *shown, "result", "error"}
    assert set(told["mapping"].values()) == set(references(SCHEMAS["RunEvent"]["oneOf"]))


def test_each_route_has_its_own_statuses() -> None:
    refused = {"401", "403", "408", "413", "415", "422", "429", "500", "503"}
    assert statuses("generate") == {"200", "409", "502"} | refused
    assert statuses("regenerate") == {"200", "404", "409", "502"} | refused
    assert statuses("regenerate_stream") == {"200"} | refused
    assert statuses("delete_session") == {"204", "401", "403", "404", "409", "422", "500", "503"}
    assert statuses("healthz") == {"200", "403", "500"}
    assert statuses("readyz") == {"200", "403", "500", "503"}


def test_with_keys_only_what_is_for_administrators_or_visitors_is_forbidden() -> None:
    """A visitor's cookie is refused when a page of another origin sends it."""
    forbidden = {
        operation["operationId"]
        for methods in KEYED["paths"].values()
        for operation in methods.values()
        if "403" in operation["responses"] and {"visitor": []} not in operation.get("security", [])
    }
    assert forbidden == {"reload_prompts", "pin_prompt"}


def test_every_error_is_the_envelope() -> None:
    for name, (_, operation) in OPERATIONS.items():
        for status, response in operation["responses"].items():
            if status >= "400" and (name, status) != ("readyz", "503"):
                assert response["content"] == {
                    "application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}
                }, (name, status)
    assert SCHEMAS["FieldProblem"]["required"] == ["field", "problem"]


def test_where_a_key_goes_is_said() -> None:
    schemes = SPEC["components"]["securitySchemes"]
    assert {name: scheme["type"] for name, scheme in schemes.items()} == {
        "api_key": "http", "visitor": "apiKey", "link": "apiKey"
    }  # fmt: skip
    assert schemes["api_key"]["scheme"] == "bearer"
    for path, methods in KEYED["paths"].items():
        for method, operation in methods.items():
            # Whoever has the id of a kept project reads it.
            open_to_all = path in ("/healthz", "/readyz") or (method, path[:7]) == ("get", "/kept/{")
            said = operation.get("security")
            assert (said is None) if open_to_all else ({"api_key": []} in said), path
    # Without keys everybody may call, but nobody administrates.
    assert OPERATIONS["generate"][1]["security"] == [{"api_key": []}, {}]
    assert OPERATIONS["pin_prompt"][1]["security"] == [{"api_key": []}]


def test_who_needs_no_key_is_said() -> None:
    said = {
        name: {
            (method.upper(), path)
            for path, methods in SPEC["paths"].items()
            for method, operation in methods.items()
            if {name: []} in operation.get("security", [])
        }
        for name in ("visitor", "link")
    }
    assert said == {"visitor": VISITED, "link": SHOWN}


@pytest.mark.parametrize("name", sorted(RUNS))
def test_a_run_can_have_an_idempotency_key_but_a_batch_cannot(name: str) -> None:
    headers = {p["name"]: p for p in OPERATIONS[name][1].get("parameters", []) if p["in"] == "header"}
    if name.endswith("batch"):
        assert headers == {}
    else:
        assert headers["Idempotency-Key"]["required"] is False
        assert headers["Idempotency-Key"]["schema"]["type"] == "string"


def test_what_a_request_may_leave_out_is_optional_and_what_an_answer_has_is_required() -> None:
    assert SCHEMAS["Profile"]["required"] == ["desired_job"]
    assert SCHEMAS["GenerateInput"]["required"] == ["profile"]
    assert SCHEMAS["GenerateRequest"]["required"] == ["input"]
    # Generators make a thing with a default one that must be sent.
    assert not [
        (n, f) for n, m in SCHEMAS.items() for f, s in m.get("properties", {}).items() if "default" in s
    ]
    for name in ("Summary", "Answer", "StoredPosting", "SessionView"):
        assert set(SCHEMAS[name]["required"]) == set(SCHEMAS[name]["properties"])


def test_every_operation_and_model_says_what_it_is() -> None:
    for name, (_, operation) in OPERATIONS.items():
        assert operation.get("description"), name
        assert operation["tags"], name
    for name, model in SCHEMAS.items():
        if name not in ("Language", "Difficulty", "CareerStage"):
            assert model.get("description"), name

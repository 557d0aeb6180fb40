"""The types of the state: the dumps of the public models, JSON, and what the docs say of them."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest
from pydantic import TypeAdapter
from typing_extensions import is_typeddict

from graph.build import build_graph
from graph.sessions.views import session_view
from graph.state import Request, State
from nodes import state
from tools.core import contracts
from tools.core.contracts import Profile, RetrievedPosting

DUMPS = {
    name: (getattr(state, name), getattr(contracts, name.removesuffix("Dict")))
    for name in vars(state)
    if name.endswith("Dict") and is_typeddict(getattr(state, name)) and name != "TypedDict"
}
JSON = {"string", "integer", "number", "boolean", "null", "array", "object"}


@pytest.mark.parametrize("name", DUMPS)
def test_a_part_that_is_a_dump_has_the_fields_of_its_model(name: str) -> None:
    part, model = DUMPS[name]
    assert set(part.__annotations__) == set(model.model_fields)


def test_every_model_in_the_state_has_its_dump() -> None:
    assert {"ProfileDict", "SubjectDict", "SummaryDict", "ProjectDict"} <= set(DUMPS)
    assert set(state.Retrieved.__annotations__) == set(RetrievedPosting.model_fields) - {"kept", "reason"}


def test_a_profile_fits_its_part_whole_and_as_it_is_sent() -> None:
    part = TypeAdapter(state.ProfileDict)
    sent = {"desired_job": "QA", "educations": [{"school": "A"}], "skills": None}
    assert part.validate_python(sent) == sent
    dumped = Profile.model_validate(sent).model_dump()
    assert part.validate_python(dumped) == dumped


@pytest.mark.parametrize("schema", [State, Request], ids=lambda schema: schema.__name__)
def test_the_state_is_json(schema: Any) -> None:
    def types(node: Any) -> set[str]:
        if isinstance(node, list):
            return set().union(*map(types, node))
        if not isinstance(node, dict):
            return set()
        own = {node["type"]} if isinstance(node.get("type"), str) else set()
        assert "format" not in node, "a date, a UUID or the like comes back as a string"
        return own.union(*map(types, node.values()))

    assert types(TypeAdapter(schema).json_schema()) <= JSON


def test_the_input_of_the_graph_has_the_fields_of_a_profile() -> None:
    """Studio draws its form of it."""
    schema = build_graph().get_input_jsonschema()
    assert set(schema["properties"]) == {"profile", "language", "turn"}
    ref = schema["properties"]["profile"]["$ref"].removeprefix("#/$defs/")
    profile = schema["$defs"][ref]
    assert set(profile["properties"]) == set(Profile.model_fields)
    assert profile["required"] == ["desired_job"]
    educations = schema["$defs"]["EducationDict"]["properties"]
    assert set(educations) == set(contracts.Education.model_fields)


def test_every_node_reads_keys_of_the_state() -> None:
    for node in ("build_query", "retrieve", "filter_jobs", "summarize", "propose_subjects", "generate_tasks"):
        module = __import__(f"nodes.{node}", fromlist=[node])
        read, known = get_type_hints(module.Reads), get_type_hints(State)
        assert read.keys() <= known.keys(), node
        assert all(read[key] == known[key] for key in read if key != "turn"), node


def test_a_session_of_an_older_service_is_shown_without_what_it_lacks() -> None:
    """Its `left_out` had another name in the state."""
    older = {"language": "ko", "profile": {"desired_job": "QA"}, "left_out": {"summarize": ["p-1"]}}
    view = session_view("s", older)
    assert (view["left_out"], view["postings"], view["project"]) == ({}, [], None)

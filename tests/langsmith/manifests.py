"""Manifests of prompts, as the hub keeps them: good ones, and those that a careful reader refuses."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core._api import suppress_langchain_beta_warning
from langchain_core.load import dumpd
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.prompts.structured import StructuredPrompt

Messages = Sequence[tuple[str, str]]
"""Roles (`system`, `human`, `ai`) and their texts with `{placeholders}`."""


def chat(messages: Messages, partials: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A chat prompt; with `partials`, some of its placeholders are filled already."""
    prompt = ChatPromptTemplate.from_messages(messages)
    manifest: dict[str, Any] = dumpd(prompt.partial(**partials) if partials else prompt)
    return manifest


def structured(messages: Messages, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A chat prompt that carries the JSON schema of its answer."""
    with suppress_langchain_beta_warning():
        manifest: dict[str, Any] = dumpd(StructuredPrompt(messages=messages, schema_=dict(schema)))
    return manifest


def in_jinja(messages: Messages) -> dict[str, Any]:
    """A chat prompt whose templates are Jinja's, which can run code."""
    manifest = copy.deepcopy(chat(messages))
    for message in manifest["kwargs"]["messages"]:
        message["kwargs"]["prompt"]["kwargs"]["template_format"] = "jinja2"
    return manifest


def constructor(*path: str, **kwargs: Any) -> dict[str, Any]:
    """A manifest that asks for an object of any class at all: a model, a class of somebody else's."""
    return {"lc": 1, "type": "constructor", "id": list(path), "kwargs": kwargs}

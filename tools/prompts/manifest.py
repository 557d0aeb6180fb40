"""A prompt's texts as the manifest that LangSmith's hub keeps, and back.

A manifest is LangChain's serialised object, which can name any class to be built. It is read here as
the JSON that it is: nothing of it is constructed, and what is no plain chat prompt is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.load import dumpd

from tools.prompts.prompt import Texts

_SYSTEM = ("SystemMessagePromptTemplate", "SystemMessage")
_HUMAN = ("HumanMessagePromptTemplate", "HumanMessage")
_PARTS = 2
_HOUSES = ("langchain", "langchain_core")
"""The packages whose classes a prompt's manifest names."""


class ManifestError(ValueError):
    """A manifest that is no prompt of this service; the message says why."""


def manifest_of(texts: Texts) -> dict[str, Any]:
    """Returns the manifest of a prompt."""
    manifest: dict[str, Any] = dumpd(texts.template())
    return manifest


def texts_of(manifest: Mapping[str, Any], schema_name: str) -> Texts:
    """Returns the texts of a manifest. Where it carries an output schema, that has to be
    `schema_name`: the service asks with its own.

    Raises:
        ManifestError: it is no chat prompt of one system and one human message, or does more than
            fill in placeholders.
    """
    kind, kwargs = _constructor(manifest)
    if kind not in ("ChatPromptTemplate", "StructuredPrompt"):
        raise ManifestError(f"it is a {kind}; only a chat prompt is taken")
    _refuse_partials(kwargs)
    if kind == "StructuredPrompt":
        schema = kwargs.get("schema_") or kwargs.get("schema")
        named = schema.get("title") or schema.get("name") if isinstance(schema, Mapping) else None
        if named != schema_name:
            raise ManifestError(f"its output schema is {named}; the service's is {schema_name}")
    messages = kwargs.get("messages")
    if not isinstance(messages, list) or len(messages) != _PARTS:
        raise ManifestError("it has to have two messages: the system's and the human's")
    system, human = messages
    return Texts(_text(system, _SYSTEM, "first", "system"), _text(human, _HUMAN, "second", "human"))


def _text(message: Any, kinds: tuple[str, str], place: str, role: str) -> str:
    kind, kwargs = _constructor(message)
    if kind not in kinds:
        raise ManifestError(f"its {place} message is a {kind}; it has to be the {role} message")
    if kind == kinds[1]:
        # A message without placeholders; what it says is no template.
        content = kwargs.get("content")
        if not isinstance(content, str):
            raise ManifestError(f"the {role} message is not plain text")
        return content.replace("{", "{{").replace("}", "}}").strip()
    inner = kwargs.get("prompt")
    if isinstance(inner, list) and len(inner) == 1:
        [inner] = inner
    kind, kwargs = _constructor(inner)
    if kind != "PromptTemplate":
        raise ManifestError(f"the {role} message is a {kind}; only text is taken")
    _refuse_partials(kwargs)
    if (language := kwargs.get("template_format", "f-string")) != "f-string":
        raise ManifestError(f"the {role} message is a {language} template; only f-string is taken")
    template = kwargs.get("template")
    if not isinstance(template, str):
        raise ManifestError(f"the {role} message has no text")
    return template.replace("\r\n", "\n").strip()


def _constructor(value: Any) -> tuple[str, Mapping[str, Any]]:
    """Returns the class that a serialised object names, and its arguments."""
    if isinstance(value, Mapping) and value.get("type") == "constructor":
        name, kwargs = value.get("id"), value.get("kwargs")
        if isinstance(name, list) and name and isinstance(kwargs, Mapping):
            if name[0] not in _HOUSES:
                raise ManifestError(
                    f"it names {'.'.join(map(str, name))}, which is none of LangChain's classes"
                )
            return str(name[-1]), kwargs
    raise ManifestError("it is no serialised prompt")


def _refuse_partials(kwargs: Mapping[str, Any]) -> None:
    if partials := kwargs.get("partial_variables"):
        named = ", ".join(map(str, partials)) if isinstance(partials, Mapping) else "something"
        raise ManifestError(f"it fills in {named} itself (partial variables); only the service fills in")

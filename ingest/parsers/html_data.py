"""What a page holds of a posting for scripts and search engines: JSON-LD, and the state of a page that a
script is to build. It is read where the page itself does not say it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from ingest.parsers.flow import folded
from ingest.parsers.html_events import Begin, Event, Text

Field = tuple[str, str]
"""A name and a text, which may be HTML."""

_LD = "ld+json"
_ASSIGNED = re.compile(r"\s*(?:(?:var|let|const)\s+)?[\w.$\[\]\"']+\s*=\s*(?=[{\[])")
_LONGEST_SCRIPT = 4_000_000
_DEEPEST = 40
_MOST_POSTINGS = 10
_LEAST_STATE = 150
"""Letters of the texts of an object from which it may be a posting."""
_LEAST_TEXT = 12
"""Letters from which a text in such an object is told: what is shorter are ids and states of the page."""
_NAMES_A_THING = re.compile(
    r"(?:title|name|position|company|deadline|location|employment|career|salary)", re.IGNORECASE
)
_NO_TEXT = re.compile(r"https?://\S+|[\w+/=.:-]+|[#.{<]?[\w-]+\s*[{;].*", re.DOTALL)
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_\-.]+")
_TYPES = {
    "FULL_TIME": "Full-time",
    "PART_TIME": "Part-time",
    "CONTRACTOR": "Contract",
    "TEMPORARY": "Temporary",
    "INTERN": "Internship",
}


def linked_postings(events: Sequence[Event]) -> Iterator[list[Field]]:
    """Yields each schema.org JobPosting of the page: its title first, under an empty name, then what else
    there is of it."""
    found = 0
    for script in _scripts(events, _LD):
        for node in _objects(_json(script)):
            if "JobPosting" in _listed(node.get("@type")) and found < _MOST_POSTINGS:
                found += 1
                yield [(name, text) for name, text in _posting(node) if text.strip()]


def state_of_page(events: Sequence[Event]) -> list[Field]:
    """Returns the texts of the object that has most of them, in the state that scripts of the page are given
    as JSON; empty where there is none that could be a posting."""
    best: list[Field] = []
    most = _LEAST_STATE
    for script in _scripts(events, ""):
        for node in _objects(_json(script)):
            texts = [(str(name), value) for name, value in node.items() if isinstance(value, str)]
            letters = sum(len(value) for _, value in texts if _is_text(value))
            if letters > most:
                most = letters
                best = [
                    (_spoken(name), value)
                    for name, value in texts
                    if _is_text(value) or (_NAMES_A_THING.search(name) and value.strip() and len(value) < 200)  # noqa: PLR2004
                ]
    return best


def _posting(node: dict[str, Any]) -> Iterator[Field]:
    yield "", _text(node.get("title") or node.get("name"))
    yield "company", _text(node.get("hiringOrganization"))
    yield "description", _text(node.get("description"))
    for name in (
        "responsibilities",
        "qualifications",
        "experienceRequirements",
        "educationRequirements",
        "skills",
    ):
        yield name, _text(node.get(name))
    yield "jobBenefits", _text(node.get("jobBenefits"))
    yield "location", _text(node.get("jobLocation"))
    yield "employment", ", ".join(_TYPES.get(kind, kind) for kind in _listed(node.get("employmentType")))
    yield "deadline", _text(node.get("validThrough"))


def _text(value: Any, depth: int = 0) -> str:
    """A value of schema.org as text: a thing by its name, an address by its parts."""
    if isinstance(value, str):
        return value
    if depth > 4:  # noqa: PLR2004 - a place has an address, which has a country, which has a name
        return ""
    if isinstance(value, list):
        return "\n".join(filter(None, (_text(part, depth + 1) for part in value)))
    if isinstance(value, dict):
        parts = (
            "name",
            "address",
            "addressRegion",
            "addressLocality",
            "streetAddress",
            "description",
            "credentialCategory",
        )
        return " ".join(filter(None, (_text(value.get(part), depth + 1) for part in parts)))
    return ""


def _scripts(events: Sequence[Event], kind: str) -> Iterator[str]:
    """The texts of scripts of a kind; those that are JSON, or set a variable to it, where it is empty."""
    for event, after in itertools.pairwise(events):
        if isinstance(event, Begin) and event.tag == "script" and isinstance(after, Text):
            is_linked = _LD in event.attributes.get("type", "").lower()
            if is_linked == (kind == _LD) and len(after.text) <= _LONGEST_SCRIPT:
                yield after.text


def _json(script: str) -> Any:
    """What a script says in JSON; None where it says it otherwise."""
    text = script.strip().removeprefix("<!--").removesuffix("-->").strip()
    text = text.removeprefix("//<![CDATA[").removesuffix("//]]>").strip()
    assigned = _ASSIGNED.match(text)
    text = text[assigned.end() :].rstrip("; \n\t") if assigned else text
    if text[:1] not in ("{", "["):
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass
    try:
        # Line breaks within texts, as many sites write them into their JSON-LD.
        return orjson.loads(re.sub(r"[\x00-\x1f]+", " ", text))
    except orjson.JSONDecodeError:
        return None


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in a value, the outer ones first."""
    stack = [(value, 0)]
    while stack:
        here, depth = stack.pop()
        if depth > _DEEPEST:
            continue
        if isinstance(here, dict):
            yield here
        inner = here.values() if isinstance(here, dict) else here if isinstance(here, list) else ()
        stack += [(one, depth + 1) for one in reversed(list(inner)) if isinstance(one, dict | list)]


def _listed(value: Any) -> list[str]:
    return (
        [value]
        if isinstance(value, str)
        else [v for v in value if isinstance(v, str)]
        if isinstance(value, list)
        else []
    )


def _is_text(value: str) -> bool:
    """Whether a value is made to be read: words, and neither an address nor code."""
    bare = folded(value)
    return len(bare) >= _LEAST_TEXT and " " in bare and _NO_TEXT.fullmatch(bare) is None


def _spoken(name: str) -> str:
    """`preferredPoints` and `preferred_points` as people write them."""
    return " ".join(_HUMP.sub(" ", name).split()).lower()

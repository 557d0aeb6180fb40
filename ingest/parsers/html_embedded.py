"""What a page of HTML holds beside its text: images, and data for scripts and search engines.

Images: most sites load one when it is scrolled to, and show a dot until then. No URL is fetched; the
content of a `data:` URL is read like a file. SVG is a drawing: it is counted and not opened.

Data: JSON-LD, and the JSON from which a script builds the page. It is read where the page itself does not
say the same.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from ingest.documents import RawFile
from ingest.errors import DocumentUnreadableError
from ingest.parsers.file_types import detect_file_type, image_size
from ingest.parsers.html_tokens import StartTag, Text, Token, is_data_url, read_data_url
from tools.core.text import one_line

MAX_EMBEDDED_IMAGES = 20
"""Images of a page that are read: its first. A page that was saved whole holds all of its icons, too."""
_SMALLEST_IMAGE = (100, 40)
"""Pixels: what is narrower or lower is an icon, or a dot that stands in for an image until it is loaded."""
_URL_ATTRIBUTES = ("data-src", "data-original", "data-lazy-src", "data-lazy", "src")
_SRCSET_ATTRIBUTES = ("data-srcset", "data-lazy-srcset", "srcset")
_TRACKING_PIXEL = 2

Field = tuple[str, str]  # a name and a text, which may be HTML

_LD = "ld+json"
_ASSIGNMENT = re.compile(r"\s*(?:(?:var|let|const)\s+)?[\w.$\[\]\"']+\s*=\s*(?=[{\[])")
_LONGEST_SCRIPT = 4_000_000
_DEEPEST = 40
_MOST_POSTINGS = 10
_LEAST_STATE = 150  # letters of the texts of an object from which it may be a posting
_LEAST_TEXT = 12  # letters from which a text in such an object is read: shorter ones are ids and states
_LONGEST_FACT = 200
_FACT_NAME = re.compile(
    r"(?:title|name|position|company|deadline|location|employment|career|salary)", re.IGNORECASE
)
_URL_OR_CODE = re.compile(r"https?://\S+|[\w+/=.:-]+|[#.{<]?[\w-]+\s*[{;].*", re.DOTALL)
_WORD_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_\-.]+")
_EMPLOYMENT_TYPES = {
    "FULL_TIME": "Full-time",
    "PART_TIME": "Part-time",
    "CONTRACTOR": "Contract",
    "TEMPORARY": "Temporary",
    "INTERN": "Internship",
}
_JOB_TEXTS = (
    *("responsibilities", "qualifications", "experienceRequirements", "educationRequirements"),
    *("skills", "jobBenefits"),
)
_PARTS_OF_A_THING = (
    *("name", "address", "addressRegion", "addressLocality", "streetAddress"),
    *("description", "credentialCategory"),
)


def image_urls(attributes: Mapping[str, str]) -> list[str]:
    """Returns the URLs in the attributes of an `<img>` or `<source>`."""
    urls = [attributes[name].strip() for name in _URL_ATTRIBUTES if attributes.get(name)]
    for name in _SRCSET_ATTRIBUTES:
        # Candidates end at white space, for commas are part of URLs, too; widths ("2x") are left out.
        parts = attributes.get(name, "").split()
        urls += [part.strip(",") for part in parts if not part.rstrip(",")[:-1].replace(".", "", 1).isdigit()]
    return urls


def data_url_of(urls: Iterable[str]) -> str | None:
    """Returns the longest `data:` URL among those of an image; None where there is none."""
    return max((url for url in urls if is_data_url(url)), key=len, default=None)


def displayed_url(urls: Sequence[str]) -> str:
    """Returns the URL of an image that a reader of the page comes to see: a `data:` URL only stands in for
    one that is loaded later. Empty where there is none."""
    return next((url for url in urls if not is_data_url(url)), data_url_of(urls) or "")


def is_tracking_pixel(attributes: Mapping[str, str]) -> bool:
    """Whether an image is by its own attributes a dot: such count visits."""
    sides = [attributes.get(name, "").strip().removesuffix("px") for name in ("width", "height")]
    return all(side.isdigit() and int(side[:6]) <= _TRACKING_PIXEL for side in sides)


def embedded_images(urls: Sequence[str | None], page: str) -> tuple[list[RawFile], list[str]]:
    """Returns the images in `data:` URLs as files named after the page, and what is wrong with those that
    cannot be read. Small ones, SVG and what is beyond `MAX_EMBEDDED_IMAGES` are left out.
    """
    files: list[RawFile] = []
    problems: list[str] = []
    for number, url in enumerate(urls, 1):
        if url is None or len(files) == MAX_EMBEDDED_IMAGES:
            continue
        name = f"{page}, picture {number}"
        data = read_data_url(url)
        if data is None:
            problems.append(f"{name} is broken.")
            continue
        if "svg" in data.media_type:
            continue
        try:
            kind = detect_file_type(RawFile(name, data.media_type, data.content)).kind
        except DocumentUnreadableError as error:
            problems.append(error.message)
            continue
        if not kind.is_image:
            problems.append(f"{name} is no picture.")
            continue
        width, height = image_size(data.content)
        if width >= _SMALLEST_IMAGE[0] and height >= _SMALLEST_IMAGE[1]:
            files.append(RawFile(name, kind.value, data.content))
    return files, problems


def json_ld_postings(tokens: Sequence[Token]) -> Iterator[list[Field]]:
    """Yields each schema.org JobPosting of the page: its title first, under an empty name, then its other
    fields."""
    postings = (
        node
        for script in _scripts(tokens, linked_data=True)
        for node in _objects(_parse_json(script))
        if "JobPosting" in _strings(node.get("@type"))
    )
    for posting in itertools.islice(postings, _MOST_POSTINGS):
        yield [(name, text) for name, text in _posting_fields(posting) if text.strip()]


def embedded_state(tokens: Sequence[Token]) -> list[Field]:
    """Returns the texts of the object that has most of them in the JSON that scripts of the page start
    with; empty where no object could be a posting."""
    best: list[Field] = []
    most = _LEAST_STATE
    for script in _scripts(tokens, linked_data=False):
        for node in _objects(_parse_json(script)):
            texts = [(str(name), value) for name, value in node.items() if isinstance(value, str)]
            letters = sum(len(value) for _, value in texts if _is_prose(value))
            if letters > most:
                most = letters
                best = [
                    (_words_of_key(name), value)
                    for name, value in texts
                    if _is_prose(value)
                    or (_FACT_NAME.search(name) and value.strip() and len(value) < _LONGEST_FACT)
                ]
    return best


def _posting_fields(node: dict[str, Any]) -> Iterator[Field]:
    yield "", _as_text(node.get("title") or node.get("name"))
    yield "company", _as_text(node.get("hiringOrganization"))
    yield "description", _as_text(node.get("description"))
    for name in _JOB_TEXTS:
        yield name, _as_text(node.get(name))
    yield "location", _as_text(node.get("jobLocation"))
    types = _strings(node.get("employmentType"))
    yield "employment", ", ".join(_EMPLOYMENT_TYPES.get(name, name) for name in types)
    yield "deadline", _as_text(node.get("validThrough"))


def _as_text(value: Any, depth: int = 0) -> str:
    """A value of schema.org as text: a thing by its name, an address by its parts."""
    if isinstance(value, str):
        return value
    if depth > 4:  # noqa: PLR2004 - a place has an address, which has a country, which has a name
        return ""
    if isinstance(value, list):
        return "\n".join(filter(None, (_as_text(part, depth + 1) for part in value)))
    if isinstance(value, dict):
        return " ".join(filter(None, (_as_text(value.get(part), depth + 1) for part in _PARTS_OF_A_THING)))
    return ""


def _scripts(tokens: Sequence[Token], *, linked_data: bool) -> Iterator[str]:
    """The texts of the page's scripts: those of JSON-LD, or the others."""
    for token, after in itertools.pairwise(tokens):
        if isinstance(token, StartTag) and token.tag == "script" and isinstance(after, Text):
            is_linked = _LD in token.attributes.get("type", "").lower()
            if is_linked == linked_data and len(after.text) <= _LONGEST_SCRIPT:
                yield after.text


def _parse_json(script: str) -> Any:
    """The JSON that a script is, or assigns to a variable; None where it is other code."""
    text = script.strip().removeprefix("<!--").removesuffix("-->").strip()
    text = text.removeprefix("//<![CDATA[").removesuffix("//]]>").strip()
    assignment = _ASSIGNMENT.match(text)
    text = text[assignment.end() :].rstrip("; \n\t") if assignment else text
    if text[:1] not in ("{", "["):
        return None
    # Many sites write raw line breaks into the strings of their JSON-LD.
    for candidate in (text, re.sub(r"[\x00-\x1f]+", " ", text)):
        try:
            return orjson.loads(candidate)
        except orjson.JSONDecodeError:
            continue
    return None


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """All objects in a value, the outer ones first."""
    stack = [(value, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > _DEEPEST:
            continue
        if isinstance(node, dict):
            yield node
        inner = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
        stack += [(child, depth + 1) for child in reversed(list(inner)) if isinstance(child, dict | list)]


def _strings(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str)]


def _is_prose(value: str) -> bool:
    """Whether a value is made to be read: words, and neither a URL nor code."""
    bare = one_line(value)
    return len(bare) >= _LEAST_TEXT and " " in bare and _URL_OR_CODE.fullmatch(bare) is None


def _words_of_key(name: str) -> str:
    """`preferredPoints` and `preferred_points` as people write them."""
    return " ".join(_WORD_BORDER.sub(" ", name).split()).lower()

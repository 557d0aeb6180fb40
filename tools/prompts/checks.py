"""What a prompt's texts have to be before they are put in force, wherever they come from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from string import Formatter

from tools.core.fencing import fence, unfence

MAX_SYSTEM_CHARS = 20_000
"""Four times the longest bundled instructions; more would crowd out the postings."""
MAX_HUMAN_CHARS = 2_000
"""The human part is the fences, and perhaps a line between them."""
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")
"""Tab and line feed are fine. Half a surrogate pair could not even be stored."""

_FENCE_LINE = re.compile(r"^</?[a-z_]+>$", re.MULTILINE)


def problems(system: str, human: str, blocks: Sequence[str], fields: Iterable[str]) -> list[str]:
    """Returns what is wrong with two texts (f-string templates), one sentence each.

    `blocks` are the fences that the node supplies: each stands once in the human part, alone on its
    line, and no data among the instructions. `fields` are the properties of the answer's schema, each
    of which the instructions name.
    """
    found = [
        f"the {part} part has {len(text)} characters; at most {limit} are taken"
        for part, text, limit in (("system", system, MAX_SYSTEM_CHARS), ("human", human, MAX_HUMAN_CHARS))
        if len(text) > limit
    ]
    found += [f"the {part} part is empty" for part, text in _parts(system, human) if not text.strip()]
    found += [
        f"the {part} part has control characters"
        for part, text in _parts(system, human)
        if _CONTROL.search(text)
    ]
    if own := _FENCE_LINE.search(human):
        found.append(f"the human part has {own[0]}, a line of a fence, which only the service writes")
    found += _placeholder_problems(system, human, blocks)
    # Whole words: `fit` does not name `fits`.
    unnamed = [name for name in fields if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", system, re.ASCII)]
    if unnamed:
        found.append(f"the instructions do not name the answer's fields {', '.join(unnamed)}")
    return found or _rendering_problems(system, human, blocks)


def _placeholder_problems(system: str, human: str, blocks: Sequence[str]) -> list[str]:
    try:
        among_instructions, placeholders = _placeholders(system), _placeholders(human)
    except ValueError as error:
        return [f"braces that are no placeholder are not doubled ({error})"]
    found = []
    if among_instructions:
        named = ", ".join(among_instructions)
        found.append(f"the placeholders {named} stand among the instructions, where no data may stand")
    if sorted(placeholders) != sorted(blocks):
        found.append(
            f"the human part has the placeholders {sorted(placeholders)}, but has to have "
            f"{sorted(blocks)}, each once"
        )
    else:
        alone = human.splitlines()
        found += [
            f"{{{name}}} has to stand alone on its line" for name in blocks if f"{{{name}}}" not in alone
        ]
    return found


def _placeholders(template: str) -> list[str]:
    """Returns the placeholders as they are written, attributes, conversions and formats included, so
    that none of those equals a block's name.

    Raises:
        ValueError: a brace is open, or closes nothing.
    """
    return [
        f"{field}{'!' + conversion if conversion else ''}{':' + spec if spec else ''}"
        for _, field, spec, conversion in Formatter().parse(template)
        if field is not None
    ]


def _rendering_problems(system: str, human: str, blocks: Sequence[str]) -> list[str]:
    """Renders a sample in which data looks like a placeholder and like a fence."""
    sample = {name: fence(name, {"name": name, "text": "{request} </postings>"}) for name in blocks}
    try:
        system.format()
        rendered = unfence(human.format(**sample))
    except (ValueError, LookupError) as error:
        return [f"it does not render ({error!r})"]
    arrived = {name: [{"name": name, "text": "{request} </postings>"}] for name in blocks}
    return [] if rendered == arrived else ["its data does not arrive whole in the fences of the human part"]


def _parts(system: str, human: str) -> tuple[tuple[str, str], ...]:
    return ("system", system), ("human", human)

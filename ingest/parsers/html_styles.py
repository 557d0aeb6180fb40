"""What the style sheets in a page say of an element: enough of CSS to know what is hidden.

Of selectors, tags, classes, ids, attributes that are there, and ancestors are understood; a rule with another
one is passed over, as are rules for paper and for a pointer that hovers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Declarations = dict[str, str]

PROPERTIES = frozenset(
    {
        *("display", "visibility", "opacity", "filter", "content-visibility", "font-size", "font"),
        *("overflow", "overflow-x", "overflow-y", "height", "max-height", "width", "max-width"),
        *("text-indent", "position", "left", "right", "top", "bottom", "margin-left", "margin-top"),
        *("clip", "clip-path", "transform", "color", "-webkit-text-fill-color"),
        *("background", "background-color", "background-image", "background-clip", "-webkit-background-clip"),
    }
)
"""What can hide an element, or tells that it does not."""
_MOST_RULES = 3_000
_FURTHEST = 50
"""Ancestors that are looked through for one that a selector names."""

_COMMENT = re.compile(r"/\*.*?\*/|<!--|-->", re.DOTALL)
_PART = re.compile(r"[{};]|[^{};]+")
_COMPOUND = re.compile(r"(?:\*|[a-z][\w-]*)?(?:[.#][\w-]+|\[[\w-]+\])*", re.IGNORECASE)
_SIMPLE = re.compile(r"(?P<mark>[.#\[]?)(?P<name>[\w-]+|\*)")
_IMPORTANT = re.compile(r"!\s*important\s*$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Element:
    """What selectors see of an element."""

    tag: str
    classes: frozenset[str]
    id: str
    attributes: frozenset[str]


def element(tag: str, attributes: Mapping[str, str]) -> Element:
    """Returns what selectors see."""
    if not attributes:
        return Element(tag, frozenset(), "", frozenset())
    classes = frozenset(attributes.get("class", "").split())
    return Element(tag, classes, attributes.get("id", ""), frozenset(attributes))


@dataclass(frozen=True, slots=True)
class _Compound:
    """A selector of one element; `child`: of one whose parent is what stands before it."""

    tag: str = ""
    classes: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()
    attributes: frozenset[str] = frozenset()
    child: bool = False

    def fits(self, one: Element) -> bool:
        return (
            (not self.tag or self.tag == one.tag)
            and self.classes <= one.classes
            and (not self.ids or self.ids == {one.id})
            and self.attributes <= one.attributes
        )

    @property
    def weight(self) -> tuple[int, int, int]:
        return len(self.ids), len(self.classes) + len(self.attributes), bool(self.tag)


@dataclass(frozen=True, slots=True)
class _Rule:
    selector: tuple[_Compound, ...]
    declarations: Declarations
    important: Declarations
    weight: tuple[int, int, int, int]


@dataclass
class Sheet:
    """The rules of a page's style sheets that may hide something."""

    _by_key: dict[str, list[_Rule]] = field(default_factory=dict)
    _rules: int = 0

    def add(self, css: str) -> None:
        """Takes the rules of a style sheet."""
        for selectors, body in _rules(_COMMENT.sub(" ", css)):
            declared, important = _declared(body)
            if not declared and not important:
                continue
            for text in selectors.split(","):
                selector = _selector(text.strip())
                if selector and self._rules < _MOST_RULES:
                    self._rules += 1
                    weights = [compound.weight for compound in selector]
                    a, b, c = (sum(weight[n] for weight in weights) for n in range(3))
                    rule = _Rule(selector, declared, important, (a, b, c, self._rules))
                    self._by_key.setdefault(_key(selector[-1]), []).append(rule)

    def declared(self, one: Element, ancestors: Sequence[Element], style: str) -> Declarations:
        """Returns what holds for an element: by its own style, and by the rules that fit it and its
        ancestors (from the outermost on)."""
        own, own_important = _declared(style) if style else ({}, {})
        rules = [rule for rule in self._near(one) if _fits(rule.selector, one, ancestors)]
        rules.sort(key=lambda rule: rule.weight)
        found: Declarations = {}
        for rule in rules:
            found |= rule.declarations
        found |= own
        for rule in rules:
            found |= rule.important
        return found | own_important

    def _near(self, one: Element) -> Iterable[_Rule]:
        if not self._by_key:
            return
        for key in (*(f".{name}" for name in one.classes), f"#{one.id}", one.tag, "*"):
            yield from self._by_key.get(key, ())


def _rules(css: str) -> Iterable[tuple[str, str]]:
    """Selectors and declarations of rules that hold on a screen."""
    preludes: list[str] = []
    said: list[str] = []
    for match in _PART.finditer(css):
        part = match[0]
        if part == "{":
            preludes.append("".join(said).strip())
            said = []
        elif part == "}":
            if preludes:
                *around, selectors = preludes
                preludes.pop()
                if not selectors.startswith("@") and all(map(_holds, around)):
                    yield selectors, "".join(said)
            said = []
        elif part == ";" and not preludes:
            said = []
        else:
            said.append(part)


def _holds(prelude: str) -> bool:
    """Whether what stands in a block of this name holds for who reads on a screen."""
    name = prelude.lower()
    if name.startswith("@media"):
        return "print" not in name or "screen" in name
    return name.startswith(("@supports", "@layer", "@container", "@scope"))


def _declared(body: str) -> tuple[Declarations, Declarations]:
    """The declarations of `PROPERTIES`, and those that are important."""
    found: Declarations = {}
    important: Declarations = {}
    for part in body.split(";"):
        name, colon, value = part.partition(":")
        name = name.strip().lower()
        if colon and name in PROPERTIES:
            plain = _IMPORTANT.sub("", value)
            (important if plain != value else found)[name] = plain.strip().lower()
    return found, important


def _selector(text: str) -> tuple[_Compound, ...]:
    """A selector's compounds, the element's own last; empty where one is not understood."""
    compounds: list[_Compound] = []
    child = False
    for part in text.replace(">", " > ").split():
        if part == ">":
            child = True
        elif _COMPOUND.fullmatch(part):
            compounds.append(_compound(part, child=child))
            child = False
        else:
            return ()
    return tuple(compounds)


def _compound(text: str, *, child: bool) -> _Compound:
    named: dict[str, list[str]] = {"": [], ".": [], "#": [], "[": []}
    for match in _SIMPLE.finditer(text):
        named[match["mark"]].append(match["name"])
    tag = next(iter(named[""]), "").lower()
    return _Compound(
        "" if tag == "*" else tag,
        frozenset(named["."]),
        frozenset(named["#"]),
        frozenset(name.lower() for name in named["["]),
        child,
    )


def _key(compound: _Compound) -> str:
    """Under what a rule is found: one of the element's classes, its id, its tag, or anything."""
    if compound.ids:
        return f"#{next(iter(compound.ids))}"
    if compound.classes:
        return f".{next(iter(compound.classes))}"
    return compound.tag or "*"


def _fits(selector: Sequence[_Compound], one: Element, ancestors: Sequence[Element]) -> bool:
    """Whether a selector fits an element. Of an ancestor that fits, the nearest is taken."""
    if not selector[-1].fits(one):
        return False
    at = len(ancestors)
    least = max(0, at - _FURTHEST)
    below = selector[-1]
    for compound in reversed(selector[:-1]):
        at -= 1
        while at >= least and not compound.fits(ancestors[at]) and not below.child:
            at -= 1
        if at < least or not compound.fits(ancestors[at]):
            return False
        below = compound
    return True

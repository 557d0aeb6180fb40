"""Which parts of a page of HTML are hidden from its reader, and which of those are left out.

Pages hide their body until a script runs, and no script runs here. Pages also hide menus, texts for search
engines and, now and then, instructions to whoever reads them by machine. Size tells them apart: a hidden
part is left out only where it is small beside the rest of the page.

CSS is understood as far as it takes to see what is hidden. Selectors may have tags, classes, ids, names of
attributes, and ancestors; rules with other selectors are ignored, as are rules for print and for hovering.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from PIL import ImageColor

from ingest.parsers.html_tokens import VOID, StartTag, Text, Token, names

_NEVER_TEXT = names(
    "script style iframe object canvas svg math audio video map select datalist button textarea nav"
)
"""Elements of which nothing is part of the text."""
_NAVIGATION_ROLES = names("navigation banner search menu menubar toolbar dialog alertdialog")
_NAVIGATION_NAMES = names(
    "gnb lnb snb fnb nav navbar navigation breadcrumb breadcrumbs skip skipnav skip-nav skip_nav footer "
    "site-footer cookie-banner"
)
"""Classes and ids of navigation, as Korean and other sites name it."""
_SCREEN_READER_NAMES = names("sr-only visually-hidden screen_out screen-out blind")
"""Classes of texts that only a screen reader reads: words for icons, or all the text of a poster."""
_LINE_TAGS = names(
    "p div li dt dd tr td th br h1 h2 h3 h4 h5 h6 section article ul ol dl table blockquote pre hr figure"
)

_MUCH, _MANY_LINES = 5, 5
"""A hidden region is not small when it has as many letters as what is visible, or a fifth on many lines."""
_FEW_LINES_WITHOUT_SCRIPT = 3  # of a `<noscript>`, which mostly asks to let scripts run
_SAME_KIND = 10  # times: a region so much shorter than the longest hidden alike is not of its kind

# CSS ------------------------------------------------------------------------------------------------

Declarations = dict[str, str]  # values by property

_PROPERTIES = names(
    "display visibility opacity filter content-visibility font-size font overflow overflow-x overflow-y "
    "height max-height width max-width text-indent position left right top bottom margin-left margin-top "
    "clip clip-path transform color -webkit-text-fill-color background background-color background-image "
    "background-clip -webkit-background-clip"
)
"""What can hide an element, or tells that it does not."""
_MOST_SELECTORS = 3_000
_MOST_ANCESTORS = 50  # that are searched for one that a selector names

_COMMENT = re.compile(r"/\*.*?\*/|<!--|-->", re.DOTALL)
_RULE_PART = re.compile(r"[{};]|[^{};]+")
_COMPOUND = re.compile(r"(?:\*|[a-z][\w-]*)?(?:[.#][\w-]+|\[[\w-]+\])*", re.IGNORECASE)
_SIMPLE = re.compile(r"(?P<mark>[.#\[]?)(?P<name>[\w-]+|\*)")
_IMPORTANT = re.compile(r"!\s*important\s*$", re.IGNORECASE)

_INHERITED = frozenset(["inherit", "unset", "currentcolor"])
_NUMBER = re.compile(r"(-?(?:\d+\.?\d*|\.\d+))\s*(px|r?em|ex|ch|pt|%|v[wh]|vmin|vmax|)")
_OPACITY = re.compile(r"opacity\(\s*([\d.]+)\s*(%?)")
_FONT_SIZE = re.compile(r"(?:^|\s)([\d.]+)(px|pt|r?em|%|)(?=\s*/|\s+\D)")  # in the shorthand `font`
_PIXELS = {"px": 1.0, "": 1.0, "pt": 1.33, "%": 10.0, "vw": 10.0, "vh": 8.0}
_EM = 16.0
_TINY_FONT = 2.0
_FAR = 300.0  # pixels beyond an edge at which nothing of a text is seen
_FAINT = 0.05  # opacity

Colour = tuple[int, int, int]
_WHITE: Colour = (255, 255, 255)
_COLOUR = re.compile(r"#[0-9a-f]{3,8}|(?P<model>rgb|hsl)a?\((?P<parts>[^()]{1,60})\)|[a-z]+")
_COLOUR_PART = re.compile(r"[\d.]+%?")
_SIMILAR = 20  # of 255: letters that differ less from their background in each part cannot be read


@dataclass(frozen=True, slots=True)
class _Element:
    """What selectors see of an element; or one compound selector, which matches elements that have all of
    this. `child`: its parent must match the compound before it."""

    tag: str = ""
    classes: frozenset[str] = frozenset()
    id: str = ""
    attributes: frozenset[str] = frozenset()
    child: bool = False

    @classmethod
    def of(cls, tag: str, attributes: Mapping[str, str]) -> _Element:
        if not attributes:
            return cls(tag)
        classes = frozenset(attributes.get("class", "").split())
        return cls(tag, classes, attributes.get("id", ""), frozenset(attributes))

    def matches(self, other: _Element) -> bool:
        return (
            (not self.tag or self.tag == other.tag)
            and self.classes <= other.classes
            and (not self.id or self.id == other.id)
            and self.attributes <= other.attributes
        )


@dataclass(frozen=True, slots=True)
class _Rule:
    """Declarations for what a selector matches. `priority`: whether they are `!important`, whether they are
    the element's own `style`, the selector's specificity (ids, classes and attributes, tags), their order."""

    selector: tuple[_Element, ...]
    declarations: Declarations
    priority: tuple[bool, bool, int, int, int, int]


@dataclass
class _StyleSheet:
    """The rules of a page's style sheets that may hide something, by a class of the element they are for, its
    id, its tag, or `*`."""

    _by_key: dict[str, list[_Rule]] = field(default_factory=dict)
    _selectors: int = 0

    def add(self, css: str) -> None:
        """Adds the rules of a `<style>`."""
        for selectors, body in _screen_rules(_COMMENT.sub(" ", css)):
            declarations = _declarations(body)
            for selector in map(_selector, selectors.split(",") if any(declarations) else ()):
                if selector and self._selectors < _MOST_SELECTORS:
                    self._selectors += 1
                    ids = sum(bool(part.id) for part in selector)
                    classes = sum(len(part.classes) + len(part.attributes) for part in selector)
                    tags = sum(bool(part.tag) for part in selector)
                    last = selector[-1]
                    key = f"#{last.id}" if last.id else next((f".{c}" for c in last.classes), last.tag or "*")
                    for important, declared in enumerate(declarations):
                        if declared:
                            priority = (bool(important), False, ids, classes, tags, self._selectors)
                            self._by_key.setdefault(key, []).append(_Rule(selector, declared, priority))

    def declarations_of(self, element: _Element, ancestors: Sequence[_Element], style: str) -> Declarations:
        """Returns what the rules and the element's own `style` declare, the strongest of each property."""
        keys = (*(f".{name}" for name in element.classes), f"#{element.id}", element.tag, "*")
        rules = [
            rule
            for key in (keys if self._by_key else ())
            for rule in self._by_key.get(key, ())
            if _selects(rule.selector, element, ancestors)
        ]
        for important, declared in enumerate(_declarations(style) if style else ()):
            rules.append(_Rule((), declared, (bool(important), True, 0, 0, 0, 0)))
        strongest: Declarations = {}
        for rule in sorted(rules, key=lambda rule: rule.priority):
            strongest |= rule.declarations
        return strongest


def _screen_rules(css: str) -> Iterator[tuple[str, str]]:
    """Yields (selectors, body) of the rules that hold on a screen."""
    preludes: list[str] = []
    text: list[str] = []
    for match in _RULE_PART.finditer(css):
        part = match[0]
        if part == "{":
            preludes.append("".join(text).strip())
            text = []
        elif part == "}":
            if preludes:
                *around, selectors = preludes
                preludes.pop()
                if not selectors.startswith("@") and all(map(_holds_on_screen, around)):
                    yield selectors, "".join(text)
            text = []
        elif part == ";" and not preludes:
            text = []
        else:
            text.append(part)


def _holds_on_screen(prelude: str) -> bool:
    name = prelude.lower()
    if name.startswith("@media"):
        return "print" not in name or "screen" in name
    return name.startswith(("@supports", "@layer", "@container", "@scope"))


def _declarations(body: str) -> tuple[Declarations, Declarations]:
    """The declarations of `_PROPERTIES`, and those that are `!important`."""
    normal: Declarations = {}
    important: Declarations = {}
    for part in body.split(";"):
        name, colon, value = part.partition(":")
        name = name.strip().lower()
        if colon and name in _PROPERTIES:
            plain = _IMPORTANT.sub("", value)
            (important if plain != value else normal)[name] = plain.strip().lower()
    return normal, important


def _selector(text: str) -> tuple[_Element, ...]:
    """A selector's compounds, the element's own last; empty where one is not understood."""
    compounds: list[_Element] = []
    child = False
    for part in text.replace(">", " > ").split():
        if part == ">":
            child = True
            continue
        if not _COMPOUND.fullmatch(part):
            return ()
        named: dict[str, list[str]] = {"": [], ".": [], "#": [], "[": []}
        for match in _SIMPLE.finditer(part):
            named[match["mark"]].append(match["name"])
        if len(set(named["#"])) > 1:
            return ()  # no element has two ids
        tag = next(iter(named[""]), "").lower().replace("*", "")
        attributes = frozenset(name.lower() for name in named["["])
        compounds.append(
            _Element(tag, frozenset(named["."]), next(iter(named["#"]), ""), attributes, child=child)
        )
        child = False
    return tuple(compounds)


def _selects(selector: Sequence[_Element], element: _Element, ancestors: Sequence[_Element]) -> bool:
    """Whether a selector matches an element. For each compound the nearest ancestor that matches is taken."""
    if not selector[-1].matches(element):
        return False
    at = len(ancestors)
    least = max(0, at - _MOST_ANCESTORS)
    below = selector[-1]
    for compound in reversed(selector[:-1]):
        at -= 1
        while at >= least and not compound.matches(ancestors[at]) and not below.child:
            at -= 1
        if at < least or not compound.matches(ancestors[at]):
            return False
        below = compound
    return True


def _first_colour(value: str) -> Colour | None:
    """The first colour in a value of CSS; None where there is none that is known."""
    for match in _COLOUR.finditer(value):
        text = match[0]
        if match["model"]:
            text = f"{match['model']}({','.join(_COLOUR_PART.findall(match['parts'])[:3])})"
        try:
            red, green, blue, *_ = ImageColor.getrgb(text)
        except ValueError:  # a word that names no colour
            continue
        return red, green, blue
    return None


def _is_transparent(value: str) -> bool:
    if value == "transparent":
        return True
    match = _COLOUR.fullmatch(value)
    if match is None or not match["model"]:
        return len(value) in (5, 9) and value[0] == "#" and not value[len(value) // 5 * 4 :].strip("0")
    alpha = _COLOUR_PART.findall(match["parts"])[3:]
    return bool(alpha) and not alpha[0].strip("0.%")


def _pixels(value: str) -> float:
    """A length in pixels, roughly; 0 for what is none."""
    match = _NUMBER.match(value)
    return 0.0 if match is None else float(match[1]) * _PIXELS.get(match[2], _EM)


# The page -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Region:
    """The visible page (number 0), or what one element hides. `parent`: the region it lies in; `reason`:
    by what it is hidden; `letters` and `lines` are its own, without those of regions within."""

    parent: int
    reason: str
    letters: int = 0
    lines: int = 0
    at_line_start: bool = True


@dataclass(frozen=True, slots=True)
class _Style:
    """The style that elements within inherit, as far as it can hide text."""

    colour: Colour | None = None
    background: Colour | None = None
    tiny: bool = False
    invisible: bool = False

    @property
    def hides_by(self) -> str:
        """What of it hides text, which an element within may undo. Empty when nothing does."""
        if self.invisible:
            return "visibility"
        if self.tiny:
            return "font-size"
        if self.colour is None or self.background is None:
            return ""
        pairs = zip(self.colour, self.background, strict=True)
        return "colour" if all(abs(one - other) <= _SIMILAR for one, other in pairs) else ""


@dataclass(frozen=True, slots=True)
class _OpenElement:
    """An open element. Its text belongs to `region`; that of an element within which undoes what the
    inherited style hides, to `base`."""

    element: _Element
    style: _Style
    region: int = 0
    base: int = 0


def visible_tokens(tokens: Sequence[Token]) -> Iterator[Token]:
    """Yields the tokens of a page without those of its navigation and scripts, and without what is hidden
    and small beside the rest."""
    page = _Page(tokens)
    shown = _shown_regions(page.regions)
    for token, region in zip(tokens, page.region_of, strict=True):
        if region is not None and shown[region]:
            yield token


class _Page:
    """The regions of a page. `region_of` is the region of each token, None for what is never text; a region
    comes after the one it lies in."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self.regions = [_Region(0, "")]
        self.region_of: list[int | None] = []
        self._sheet = _StyleSheet()
        for css in _style_sheets(tokens):
            self._sheet.add(css)
        self._walk(tokens)

    def _walk(self, tokens: Sequence[Token]) -> None:
        # What a sheet elsewhere says is not known: with one, the page's background is unknown.
        background = None if any(map(_links_to_style_sheet, tokens)) else _WHITE
        current = _OpenElement(_Element(), _Style(background=background))
        stack: list[_OpenElement] = []
        ancestors: list[_Element] = []
        skipped = title = 0  # open elements that are never text, and open titles
        for token in tokens:
            if isinstance(token, StartTag):
                is_void = token.tag in VOID
                if skipped or _is_never_text(token):
                    skipped += not is_void
                    self.region_of.append(None)
                    continue
                title += token.tag == "title"
                self._end_line(current.region, token.tag)
                opened = self._open(token, current, ancestors)
                self.region_of.append(opened.region)
                if not is_void:
                    stack.append(current)
                    ancestors.append(opened.element)
                    current = opened
            elif skipped:
                self.region_of.append(None)
                skipped -= not isinstance(token, Text)
            elif isinstance(token, Text):
                self.region_of.append(current.region)
                if not title:
                    self._count(current.region, token.text)
            else:
                title -= token.tag == "title"
                self.region_of.append(current.region)
                self._end_line(current.region, token.tag)
                if stack:
                    current = stack.pop()
                    ancestors.pop()

    def _open(self, token: StartTag, parent: _OpenElement, ancestors: Sequence[_Element]) -> _OpenElement:
        attributes = token.attributes
        element = _Element.of(token.tag, attributes)
        own_style = attributes.get("style", "") if attributes else ""
        declared = self._sheet.declarations_of(element, ancestors, own_style)
        style = _inherit(attributes, declared, parent.style)
        reason = _hidden_by(element, attributes, declared)
        if reason:
            region = self._new_region(parent.region, f"{token.tag} {reason}")
            return _OpenElement(element, style, region, region)
        if style.hides_by == parent.style.hides_by:
            return _OpenElement(element, style, parent.region, parent.base)
        if not style.hides_by:
            return _OpenElement(element, style, parent.base, parent.base)
        region = self._new_region(parent.base, f"{token.tag} {style.hides_by}")
        return _OpenElement(element, style, region, parent.base)

    def _new_region(self, parent: int, reason: str) -> int:
        self.regions.append(_Region(parent, reason))
        return len(self.regions) - 1

    def _count(self, number: int, text: str) -> None:
        letters = sum(map(str.isalnum, text))
        region = self.regions[number]
        region.letters += letters
        if letters and region.at_line_start:
            region.lines += 1
            region.at_line_start = False

    def _end_line(self, number: int, tag: str) -> None:
        if tag in _LINE_TAGS:
            self.regions[number].at_line_start = True


def _shown_regions(regions: Sequence[_Region]) -> list[bool]:
    """For each region whether it is read: the visible page, and hidden regions that are not small beside
    what is read, the largest first. Regions that are hidden alike are judged together."""
    letters, lines = [region.letters for region in regions], [region.lines for region in regions]
    for number in range(len(regions) - 1, 0, -1):
        letters[regions[number].parent] += letters[number]
        lines[regions[number].parent] += lines[number]
    children: dict[int, list[int]] = {}
    for number, region in enumerate(regions[1:], 1):
        children.setdefault(region.parent, []).append(number)
    shown = [number == 0 for number in range(len(regions))]
    read = regions[0].letters
    alike: dict[str, list[int]] = {}

    def add_children(number: int) -> None:
        for child in children.get(number, ()):
            alike.setdefault(regions[child].reason, []).append(child)

    add_children(0)
    while alike:
        reason = max(alike, key=lambda name: sum(letters[number] for number in alike[name]))
        group = alike.pop(reason)
        if _is_small(sum(letters[n] for n in group), sum(lines[n] for n in group), read, reason):
            continue
        largest = max(letters[number] for number in group)
        for number in group:
            if letters[number] * _SAME_KIND >= largest:
                shown[number] = True
                read += regions[number].letters
                add_children(number)
    return shown


def _is_small(letters: int, lines: int, read: int, reason: str) -> bool:
    if not letters or (reason.startswith("noscript") and lines < _FEW_LINES_WITHOUT_SCRIPT):
        return True
    return letters < read and (lines < _MANY_LINES or letters * _MUCH < read)


def _style_sheets(tokens: Sequence[Token]) -> Iterator[str]:
    """The texts of the page's `<style>`s that are for screens."""
    for token, after in itertools.pairwise(tokens):
        if isinstance(token, StartTag) and token.tag == "style" and isinstance(after, Text):
            media = token.attributes.get("media", "")
            if "print" not in media or "screen" in media:
                yield after.text


def _links_to_style_sheet(token: Token) -> bool:
    return (
        isinstance(token, StartTag)
        and token.tag == "link"
        and "stylesheet" in token.attributes.get("rel", "").lower()
    )


def _is_never_text(token: StartTag) -> bool:
    if token.tag in _NEVER_TEXT:
        return True
    if not token.attributes:
        return False
    if token.attributes.get("role") in _NAVIGATION_ROLES:
        return True
    is_page = token.tag in ("body", "html", "main")
    return not is_page and not _NAVIGATION_NAMES.isdisjoint(_classes_and_id(token.attributes))


def _classes_and_id(attributes: Mapping[str, str]) -> Iterable[str]:
    return f"{attributes.get('class', '')} {attributes.get('id', '')}".lower().split()


def _hidden_by(element: _Element, attributes: Mapping[str, str], declared: Declarations) -> str:
    """By what an element is hidden; empty when it is not."""
    if element.tag == "noscript":
        return "noscript"
    if element.tag == "template" and "shadowrootmode" not in element.attributes:
        return "template"
    if element.tag == "dialog" and "open" not in element.attributes:
        return "dialog"
    if "hidden" in element.attributes and declared.get("display", "none") == "none":
        return "hidden"
    if attributes and not _SCREEN_READER_NAMES.isdisjoint(_classes_and_id(attributes)):
        return "for screen readers"
    return _hidden_by_css(declared) if declared else ""


def _hidden_by_css(declared: Declarations) -> str:
    """The declaration that hides an element; empty when none does."""

    def get(name: str) -> str:
        return declared.get(name, "")

    if get("display") == "none":
        return "display"
    if get("content-visibility") == "hidden":
        return "content-visibility"
    for opacity in (_NUMBER.match(get("opacity")), _OPACITY.search(get("filter"))):
        if opacity is not None and float(opacity[1]) / (100 if opacity[2] == "%" else 1) <= _FAINT:
            return "opacity"
    clips = any(
        word in get(name) for name in ("overflow", "overflow-x", "overflow-y") for word in ("hidden", "clip")
    )
    sides = (_NUMBER.match(get(name)) for name in ("height", "max-height", "width", "max-width"))
    if clips and any(side is not None and abs(float(side[1])) <= (side[2] == "px") for side in sides):
        return "size"
    if _pixels(get("text-indent")) <= -_FAR:
        return "text-indent"
    placed = get("position") in ("absolute", "fixed", "relative", "sticky")
    offsets = ("margin-left", "margin-top", *(("left", "right", "top", "bottom") if placed else ()))
    if any(not -3 * _FAR < _pixels(get(name)) < 30 * _FAR for name in offsets):
        return "place"
    if re.match(r"rect\(\s*[01](px)?[\s,]", get("clip")) or re.match(
        r"inset\(\s*(?:[5-9]\d|100)(?:\.\d+)?%|circle\(\s*0|polygon\(\s*0\S*\s+0\S*\s*,\s*0\S*\s+0\S*\s*[,)]",
        get("clip-path"),
    ):
        return "clip"
    if re.search(r"scale[xy3d]*\(\s*0*\.?0*\s*[,)]|translate[xy3d]*\(\s*-\d{4}", get("transform")):
        return "transform"
    painted = "text" in get("background-clip") or "text" in get("-webkit-background-clip")
    if not painted and any(_is_transparent(get(name)) for name in ("color", "-webkit-text-fill-color")):
        return "colour"
    return ""


def _inherit(attributes: Mapping[str, str], declared: Declarations, parent: _Style) -> _Style:
    """What an element hands down, by its own declarations and what it inherits."""
    if not attributes and not declared:
        return parent
    colour, tiny, invisible = parent.colour, parent.tiny, parent.invisible
    value = declared.get("color") or attributes.get("color", "").lower()
    if value and value not in _INHERITED:
        colour = _first_colour(value)
    size = _NUMBER.match(declared.get("font-size", "")) or _FONT_SIZE.search(declared.get("font", ""))
    if size is not None:
        tiny = _pixels("".join(size.groups())) <= _TINY_FONT
    visibility = declared.get("visibility", "inherit")
    if visibility not in _INHERITED:
        invisible = visibility in ("hidden", "collapse")
    return _Style(colour, _background(attributes, declared, parent.background), tiny, invisible)


def _background(
    attributes: Mapping[str, str], declared: Declarations, parent: Colour | None
) -> Colour | None:
    """The colour behind an element's text; None where it is not known."""
    image = declared.get("background-image", "none")
    value = (
        declared.get("background-color")
        or declared.get("background")
        or attributes.get("bgcolor", "").lower()
    )
    if image != "none" or "background" in attributes or "url(" in value or "gradient" in value:
        return None
    if not value or value in _INHERITED or value in ("none", "0", "0 0") or _is_transparent(value):
        return parent
    return _first_colour(value)

"""What of a page its reader is not shown, and whether that is to be believed.

Pages hide their body until a script runs, and a script does not run here; pages also hide menus, texts for
search engines and, now and then, instructions to whoever reads them by machine. What tells them apart is
size: hiding is believed of what is small beside the rest of the page.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ingest.parsers.html_colours import WHITE, Colour, alike, colour_in, is_sheer
from ingest.parsers.html_events import VOID, Begin, Event, Text
from ingest.parsers.html_styles import Declarations, Element, Sheet, element


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_UNSEEN = _names(
    "script style iframe object canvas svg math audio video map select datalist button textarea nav"
)
"""Elements of which nothing is part of the text."""
_UNSEEN_ROLES = _names("navigation banner search menu menubar toolbar dialog alertdialog")
_UNSEEN_NAMES = _names(
    "gnb lnb snb fnb nav navbar navigation breadcrumb breadcrumbs skip skipnav skip-nav skip_nav footer "
    "site-footer cookie-banner"
)
"""Classes and ids of navigation, as Korean and other sites name it."""
_UNHEARD_NAMES = _names("sr-only visually-hidden screen_out screen-out blind")
"""Classes of texts that only a screen reader reads: words for icons, or all that a poster says."""

_MUCH = 5
"""A hidden part is not small when it has as many letters as what is seen, or a fifth on many lines."""
_MANY_LINES = 5
_BRANCH = 10
"""Times: of parts that are hidden alike, what is so much shorter than the longest is not of its kind."""
_FEW_LINES_WITHOUT_SCRIPT = 3
"""What stands where scripts do not run mostly asks to let them."""

_NUMBER = re.compile(r"(-?(?:\d+\.?\d*|\.\d+))\s*(px|r?em|ex|ch|pt|%|v[wh]|vmin|vmax|)")
_TINY_FONT = 2.0
_AWAY = 300.0
"""Pixels beyond an edge at which nothing of a text is seen."""
_IN_PIXELS = {"px": 1.0, "": 1.0, "pt": 1.33, "%": 10.0, "vw": 10.0, "vh": 8.0}
_EM = 16.0
_FAINT = 0.05
_AS_AROUND = frozenset(["inherit", "unset", "currentcolor"])
_OPACITY = re.compile(r"opacity\(\s*([\d.]+)\s*(%?)")
_FONT_SIZE = re.compile(r"(?:^|\s)([\d.]+)(px|pt|r?em|%|)(?=\s*/|\s+\D)")
"""In the shorthand, where it stands before the family."""

_LINE_TAGS = _names(
    "p div li dt dd tr td th br h1 h2 h3 h4 h5 h6 section article ul ol dl table blockquote pre hr figure"
)


@dataclass(slots=True)
class _Part:
    """What is hidden by one element, or the page as it is seen: of which it is a part, by what it is hidden,
    how many letters and lines it has of its own."""

    within: int
    reason: str
    letters: int = 0
    lines: int = 0
    ends_line: bool = True
    shown: bool = False


@dataclass(frozen=True, slots=True)
class _Look:
    """What an element hands down to those in it: colour of text, of what that stands on, whether it is tiny,
    and whether it is invisible."""

    colour: Colour | None = None
    ground: Colour | None = None
    tiny: bool = False
    invisible: bool = False

    @property
    def hidden_by(self) -> str:
        """What of it hides text; an element within may undo it. Empty when nothing does."""
        if self.invisible:
            return "visibility"
        if self.tiny:
            return "font-size"
        faded = self.colour is not None and self.ground is not None and alike(self.colour, self.ground)
        return "colour" if faded else ""


@dataclass(frozen=True, slots=True)
class _Open:
    """An open element: to what part of the page its text belongs, and to which that of an element in it that
    undoes what the look hides."""

    element: Element
    look: _Look
    part: int = 0
    base: int = 0


def seen_events(events: Sequence[Event]) -> Iterator[Event]:
    """Yields what of a page is read: without what is no part of its text, and without what is hidden and
    small beside the rest."""
    walk = _Walk(events)
    shown = _judged(walk.parts)
    for event, part in zip(events, walk.part_of, strict=True):
        if part is not None and shown[part]:
            yield event


@dataclass
class _Walk:
    """One walk through a page. `part_of` is the part of each event, None for what is no text;
    the parts are numbered as they begin, 0 is what is seen."""

    events: Sequence[Event]
    parts: list[_Part] = field(default_factory=lambda: [_Part(0, "", shown=True)])
    part_of: list[int | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        sheet = Sheet()
        for css in _style_sheets(self.events):
            sheet.add(css)
        # What a sheet elsewhere says is not known: of a page with one no ground is.
        ground = None if any(map(_is_link_to_sheet, self.events)) else WHITE
        stack: list[_Open] = []
        ancestors: list[Element] = []
        unseen = 0
        title = 0
        here = _Open(element("", {}), _Look(ground=ground))
        for event in self.events:
            if isinstance(event, Text):
                self.part_of.append(None if unseen else here.part)
                if not unseen and not title:
                    self._count(here.part, event.text)
            elif isinstance(event, Begin):
                void = event.tag in VOID
                if unseen or _is_unseen(event):
                    unseen += not void
                    self.part_of.append(None)
                    continue
                title += event.tag == "title"
                self._breaks(here.part, event.tag)
                opened = self._opened(event, here, ancestors, sheet)
                self.part_of.append(opened.part)
                if not void:
                    stack.append(here)
                    ancestors.append(opened.element)
                    here = opened
            else:
                if unseen:
                    unseen -= 1
                    self.part_of.append(None)
                    continue
                title -= event.tag == "title"
                self.part_of.append(here.part)
                self._breaks(here.part, event.tag)
                if stack:
                    here = stack.pop()
                    ancestors.pop()

    def _opened(self, event: Begin, around: _Open, ancestors: Sequence[Element], sheet: Sheet) -> _Open:
        attributes = event.attributes
        one = element(event.tag, attributes)
        declared = sheet.declared(one, ancestors, attributes.get("style", "") if attributes else "")
        look = _handed_down(attributes, declared, around.look)
        reason = _hidden_by(one, attributes, declared)
        if reason:
            part = self._new(around.part, f"{event.tag} {reason}")
            return _Open(one, look, part, part)
        if look.hidden_by == around.look.hidden_by:
            return _Open(one, look, around.part, around.base)
        if not look.hidden_by:
            return _Open(one, look, around.base, around.base)
        return _Open(one, look, self._new(around.base, f"{event.tag} {look.hidden_by}"), around.base)

    def _new(self, within: int, reason: str) -> int:
        self.parts.append(_Part(within, reason))
        return len(self.parts) - 1

    def _count(self, number: int, text: str) -> None:
        letters = sum(map(str.isalnum, text))
        part = self.parts[number]
        part.letters += letters
        if letters and part.ends_line:
            part.lines += 1
            part.ends_line = False

    def _breaks(self, number: int, tag: str) -> None:
        if tag in _LINE_TAGS:
            self.parts[number].ends_line = True


def _judged(parts: Sequence[_Part]) -> list[bool]:
    """For each part whether it is read: the page, and hidden parts that are not small beside what is read,
    the largest first. Parts that are hidden alike are judged together."""
    letters, lines = [part.letters for part in parts], [part.lines for part in parts]
    for number in range(len(parts) - 1, 0, -1):  # a part begins after the one it lies in
        letters[parts[number].within] += letters[number]
        lines[parts[number].within] += lines[number]
    inside: dict[int, list[int]] = {}
    for number, part in enumerate(parts[1:], 1):
        inside.setdefault(part.within, []).append(number)
    shown = [number == 0 for number in range(len(parts))]
    seen = parts[0].letters
    groups: dict[str, list[int]] = {}

    def look_into(number: int) -> None:
        for inner in inside.get(number, ()):
            groups.setdefault(parts[inner].reason, []).append(inner)

    look_into(0)
    while groups:
        reason = max(groups, key=lambda name: sum(letters[number] for number in groups[name]))
        group = groups.pop(reason)
        if _is_small(sum(letters[n] for n in group), sum(lines[n] for n in group), seen, reason):
            continue
        largest = max(letters[number] for number in group)
        for number in group:
            if letters[number] * _BRANCH >= largest:
                shown[number] = True
                seen += parts[number].letters
                look_into(number)
    return shown


def _is_small(letters: int, lines: int, seen: int, reason: str) -> bool:
    if not letters or (reason.startswith("noscript") and lines < _FEW_LINES_WITHOUT_SCRIPT):
        return True
    return letters < seen and (lines < _MANY_LINES or letters * _MUCH < seen)


def _style_sheets(events: Sequence[Event]) -> Iterator[str]:
    """The texts of the page's `<style>`s that are for screens."""
    for event, after in itertools.pairwise(events):
        if isinstance(event, Begin) and event.tag == "style" and isinstance(after, Text):
            media = event.attributes.get("media", "")
            if "print" not in media or "screen" in media:
                yield after.text


def _is_link_to_sheet(event: Event) -> bool:
    return (
        isinstance(event, Begin)
        and event.tag == "link"
        and "stylesheet" in event.attributes.get("rel", "").lower()
    )


def _is_unseen(event: Begin) -> bool:
    tag, attributes = event.tag, event.attributes
    if tag in _UNSEEN:
        return True
    if not attributes:
        return False
    if attributes.get("role") in _UNSEEN_ROLES:
        return True
    return tag not in ("body", "html", "main") and not _UNSEEN_NAMES.isdisjoint(_called(attributes))


def _called(attributes: Mapping[str, str]) -> list[str]:
    return f"{attributes.get('class', '')} {attributes.get('id', '')}".lower().split()


def _hidden_by(one: Element, attributes: Mapping[str, str], declared: Declarations) -> str:
    """By what an element is hidden; empty when it is not."""
    if one.tag == "noscript":
        return "noscript"
    if one.tag == "template" and "shadowrootmode" not in one.attributes:
        return "template"
    if one.tag == "dialog" and "open" not in one.attributes:
        return "dialog"
    if "hidden" in one.attributes and declared.get("display", "none") == "none":
        return "hidden"
    if attributes and not _UNHEARD_NAMES.isdisjoint(_called(attributes)):
        return "for screen readers"
    return _styled_away(declared) if declared else ""


def _styled_away(declared: Declarations) -> str:
    """The declaration that hides an element; empty when none does."""
    get = declared.get
    if get("display") == "none":
        return "display"
    if get("content-visibility") == "hidden":
        return "content-visibility"
    for opacity in (_NUMBER.match(get("opacity", "")), _OPACITY.search(get("filter", ""))):
        if opacity is not None and float(opacity[1]) / (100 if opacity[2] == "%" else 1) <= _FAINT:
            return "opacity"
    clips = any(
        "hidden" in get(name, "") or "clip" in get(name, "")
        for name in ("overflow", "overflow-x", "overflow-y")
    )
    if clips and any(_is_no_length(get(name, "")) for name in ("height", "max-height", "width", "max-width")):
        return "size"
    if abs(min(_pixels(get("text-indent", "")), 0)) >= _AWAY:
        return "text-indent"
    placed = get("position") in ("absolute", "fixed", "relative", "sticky")
    names = ("margin-left", "margin-top", *(("left", "right", "top", "bottom") if placed else ()))
    if any(not -3 * _AWAY < _pixels(get(name, "")) < 30 * _AWAY for name in names):
        return "place"
    if re.match(r"rect\(\s*[01](px)?[\s,]", get("clip", "")) or re.match(
        r"inset\(\s*(?:[5-9]\d|100)(?:\.\d+)?%|circle\(\s*0|polygon\(\s*0\S*\s+0\S*\s*,\s*0\S*\s+0\S*\s*[,)]",
        get("clip-path", ""),
    ):
        return "clip"
    if re.search(r"scale[xy3d]*\(\s*0*\.?0*\s*[,)]|translate[xy3d]*\(\s*-\d{4}", get("transform", "")):
        return "transform"
    painted = "text" in get("background-clip", "") or "text" in get("-webkit-background-clip", "")
    if not painted and any(is_sheer(get(name, "")) for name in ("color", "-webkit-text-fill-color")):
        return "colour"
    return ""


def _is_no_length(value: str) -> bool:
    match = _NUMBER.match(value)
    return match is not None and abs(float(match[1])) <= (match[2] == "px")


def _pixels(value: str) -> float:
    """A length in pixels, roughly; 0 for what is none."""
    match = _NUMBER.match(value)
    if match is None:
        return 0.0
    return float(match[1]) * _IN_PIXELS.get(match[2], _EM)


def _handed_down(attributes: Mapping[str, str], declared: Declarations, around: _Look) -> _Look:
    """What an element hands down, by its own declarations and what it was handed."""
    if not attributes and not declared:
        return around
    colour, tiny, invisible = around.colour, around.tiny, around.invisible
    said = declared.get("color") or attributes.get("color", "").lower()
    if said and said not in _AS_AROUND:
        colour = colour_in(said)
    size = _NUMBER.match(declared.get("font-size", "")) or _FONT_SIZE.search(declared.get("font", ""))
    if size is not None:
        tiny = _pixels("".join(size.groups())) <= _TINY_FONT
    seen = declared.get("visibility", "inherit")
    if seen not in _AS_AROUND:
        invisible = seen in ("hidden", "collapse")
    return _Look(colour, _ground(attributes, declared, around.ground), tiny, invisible)


def _ground(attributes: Mapping[str, str], declared: Declarations, around: Colour | None) -> Colour | None:
    """The colour that an element's text stands on; None where it is not known."""
    image = declared.get("background-image", "none")
    said = (
        declared.get("background-color")
        or declared.get("background")
        or attributes.get("bgcolor", "").lower()
    )
    if image != "none" or "background" in attributes or "url(" in said or "gradient" in said:
        return None
    if not said or said in _AS_AROUND or said in ("none", "transparent", "0", "0 0") or is_sheer(said):
        return around
    return colour_in(said)

"""Elements of an HTML page, and plots as SVG.

A page is a tree of elements, so that no text can become markup: the serialiser escapes all of it. Nothing
from a result is put into an attribute that a browser acts on (no links, no handlers, no styles), and the page
forbids itself everything but its own script and style (`document`).
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Sequence

from lxml import etree
from lxml.etree import _Element as Element

from evals.report import format as fmt
from evals.report.compare import Row, sign
from tools.core.terminal import plain

Child = Element | str | None
"""What an element holds. None is left out."""

_WIDTH, _LABELS, _FIGURES = 900, 250, 130
"""Widths of a plot, of its labels, and of the figures at its right."""
_ROW = 26
_AXIS = 44
_TICKS = 6
_RADIUS = 5
_BAR = 12


def element(tag: str, *children: Child | Iterable[Child], **attributes: str | float | None) -> Element:
    """Makes an element. An underscore at the end of an attribute's name is dropped (`class_`), one within
    is a hyphen (`aria_label`); an attribute that is None is left out."""
    made = etree.Element(tag)
    for name, value in attributes.items():
        if value is not None:
            shown = value if isinstance(value, str) else f"{value:.7g}"
            made.set(name.rstrip("_").replace("_", "-"), plain(shown))
    for child in children:
        for one in [child] if child is None or isinstance(child, str | Element) else child:
            _add(made, one)
    return made


def details(summary: str, *children: Child | Iterable[Child], class_: str | None = None) -> Element:
    """Makes what opens when its summary is clicked."""
    return element("details", element("summary", summary), *children, class_=class_)


def table(label: str, names: Sequence[str], rows: Iterable[Element], class_: str | None = None) -> Element:
    """Makes a table that can be scrolled sideways, also with the keyboard."""
    head = element("tr", [element("th", name, scope="col") for name in names])
    made = element("table", element("thead", head), element("tbody", rows), class_=class_)
    return element("div", made, class_="scroll", tabindex="0", role="group", aria_label=label)


def _add(parent: Element, child: Child) -> None:
    if child is None:
        return
    if not isinstance(child, str):
        parent.append(child)
    elif len(parent):
        parent[-1].tail = (parent[-1].tail or "") + plain(child)
    else:
        parent.text = (parent.text or "") + plain(child)


def markup(made: Element) -> str:
    """Returns an element as HTML."""
    return etree.tostring(made, method="html", encoding="unicode")


def document(title: str, body: Iterable[Child], *, style: str, script: str) -> str:
    """Returns a whole page. Its policy lets `style` and `script` in by their hashes, and nothing else:
    no other script, no style, no picture, no connection."""
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        _raw("style", style),
        _raw("script", script),
    )
    return "<!doctype html>\n" + markup(element("html", head, element("body", body), lang="en")) + "\n"


def _raw(tag: str, text: str) -> Element:
    # Our own two files; a browser takes what stands in these elements as it is.
    made = etree.Element(tag)
    made.text = text
    return made


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def colour(row: Row) -> str:
    """Returns the class that colours a row's verdict."""
    return row.verdict if row.verdict in ("better", "worse") else "plain"


def differences(rows: Sequence[Row]) -> Element | None:
    """Draws a forest plot of the shares: the change for the better is to the right, whichever way the
    metric runs. None when there is none with a difference and a direction."""
    drawn = [row for row in rows if row.improvement is not None and fmt.unit_of(row) == fmt.SHARE]
    if not drawn:
        return None
    spans = [_span(row) for row in drawn]
    low, high = min(0.0, *(span[0] for span in spans)), max(0.0, *(span[1] for span in spans))
    step = _step((high - low) or 0.01)
    low, high = math.floor(low / step - 0.25) * step, math.ceil(high / step + 0.25) * step
    bottom = len(drawn) * _ROW + 8

    def x(value: float) -> float:
        return _LABELS + (value - low) / (high - low) * (_WIDTH - _LABELS - _FIGURES)

    ticks = [low + step * number for number in range(round((high - low) / step) + 1)]
    parts: list[Element | None] = [
        _line(x(tick), 4, x(tick), bottom, "zero" if abs(tick) < step / 2 else "grid") for tick in ticks
    ]
    parts += [_text(x(tick), bottom + 16, fmt.signed(tick, fmt.SHARE), "tick") for tick in ticks]
    parts += [
        _text(x(low), bottom + 36, "← worse", "tick start"),
        _text(x(high), bottom + 36, "better →", "tick end"),
    ]
    for number, (row, (left, right)) in enumerate(zip(drawn, spans, strict=True)):
        y = number * _ROW + _ROW / 2 + 4
        few = row.difference is None or row.difference.low is None
        parts += [
            _text(_LABELS - 12, y + 4, row.key, "label"),
            None if few else _line(x(left), y, x(right), y, f"whisker {colour(row)}"),
            element(
                "circle",
                cx=x(row.improvement or 0.0),
                cy=y,
                r=_RADIUS,
                class_=f"dot {'few' if few else colour(row)}",
            ),
            _text(_WIDTH, y + 4, _beside(row), f"label {colour(row)}"),
        ]
    return _picture(
        bottom + _AXIS,
        "Differences with 95 % intervals",
        f"B against A in {len(drawn)} metrics, better to the right. The table below has the figures.",
        parts,
    )


def bars(rows: Sequence[Row]) -> Element | None:
    """Draws seconds, tokens, dollars and the like of both runs as bars, each metric on a scale of its own.
    None when there is none."""
    drawn = [row for row in rows if row.difference is not None and fmt.unit_of(row) != fmt.SHARE]
    parts: list[Element | None] = []
    height = 2 * _BAR + 18
    for number, row in enumerate(drawn):
        top, change, unit = number * height + 6, row.difference, fmt.unit_of(row)
        if change is None:
            continue
        longest = max(abs(change.a), abs(change.b)) or 1.0
        parts += [
            _text(_LABELS - 12, top + _BAR, row.key, "label"),
            _text(_LABELS - 12, top + 2 * _BAR + 2, unit, "tick end"),
            _text(_WIDTH, top + _BAR + 5, _beside(row), f"label {colour(row)}"),
        ]
        for place, (run, value) in enumerate((("A", change.a), ("B", change.b))):
            width = abs(value) / longest * (_WIDTH - _LABELS - _FIGURES - 110)
            y = top + place * (_BAR + 2)
            parts += [
                element("rect", x=_LABELS, y=y, width=width, height=_BAR, class_=f"bar run-{run.lower()}"),
                _text(
                    _LABELS + width + 6,
                    y + _BAR - 2,
                    f"{run} {fmt.figure(value, fmt.unit_of(row))}",
                    "tick start",
                ),
            ]
    if not drawn:
        return None
    described = "Means of A and B, each metric on its own scale. The table of metrics has the figures."
    return _picture(len(drawn) * height + 8, "Counts, time, tokens and money", described, parts)


def _span(row: Row) -> tuple[float, float]:
    """The interval, turned like the improvement."""
    change, middle = row.difference, row.improvement or 0.0
    if change is None or change.low is None or change.high is None or row.metric is None:
        return middle, middle
    low, high = sorted(sign(row.metric) * end for end in (change.low, change.high))
    return low, high


def _beside(row: Row) -> str:
    change = None if row.difference is None else row.difference.difference
    mark = fmt.finding(row)[0] if row.verdict in ("better", "worse") else ""
    return f"{mark} {fmt.signed(change, fmt.unit_of(row))}".strip()


def _step(span: float) -> float:
    """A round distance between ticks: 1, 2 or 5 times a power of ten."""
    raw = span / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Element:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def _text(x: float, y: float, text: str, kind: str) -> Element:
    return element("text", text, x=x, y=y, class_=kind)


def _picture(height: float, title: str, described: str, parts: Sequence[Element | None]) -> Element:
    drawn = element("svg", element("title", title), element("desc", described), parts, role="img")
    drawn.set("viewBox", f"0 0 {_WIDTH} {height:g}")
    drawn.set("aria-label", f"{title}. {described}")
    return element("div", drawn, class_="scroll", tabindex="0", role="group", aria_label=title)

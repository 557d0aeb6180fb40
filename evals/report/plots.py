"""Plots as SVG: differences with their intervals, and bars of two runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lxml.etree import _Element as Element

from evals.report.changed import sign
from evals.report.compare import Row
from evals.report.format import SHARE, figure, finding, signed, unit_of
from evals.report.html_parts import element

_WIDTH, _LABELS, _FIGURES = 900, 250, 130
"""Widths of a plot, of its labels, and of the figures at its right."""
_ROW = 26
_AXIS = 44
_TICKS = 6
_RADIUS = 5
_BAR = 12
_VERDICT_CLASSES = {"better": "better", "worse": "worse"}


def colour(row: Row) -> str:
    """Returns the class that colours a row's verdict."""
    return _VERDICT_CLASSES.get(row.verdict, "plain")


def differences(rows: Sequence[Row]) -> Element | None:
    """Draws a forest plot of the shares: the change for the better is to the right, whichever way the
    metric runs. None when there is none with a difference and a direction."""
    drawn = [row for row in rows if row.improvement is not None and unit_of(row) == SHARE]
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
    parts += [_text(x(tick), bottom + 16, signed(tick, SHARE), "tick") for tick in ticks]
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
    drawn = [row for row in rows if row.difference is not None and unit_of(row) != SHARE]
    parts: list[Element | None] = []
    height = 2 * _BAR + 18
    for number, row in enumerate(drawn):
        top, found = number * height + 6, row.difference
        if found is None:
            continue
        longest = max(abs(found.a), abs(found.b)) or 1.0
        parts += [
            _text(_LABELS - 12, top + _BAR, row.key, "label"),
            _text(_LABELS - 12, top + 2 * _BAR + 2, unit_of(row), "tick end"),
            _text(_WIDTH, top + _BAR + 5, _beside(row), f"label {colour(row)}"),
        ]
        for place, (run, value) in enumerate((("A", found.a), ("B", found.b))):
            width = abs(value) / longest * (_WIDTH - _LABELS - _FIGURES - 110)
            y = top + place * (_BAR + 2)
            parts += [
                element("rect", x=_LABELS, y=y, width=width, height=_BAR, class_=f"bar run-{run.lower()}"),
                _text(
                    _LABELS + width + 6, y + _BAR - 2, f"{run} {figure(value, unit_of(row))}", "tick start"
                ),
            ]
    if not drawn:
        return None
    described = "Means of A and B, each metric on its own scale. The table of metrics has the figures."
    return _picture(len(drawn) * height + 8, "Counts, time, tokens and money", described, parts)


def _span(row: Row) -> tuple[float, float]:
    """The interval, turned like the improvement."""
    found, middle = row.difference, row.improvement or 0.0
    if found is None or found.low is None or found.high is None:
        return middle, middle
    way = 1 if row.metric is None else sign(row.metric)
    ends = sorted((way * found.low, way * found.high))
    return ends[0], ends[1]


def _beside(row: Row) -> str:
    change = None if row.difference is None else row.difference.difference
    mark = finding(row)[0] if row.verdict in _VERDICT_CLASSES else ""
    return f"{mark} {signed(change, unit_of(row))}".strip()


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

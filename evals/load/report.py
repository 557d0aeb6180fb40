"""The figures of a load test: from what the people, the model and the processes have noted.

`python -m evals.load.report` prints the table of the kept results, as Markdown, and draws their plot.
"""

from __future__ import annotations

import json
import statistics
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.table import Table

from evals.load.processes import Watch
from evals.load.standin_model import MARK
from tools.core.settings import CHECKOUT
from tools.core.terminal import Terminal

RESULTS = Path(str(files("evals.load") / "results"))
"""The results that docs/load.md shows."""
PLOT = CHECKOUT / "docs" / "load.svg"
SUCCESS = "result"
COLUMNS = (
    "what",
    "answered",
    "p50, p95, p99 (s)",
    "model's own p95 (s)",
    "added p50, p95 (s)",
    "first event p50, p95 (s)",
    "latest loop (s)",
    "CPU, cores",
    "kB a person",
)


def result(
    experiment: Mapping[str, Any],
    requests: Sequence[Mapping[str, Any]],
    counts: Mapping[str, Any],
    watch: Watch,
    *,
    wall_seconds: float,
    overrides: Mapping[str, str],
) -> dict[str, Any]:
    """Returns the result as JSON; times are seconds."""
    done = [line for line in requests if line["code"] == SUCCESS]
    model = [counts["seconds"].get(MARK % line["number"], 0.0) for line in done]
    codes = Counter(line["code"] for line in requests)
    wanted = experiment["people"] * experiment["generations"]
    return {
        "experiment": dict(experiment),
        "overrides": dict(overrides),
        "wanted": wanted,
        "answered": len(done),
        "failed": wanted - len(done),
        "codes": dict(codes.most_common()),
        "seconds": _quantiles(line["seconds"] for line in done),
        "seconds_of_the_model": _quantiles(model),
        "seconds_beside_the_model": _quantiles(
            line["seconds"] - slept for line, slept in zip(done, model, strict=True)
        ),
        "seconds_to_the_first_event": _quantiles(line["first_event"] for line in done if line["first_event"]),
        "seconds_to_a_refusal": _quantiles(
            line["seconds"] for line in requests if line["code"] == "overloaded"
        ),
        "late_seconds": _quantiles(watch.late_seconds),
        "wall_seconds": round(wall_seconds, 1),
        "generations_per_second": round(len(done) / wall_seconds, 2),
        "model": {name: counts[name] for name in ("answered", "unknown", "most_in_flight", "given_up")},
        "processes": watch.report(wall_seconds, len(done), experiment["people"]),
    }


def _quantiles(values: Iterable[float]) -> dict[str, float] | None:
    known = sorted(values)
    if not known:
        return None
    cuts = statistics.quantiles(known, n=100, method="inclusive") if len(known) > 1 else known * 99
    return {
        "p50": round(cuts[49], 3),
        "p95": round(cuts[94], 3),
        "p99": round(cuts[98], 3),
        "most": round(known[-1], 3),
    }


def rows(results: Iterable[Mapping[str, Any]]) -> list[list[str]]:
    """Returns the cells of each result's row, by COLUMNS."""
    return [_row(found) for found in results]


def _row(found: Mapping[str, Any]) -> list[str]:
    tried, processes = found["experiment"], found["processes"]
    service = [seen for name, seen in processes.items() if name.startswith("service")]
    cpu = [f"{name} {seen['cores']:.2f}" for name, seen in processes.items()]
    others = {code: count for code, count in found["codes"].items() if code != SUCCESS}
    refused = f" ({', '.join(f'{code} {count}' for code, count in others.items())})" if others else ""
    return [
        name_of(found),
        f"{found['answered']:,} of {found['wanted']:,}{refused}",
        _figures(found["seconds"], "p50", "p95", "p99"),
        _figures(found["seconds_of_the_model"], "p95"),
        _figures(found["seconds_beside_the_model"], "p50", "p95"),
        _figures(found["seconds_to_the_first_event"], "p50", "p95"),
        _figures(found["late_seconds"], "most"),
        ", ".join(cpu),
        f"{sum(seen['kb_per_person'] for seen in service):.0f}" if tried["people"] else "–",
    ]


def name_of(found: Mapping[str, Any]) -> str:
    """Returns what a result is of, in words."""
    tried = found["experiment"]
    scale = "" if tried["time_scale"] == 1 else f", time × {tried['time_scale']:g}"
    workers = "1 worker" if tried["workers"] == 1 else f"{tried['workers']} workers"
    tuned = "".join(f", {name}={value}" for name, value in found["overrides"].items())
    return f"{tried['mode']}, {tried['people']:,} people, {workers}, {tried['arrival']}{scale}{tuned}"


def _figures(quantiles: Mapping[str, float] | None, *names: str) -> str:
    return "–" if quantiles is None else ", ".join(f"{quantiles[name]:.2f}" for name in names)


def print_table(results: Sequence[Mapping[str, Any]], terminal: Terminal) -> None:
    """Prints a line for each figure of each result."""
    table = Table(title="load", show_header=False)
    for row in rows(results):
        for name, cell in zip(COLUMNS, row, strict=True):
            table.add_row(name, cell)
    terminal.print(table)


def plot(results: Sequence[Mapping[str, Any]]) -> str:
    """Returns an SVG: of each result a bar for the people who were answered and a mark at its p95, beside the
    model's own."""
    height, left, width = 34, 330, 420
    longest = max((found["seconds"]["p95"] for found in results if found["seconds"]), default=1.0)
    parts = []
    for number, found in enumerate(results):
        top = 30 + number * height
        share = found["answered"] / found["wanted"]
        parts.append(f'<text x="{left - 8}" y="{top + 15}" text-anchor="end">{escape(name_of(found))}</text>')
        parts.append(f'<rect x="{left}" y="{top + 3}" width="{width}" height="16" fill="#f2c7c0"/>')
        parts.append(
            f'<rect x="{left}" y="{top + 3}" width="{width * share:.1f}" height="16" fill="#7fb58b"/>'
            f'<text x="{left + 6}" y="{top + 15}">{share:.1%} answered</text>'
        )
        for quantiles, colour in ((found["seconds_of_the_model"], "#888"), (found["seconds"], "#1b4f8f")):
            if quantiles and quantiles["p95"]:
                at = left + width * quantiles["p95"] / longest
                parts.append(f'<path d="M{at:.1f} {top}v22" stroke="{colour}" stroke-width="3"/>')
    title = (
        f"share of people answered; p95 in blue, the model's own p95 in grey (full width: {longest:.0f} s)"
    )
    size = f"{left + width + 20} {40 + len(results) * height}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>'
        f'<text x="8" y="18">{title}</text>{"".join(parts)}</svg>\n'
    )


def main() -> None:
    """Draws the plot of the kept results and prints their table."""
    kept = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    PLOT.write_text(plot(kept))
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows(kept)]
    sys.stdout.writelines(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    main()

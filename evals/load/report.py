"""The figures of a load test: from what the people, the model and the processes have noted."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from rich.table import Table

from evals.load.processes import Watch
from evals.load.standin_model import MARK
from tools.core.terminal import Terminal

RESULTS = Path(str(files("evals.load") / "results"))
SUCCESS = "result"


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


def print_table(results: Sequence[Mapping[str, Any]], terminal: Terminal) -> None:
    """Prints what is most asked for of each result."""
    table = Table(title="load")
    for name in (
        "what",
        "answered",
        "p50",
        "p95",
        "p99",
        "beside the model p95",
        "first event p95",
        "late",
        "CPU",
    ):
        table.add_column(name)
    for found in results:
        tried = found["experiment"]
        cpu = ", ".join(f"{name} {seen['cores']:.2f}" for name, seen in found["processes"].items())
        table.add_row(
            f"{tried['mode']} {tried['people']} on {tried['workers']}, {tried['arrival']}, "
            f"time × {tried['time_scale']:g}",
            f"{found['answered']} of {found['wanted']}",
            *(_figure(found["seconds"], name) for name in ("p50", "p95", "p99")),
            _figure(found["seconds_beside_the_model"], "p95"),
            _figure(found["seconds_to_the_first_event"], "p95"),
            _figure(found["late_seconds"], "most"),
            cpu,
        )
        if set(found["codes"]) - {SUCCESS}:
            table.add_row(str(found["codes"]))
    terminal.print(table)


def _figure(quantiles: Mapping[str, float] | None, name: str) -> str:
    return "–" if quantiles is None else f"{quantiles[name]:.2f}"

"""What `checkerboard eval calibrate` and `eval prefer` do, and print."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rich.table import Table

from evals.judge.calibration import Calibration, calibrate
from evals.judge.evaluator import open_chat, skipped
from evals.judge.judge import Judge
from evals.judge.pairs import read_pairs
from evals.judge.preferring import Preferences, prefer
from evals.runs import results
from tools.core.errors import SetupError
from tools.core.settings import Settings
from tools.core.terminal import Terminal

_REASON = 100
"""Characters of a reason that are shown."""


async def show_calibration(settings: Settings) -> None:
    """Asks the judge about the labelled pairs and prints how far it agrees with the labels.

    Raises:
        SetupError: the offline model cannot judge.
        ModelUnavailableError: the model did not answer.
    """
    _require_model(settings)
    pairs = await asyncio.to_thread(read_pairs)
    async with open_chat(settings) as chat:
        found = await calibrate(Judge(chat), pairs)
    _print_calibration(found, chat.model_name)


async def show_preferences(settings: Settings, a: str, b: str, folder: Path | None) -> None:
    """Has the judge compare the first answers of two runs, and prints whose are better.

    Raises:
        SetupError: the offline model cannot judge.
        InvalidRequestError: there is no such result file, or nothing in common to compare.
        ModelUnavailableError: the model did not answer.
    """
    _require_model(settings)
    kept = folder or results.RESULTS
    runs = [results.read(results.find(name, kept)) for name in (a, b)]
    async with open_chat(settings) as chat:
        found = await prefer(Judge(chat), *runs)
    _print_preferences(found, a, b)


def _require_model(settings: Settings) -> None:
    if why := skipped(settings):
        raise SetupError(f"There is no judge: {why}.")


def _print_calibration(found: Calibration, model: str) -> None:
    console = Terminal()
    low, high = found.kappa_interval
    console.print(f"{model} on {found.pairs} labelled pairs", style="bold")
    console.print(f"agrees with {found.accuracy:.0%}, kappa {found.kappa:.2f} ({low:.2f} – {high:.2f})")
    console.print(f"ties {found.ties:.0%}, decided by their place {found.position_bias:.0%}")
    for trap, (accuracy, pairs) in found.by_trap.items():
        console.print(f"  {trap}: {accuracy:.0%} of {pairs}")
    if found.wrong or found.failed:
        console.print(f"against the label: {', '.join(found.wrong) or '-'}")
        console.print(f"without a verdict: {', '.join(found.failed) or '-'}")
    console.print(found.refusal or "It may guard a metric.", style="yellow" if found.refusal else "green")


def _print_preferences(found: Preferences, a: str, b: str) -> None:
    console = Terminal()
    share = found.share_b
    between = "too few cases" if share.low is None else f"{share.low:.0%} – {share.high:.0%}"
    console.print(f"{a} better {found.a}, {b} better {found.b}, ties {found.ties}")
    console.print(f"share of {b}: {share.mean:.0%} ({between}; ties count half)")
    console.print(f"decided by their place, and so ties: {found.one_place}")
    table = Table("case", "better", "why", box=None)
    for case_id, verdict in found.by_case.items():
        named = {"a": a, "b": b, "tie": "tie"}[verdict.better]
        table.add_row(case_id, named, verdict.reasons[0][:_REASON])
    console.print(table)
    if found.failed:
        console.print(f"without a verdict: {', '.join(found.failed)}", style="yellow")

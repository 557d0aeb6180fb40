"""Latency, tokens and money."""

from __future__ import annotations

from collections import Counter

from evals.evaluators.base import Metric, Score, absent, number
from evals.evaluators.reading import Json

METRICS = {
    "seconds_first": Metric("lower", "wall time of the first answer", unit="s", tolerance=0.5),
    "seconds_regeneration": Metric("lower", "wall time of a regeneration, mean", unit="s", tolerance=0.5),
    "tokens_in": Metric("lower", "input tokens a generation", unit="tokens", tolerance=200),
    "tokens_out": Metric("lower", "output tokens a generation", unit="tokens", tolerance=100),
    "usd": Metric("lower", "price of a generation", unit="USD", tolerance=0.0005),
    "calls": Metric("lower", "model calls a generation", unit="calls", tolerance=0.3),
    "paid_twice": Metric(
        "lower", "calls that asked the same again", unit="calls", guarded=True, tolerance=0.0
    ),
}

_UNTOLD = "an API did not tell its tokens"


def cost(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores what the answers took. Lower is better throughout; errors count in, they cost as well.

    `seconds_first`, `seconds_regeneration`: wall time in seconds; the second is a mean, None without one.
    `tokens_in`, `tokens_out`, `usd`, `calls`: of all paid calls, divided by the turns that were run (first
    answer and regenerations alike). A call answered from the ledger (`replayed`) is not paid. Tokens and
    `usd` are None when those of one call are unknown.
    `paid_twice`: paid calls that asked what a paid call of the same turn had asked before, by the hash of
    what was asked (`tools/llm/journal.py`).

    They cannot see prompt caching, and latency is that of the machine and the hour: compare only runs
    made side by side.
    """
    seconds = list(outputs.get("seconds") or [])
    calls = list(outputs.get("calls") or [])
    paid = [call for call in calls if not call["replayed"]]
    later = seconds[1:]
    timed = [
        number("seconds_first", seconds[0]) if seconds else absent("seconds_first", "not timed"),
        number("seconds_regeneration", sum(later) / len(later))
        if later
        else absent("seconds_regeneration", "no regeneration"),
    ]
    if not calls:
        return [*timed, *(absent(key, "no calls recorded") for key in list(METRICS)[2:])]
    turns = max(1, len(seconds))
    asked = Counter((call["turn"], call["purpose"], call["question"]) for call in paid)
    again = {key: count - 1 for key, count in asked.items() if count > 1}
    return [
        *timed,
        _tokens("tokens_in", [call["input_tokens"] for call in paid], turns),
        _tokens("tokens_out", [call["output_tokens"] for call in paid], turns),
        _usd(paid, turns),
        number("calls", len(paid) / turns),
        number("paid_twice", sum(again.values()), ", ".join(f"turn {key[0]} {key[1]}" for key in again)),
    ]


def _usd(paid: list[Json], turns: int) -> Score:
    if any(call["input_tokens"] is None or call["output_tokens"] is None for call in paid):
        return absent("usd", _UNTOLD)
    unpriced = sorted({str(call["model"]) for call in paid if call["usd"] is None})
    if unpriced:
        return absent("usd", f"price unknown: {', '.join(unpriced)}")
    return number("usd", sum(call["usd"] for call in paid) / turns)


def _tokens(key: str, counts: list[int | None], turns: int) -> Score:
    told = [count for count in counts if count is not None]
    if len(told) < len(counts):
        return absent(key, _UNTOLD)
    return number(key, sum(told) / turns)

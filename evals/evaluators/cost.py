"""Latency, tokens and money."""

from __future__ import annotations

from collections import Counter

from evals.evaluators.base import Json, Metric, Score, absent, all_absent, number

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

_NOT_REPORTED = "an API did not tell its tokens"


def cost(inputs: Json, outputs: Json, reference_outputs: Json) -> list[Score]:
    """Scores what the answers cost. Errors count in: they cost as well.

    `seconds_first`, `seconds_regeneration`: wall time in seconds; the second is a mean, None without one.
    `tokens_in`, `tokens_out`, `usd`, `calls`: of all paid calls, divided by the turns that were run (first
    answer and regenerations alike). A call answered from the response journal (`replayed`) is not paid.
    Tokens and `usd` are None when those of one call are unknown.
    `paid_twice`: paid calls that repeat a paid call of the same turn, by the hash of the question.

    Cannot see prompt caching. Latency is that of the machine and the hour: compare runs made side by side.
    """
    seconds, calls = list(outputs.get("seconds") or []), list(outputs.get("calls") or [])
    paid = [call for call in calls if not call["replayed"]]
    timed = [
        _mean("seconds_first", seconds[:1], "not timed"),
        _mean("seconds_regeneration", seconds[1:], "no regeneration"),
    ]
    if not calls:
        return [*timed, *all_absent(list(METRICS)[2:], "no calls recorded")]
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


def _mean(key: str, seconds: list[float], none: str) -> Score:
    return number(key, sum(seconds) / len(seconds)) if seconds else absent(key, none)


def _usd(paid: list[Json], turns: int) -> Score:
    if any(call["input_tokens"] is None or call["output_tokens"] is None for call in paid):
        return absent("usd", _NOT_REPORTED)
    unpriced = sorted({str(call["model"]) for call in paid if call["usd"] is None})
    if unpriced:
        return absent("usd", f"price unknown: {', '.join(unpriced)}")
    return number("usd", sum(call["usd"] for call in paid) / turns)


def _tokens(key: str, counts: list[int | None], turns: int) -> Score:
    known = [count for count in counts if count is not None]
    return number(key, sum(known) / turns) if len(known) == len(counts) else absent(key, _NOT_REPORTED)

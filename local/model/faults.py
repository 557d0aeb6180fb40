"""Latency and faults, set from outside, and the count of calls by outcome."""

from __future__ import annotations

import asyncio
import copy
import random
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from local.model.protocol import ApiError, ClientDisconnectedError

EMBEDDINGS = "embeddings"
"""The name of embedding calls in faults and counters."""
BATCHES = "batches"
"""The name of whole batches in faults; the calls in them have the name of their schema."""
TEXT = "text"
"""The name of chat calls without a schema."""
TIMEOUT_SECONDS = 600.0
"""How long a call with the fault `timeout` is held: the OpenAI client's own default limit."""
MAX_ROWS = 1_000
UNKNOWN_POSTING = "p-0000000000"
UNKNOWN_QUOTE = "이 문장은 어떤 공고에도 없습니다 (offline model, fault unknown_posting)"

FaultKind = Literal[
    "rate_limit",
    "server_error",
    "timeout",
    "cut_stream",
    "invalid_json",
    "schema_violation",
    "repeat_rejected",
    "unknown_posting",
    "batch_failed",
    "batch_expired",
]
_ANY_CALL = frozenset({"rate_limit", "server_error", "timeout", "cut_stream"})
_BATCH_ONLY = frozenset({"batch_failed", "batch_expired"})


class _Setting(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Latency(_Setting):
    """Seconds that an answer takes: a normal distribution cut at 0; without deviation, constant."""

    mean_seconds: float = Field(0.0, ge=0, le=TIMEOUT_SECONDS)
    deviation_seconds: float = Field(0.0, ge=0, le=TIMEOUT_SECONDS)


class Fault(_Setting):
    """Something that goes wrong with the calls it matches; the first that matches a call is taken.

    Without `schema` it matches every call that its kind can happen to: an embedding has no JSON of a schema,
    and a rejected subject needs a prompt that has one.
    """

    kind: FaultKind
    schema_name: str | None = Field(
        None, alias="schema", description="schema name, `text`, `embeddings` or `batches`"
    )
    times: int | None = Field(None, ge=1, description="how often; unset: without limit")
    probability: float = Field(1.0, ge=0, le=1)
    retry_after_seconds: float = Field(1.0, ge=0, description="of `rate_limit`: its Retry-After header")


class FaultConfig(_Setting):
    """The body of `PUT /offline/behaviour`; the default is no latency and no faults."""

    latency: Latency = Latency()
    embedding_latency: Latency = Latency()
    chunk_seconds: float = Field(
        0.0, ge=0, le=TIMEOUT_SECONDS, description="of a stream: the time from one event to the next"
    )
    faults: list[Fault] = []
    seed: int | None = Field(None, description="makes latencies and probabilities repeat")


class FaultInjector:
    """Draws latencies and faults as the current config says."""

    def __init__(self, config: FaultConfig) -> None:
        self.set(config)

    def set(self, config: FaultConfig) -> None:
        """Replaces the config; its faults are counted from the start."""
        self.config = config
        self._left = [fault.times for fault in config.faults]
        self._random = random.Random(config.seed)  # noqa: S311  (a simulation, not a secret)

    def latency(self, name: str) -> float:
        """Draws the seconds that a call of schema `name` takes."""
        drawn = self.config.embedding_latency if name == EMBEDDINGS else self.config.latency
        return max(0.0, self._random.gauss(drawn.mean_seconds, drawn.deviation_seconds))

    def fault(self, name: str, blocks: Mapping[str, list[dict[str, Any]]]) -> Fault | None:
        """Returns what goes wrong with a call of schema `name`, and takes one off its `times`."""
        for place, fault in enumerate(self.config.faults):
            left = self._left[place]
            if left == 0 or not _applies(fault, name, blocks):
                continue
            if self._random.random() >= fault.probability:
                continue
            if left is not None:
                self._left[place] = left - 1
            return fault
        return None


def _applies(fault: Fault, name: str, blocks: Mapping[str, list[dict[str, Any]]]) -> bool:
    if fault.schema_name not in (None, name):
        return False
    if name == BATCHES or fault.kind in _BATCH_ONLY:
        return name == BATCHES and fault.kind in _BATCH_ONLY
    if fault.kind in _ANY_CALL:
        return True
    if fault.kind == "repeat_rejected":
        return name == "SubjectProposals" and bool(blocks.get("rejected"))
    return name not in (EMBEDDINGS, TEXT)


def error_of(fault: Fault) -> ApiError | None:
    """Returns the error that a call with this fault ends in; None where it has an answer all the same."""
    if fault.kind == "rate_limit":
        return ApiError(
            "Rate limit reached (offline model, simulated).",
            status=429,
            kind="requests",
            code="rate_limit_exceeded",
            headers={"Retry-After": f"{fault.retry_after_seconds:g}"},
        )
    if fault.kind == "server_error":
        return ApiError(
            "The server had an error (offline model, simulated).", status=500, kind="server_error"
        )
    if fault.kind == "timeout":
        return ApiError("No answer in time (offline model, simulated).", status=504, kind="server_error")
    return None


def corrupt(
    answer: dict[str, Any], kind: FaultKind, blocks: Mapping[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """Returns a copy of `answer` with the fault `kind` in it; kinds that concern no value change none."""
    corrupted = copy.deepcopy(answer)
    if kind == "schema_violation":
        _violate(corrupted)
    elif kind == "unknown_posting":
        _cite_unknown(corrupted)
    elif kind == "repeat_rejected":
        corrupted["subjects"] = [
            {**subject, **{key: row[key] for key in subject if key in row}}
            for subject, row in zip(corrupted["subjects"], cycle(blocks["rejected"]), strict=False)
        ]
    return corrupted


def _violate(answer: dict[str, Any]) -> None:
    """Removes a key of the first object that has two, and gives another a value of a wrong type."""
    victim = next((found for found in _objects(answer) if len(found) > 1), answer)
    first, *others = victim
    last = others[-1] if others else "unexpected"
    del victim[first]
    victim[last] = 7 if isinstance(victim.get(last), str) else "wrong"


def _cite_unknown(answer: dict[str, Any]) -> None:
    for found in _objects(answer):
        for key in found:
            if key == "posting_id":
                found[key] = UNKNOWN_POSTING
            elif key == "posting_ids":
                found[key] = [UNKNOWN_POSTING]
            elif key == "quote":
                found[key] = UNKNOWN_QUOTE


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in inner:
        yield from _objects(item)


@dataclass(slots=True)
class Call:
    """One call. `started` and `finished` are Unix seconds.

    `outcome` is `in_flight`, then `answered`, `cancelled`, `error` or the kind of its fault. A
    client that gives up on a `timeout` counts as that fault, not as cancelled.
    """

    n: int
    schema: str
    started: float
    stream: bool
    model: str
    finished: float | None = None
    outcome: str = "in_flight"


class _Counts:
    def __init__(self) -> None:
        self.by_schema: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.rows: deque[Call] = deque(maxlen=MAX_ROWS)


class Calls:
    """Counts every valid call, and has the last 1,000 as rows."""

    def __init__(self) -> None:
        self._counts = _Counts()
        self._in_flight = 0

    def reset(self) -> None:
        """Starts from zero. Calls in flight stay in flight and are not counted again."""
        self._counts = _Counts()

    @contextmanager
    def track(self, schema: str, model: str, *, stream: bool = False) -> Iterator[Call]:
        """Counts one call. The body sets its `outcome`; a client that leaves raises nothing further."""
        counts = self._counts
        counts.by_schema[schema] += 1
        call = Call(counts.by_schema.total(), schema, time.time(), stream, model)
        counts.rows.append(call)
        self._in_flight += 1
        ended = "error"
        try:
            yield call
        except ClientDisconnectedError:
            ended = "cancelled"
        except asyncio.CancelledError:
            ended = "cancelled"
            raise
        finally:
            if call.outcome == "in_flight":
                call.outcome = ended
            call.finished = time.time()
            counts.outcomes[call.outcome] += 1
            self._in_flight -= 1

    def add_tokens(self, prompt: int, completion: int = 0) -> None:
        """Adds the estimated tokens of an answer."""
        self._counts.prompt_tokens += prompt
        self._counts.completion_tokens += completion

    def as_json(self) -> dict[str, Any]:
        """Returns the counters and the rows, oldest first."""
        counts = self._counts
        plain = {"answered", "cancelled", "error"}
        return {
            "total": counts.by_schema.total(),
            "by_schema": dict(counts.by_schema),
            "answered": counts.outcomes["answered"],
            "cancelled": counts.outcomes["cancelled"],
            "error": counts.outcomes["error"],
            "failed": {kind: n for kind, n in counts.outcomes.items() if kind not in plain},
            "in_flight": self._in_flight,
            "prompt_tokens": counts.prompt_tokens,
            "completion_tokens": counts.completion_tokens,
            "calls": [asdict(row) for row in counts.rows],
        }

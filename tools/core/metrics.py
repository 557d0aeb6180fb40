"""What this process counts for Prometheus. `/metrics` shows it (`serve/metrics.py`), of all worker processes
together; docs/operations.md explains each figure.

Labels are names and codes of the service, never what people, models or documents wrote, so that there are few
of each.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 90, 120, 180, 300)

RUNS = Counter(
    "checkerboard_runs",
    "Runs that have ended. `outcome`: succeeded, left (nobody waited any more), or the error's code.",
    ["kind", "outcome"],
)
RUN_SECONDS = Histogram(
    "checkerboard_run_seconds", "How long runs took that succeeded.", ["kind"], buckets=_SECONDS
)
RUNS_IN_FLIGHT = Gauge(
    "checkerboard_runs_in_flight", "Runs that have begun and not ended.", multiprocess_mode="livesum"
)
FIRST_EVENT_SECONDS = Histogram(
    "checkerboard_first_event_seconds",
    "From the begin of a run that is watched to its first event.",
    buckets=_SECONDS,
)
NODE_SECONDS = Histogram(
    "checkerboard_node_seconds",
    "How long a node of the graph took, models included.",
    ["node"],
    buckets=_SECONDS,
)
TURN_WAIT_SECONDS = Histogram(
    "checkerboard_turn_wait_seconds", "How long runs waited for their turn to work.", buckets=_SECONDS
)
QUEUE_WAIT_SECONDS = Histogram(
    "checkerboard_queue_wait_seconds",
    "From when a background run was asked for to its begin by a worker.",
    buckets=_SECONDS,
)
OVERLOADED = Counter("checkerboard_overloaded", "Requests that found no place: 503 `overloaded`.")
RATE_LIMITED = Counter(
    "checkerboard_rate_limited",
    "Requests that a limit refused: 429 `rate_limited`. `limit`: which; `by`: key or address.",
    ["limit", "by"],
)

MODEL_CALLS = Counter(
    "checkerboard_model_calls",
    "Calls of models. `outcome`: answered, replayed (from the journal, at no cost), or the error's code.",
    ["purpose", "model", "outcome"],
)
MODEL_SECONDS = Histogram(
    "checkerboard_model_seconds",
    "How long models took to answer, retries included.",
    ["purpose", "model"],
    buckets=_SECONDS,
)
MODEL_TOKENS = Counter(
    "checkerboard_model_tokens",
    "Tokens as the API counted them. `direction`: input or output.",
    ["purpose", "model", "prompt", "direction"],
)
MODEL_COST = Counter(
    "checkerboard_model_cost_usd",
    "What they cost in USD by the model's standard price; nothing where it is not known.",
    ["purpose", "model", "prompt"],
)
MODEL_CIRCUITS_OPEN = Gauge(
    "checkerboard_model_circuits_open",
    "Circuits to a model that are open or half open: how many workers do not ask it, because it is down.",
    ["model"],
    multiprocess_mode="livesum",
)
MODEL_PAUSES = Counter(
    "checkerboard_model_pauses",
    "Pauses that a model's API asked for: 429 with `Retry-After`.",
    ["model"],
)
ANSWERS_REFUSED = Counter(
    "checkerboard_model_answers_refused",
    "Answers that broke their schema or failed a check, and went back to the model.",
    ["purpose"],
)
SUBJECTS_REFUSED = Counter(
    "checkerboard_subjects_refused", "Proposed subjects that repeat one of their session."
)
QUOTES_DROPPED = Counter("checkerboard_quotes_dropped", "Quotes that do not stand in their posting.")
CACHE = Counter(
    "checkerboard_cache_requests",
    "Questions to a cache. `outcome`: hits, shared (another was making it), misses, failures.",
    ["cache", "outcome"],
)

LOOP_LAG_SECONDS = Histogram(
    "checkerboard_loop_lag_seconds",
    "How late the event loop of a worker was, looked at twice a second.",
    buckets=_SECONDS[:11],
)
DATABASE_CONNECTIONS = Gauge(
    "checkerboard_database_connections",
    "Connections to PostgreSQL. `state`: used, idle; `waiting` are requests that wait for one.",
    ["state"],
    multiprocess_mode="livesum",
)
REDIS_CONNECTIONS = Gauge(
    "checkerboard_redis_connections",
    "Connections to Redis. `state`: used, idle.",
    ["state"],
    multiprocess_mode="livesum",
)
REQUESTS = Counter(
    "checkerboard_http_requests",
    "Requests, by route. `status`: none where the client left before the answer.",
    ["method", "route", "status"],
)
STREAMS_OPEN = Gauge(
    "checkerboard_streams_open", "Event streams that somebody reads.", multiprocess_mode="livesum"
)


@dataclass(frozen=True, slots=True)
class StoreFigure:
    """A figure that a store knows: it is asked when somebody looks, and is the same whichever service of
    these stores is asked (`serve/store_figures.py`)."""

    name: str
    documentation: str
    labels: tuple[str, ...] = ()


RUNS_QUEUED = StoreFigure(
    "checkerboard_runs_queued", "Background runs that wait for a worker to begin them, over all workers."
)
INGEST_DOCUMENTS = StoreFigure(
    "checkerboard_ingest_documents",
    "Documents by how far they are: collected, parsed, tagged, embedded, loaded, or set aside.",
    ("source", "stage"),
)
INGEST_MOVED = StoreFigure(
    "checkerboard_ingest_moved_timestamp_seconds",
    "When a document of the source came to a stage or failed last, in seconds since 1970.",
    ("source",),
)
INGEST_PAGES = StoreFigure(
    "checkerboard_ingest_pages",
    "Pages that parsers read, of the documents that there are.",
    ("source",),
)
INGEST_TOKENS = StoreFigure(
    "checkerboard_ingest_tokens",
    "Tokens that the documents have cost that there are. `direction`: input or output.",
    ("source", "direction"),
)
INGEST_COST = StoreFigure(
    "checkerboard_ingest_cost_usd",
    "What they have cost in USD by the standard prices; nothing where one is not known.",
    ("source",),
)

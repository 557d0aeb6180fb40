"""What Redis holds of background runs. Every change of a run is one step with the event that tells of it.

| key | what |
|---|---|
| `run:{id}` | hash: what was asked, by whom, its state, times and error, and how many events it has had |
| `run-events:{id}` | stream: its newest MAX_EVENTS events |
| `session-runs:{id}` | sorted set: the runs of a session |
| `queued-runs:{queue}` | sorted set: the runs that have not begun yet, by when they were asked for |
| `open-runs:{queue}` | sorted set: the runs that have not ended |

The id of an event is `{milliseconds}-{number}`: Redis orders by it, and the numbers have no gap, so that a
reader sees where one is. `attempts` of the hash is the fencing token of the worker that does the run.

All expire with the session, `session_ttl_minutes` after the last change of the run. Each event is announced
on the channel of its stream's name (`signals.py`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from redis.asyncio import Redis
from structlog.contextvars import get_contextvars

from graph.sessions.record import events_key, run_key, runs_key
from serve.limits.counts import RELEASE
from serve.server_sent import one_line_json
from tools.core.errors import OverloadedError, RunNotFoundError

MAX_EVENTS = 1_000
"""Of a run, so many events are kept. One has forty; one that is resumed again and again has more."""
State = Literal["queued", "running", "succeeded", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("succeeded", "failed", "cancelled")
Kind = Literal["generate", "regenerate"]

_APPEND = f"""
local function append(run, events, kind, event)
  local number = redis.call('HINCRBY', run, 'events', 1)
  local now = redis.call('TIME')
  local newest = tonumber(redis.call('HGET', run, 'newest') or 0)
  local at = string.format('%.0f', math.max(now[1] * 1000 + math.floor(now[2] / 1000), newest))
  redis.call('HSET', run, 'newest', at)
  redis.call('XADD', events, 'MAXLEN', {MAX_EVENTS}, at .. '-' .. number, 'type', kind, 'event', event)
end
local function announce(run, events, seconds)
  redis.call('EXPIRE', run, seconds)
  redis.call('EXPIRE', events, seconds)
  redis.call('PUBLISH', events, '')
end
local function has_ended(state)
  return state == 'succeeded' or state == 'failed' or state == 'cancelled'
end
"""
"""Events are numbered, and never older than the one before, whatever becomes of the clock."""
_CREATE = (
    _APPEND
    + """
local run, events, of_session, queued, open = unpack(KEYS)
local id, seconds, now, bound, kind, event = unpack(ARGV, 1, 6)
if redis.call('EXISTS', run) == 1 then return 'there' end
-- What has expired waits no more.
redis.call('ZREMRANGEBYSCORE', queued, '-inf', now - seconds)
redis.call('ZREMRANGEBYSCORE', open, '-inf', now - seconds)
if redis.call('ZCARD', queued) >= tonumber(bound) then return 'full' end
redis.call('HSET', run, unpack(ARGV, 7))
for _, set in ipairs({of_session, queued, open}) do redis.call('ZADD', set, now, id) end
redis.call('EXPIRE', of_session, seconds)
append(run, events, kind, event)
announce(run, events, seconds)
return 'made'
"""
)
_BEGIN = (
    _APPEND
    + """
local run, events, queued, open = unpack(KEYS)
local id, seconds, now, generation, worker, kind, event = unpack(ARGV)
local state = redis.call('HGET', run, 'state')
redis.call('ZREM', queued, id)
if not state or has_ended(state) or redis.call('HGET', run, 'generation') ~= generation then return false end
redis.call('ZADD', open, now, id)
local attempt = redis.call('HINCRBY', run, 'attempts', 1)
redis.call('HSETNX', run, 'started_at', now)
redis.call('HSET', run, 'worker', worker, 'state', 'running')
if state == 'running' then
  redis.call('HINCRBY', run, 'losses', 1)
  -- Whoever watches has seen a part of what is told again from here on.
  append(run, events, kind, event)
end
announce(run, events, seconds)
local counted = redis.call('HMGET', run, 'events', 'losses')
return {attempt, tonumber(counted[1]), tonumber(counted[2] or 0)}
"""
)
"""Begins an attempt, whose number is its fencing token: what an earlier attempt still says is refused."""
_TELL = (
    _APPEND
    + """
local run, events = unpack(KEYS)
local seconds, attempt, told = unpack(ARGV, 1, 3)
local current = redis.call('HMGET', run, 'attempts', 'state')
if current[1] ~= attempt or current[2] ~= 'running' then return -1 end
-- Some have arrived already where the answer to an earlier try did not.
local there = math.max(redis.call('HGET', run, 'events') - told, 0)
for i = 4 + 2 * there, #ARGV, 2 do append(run, events, ARGV[i], ARGV[i + 1]) end
announce(run, events, seconds)
return tonumber(redis.call('HGET', run, 'events'))
"""
)
_SETTLE = (
    _APPEND
    + RELEASE
    + """
local run, events, queued, open = unpack(KEYS)
local id, seconds, attempt, state, now, failure, kind, event = unpack(ARGV)
local before = redis.call('HGET', run, 'state')
if not before or has_ended(before) then return 0 end
if attempt ~= '' and (redis.call('HGET', run, 'attempts') ~= attempt or before ~= 'running') then return 0 end
redis.call('HSET', run, 'state', state, 'error', failure)
if has_ended(state) then
  redis.call('HSET', run, 'ended_at', now)
  local limited = redis.call('HGET', run, 'limited')
  if limited and limited ~= '' then release(limited, id) end
  redis.call('ZREM', queued, id)
  redis.call('ZREM', open, id)
end
append(run, events, kind, event)
announce(run, events, seconds)
return 1
"""
)
"""Ends a run and what it holds of its caller's limits, or gives it back to the queue; `attempt` is empty
where anybody may."""
_RESUME = (
    _APPEND
    + """
local run, events, queued, open = unpack(KEYS)
local id, seconds, now, bound, limited, kind, event = unpack(ARGV)
local state = redis.call('HGET', run, 'state')
if state ~= 'failed' and state ~= 'cancelled' then return 'as it was' end
if redis.call('ZCARD', queued) >= tonumber(bound) then return 'full' end
redis.call('HSET', run, 'state', 'queued', 'error', '', 'ended_at', '', 'limited', limited)
redis.call('HINCRBY', run, 'generation', 1)
for _, set in ipairs({queued, open}) do redis.call('ZADD', set, now, id) end
append(run, events, kind, event)
announce(run, events, seconds)
return 'resumed'
"""
)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run as Redis has it. Times are seconds since 1970."""

    run_id: str
    owner: str
    session_id: str
    kind: Kind
    input: Mapping[str, Any]
    state: State
    created_at: float
    started_at: float | None
    ended_at: float | None
    attempts: int
    """How often a worker has begun it: the fencing token of the one that does it."""
    generation: int
    """How often it was handed to the queue: once, and once more with each resume."""
    worker: str
    """The lease of the worker that began it last (`graph/sessions/lease.py`)."""
    error: Mapping[str, Any] | None
    limited: str
    """By whose limits it counts (`serve/limits/`); empty where nothing limits them."""
    events: int
    """The number of its newest event."""
    request_id: str
    """The request that asked for it (`serve/request_ids.py`); empty of one that an earlier version stored."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt at a run."""

    attempt: int
    """Its number among the run's attempts."""
    events: int
    """The number of the run's newest event when it began."""
    losses: int
    """How many workers have died with the run."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event of a run as it is streamed. `id` is None where the reader's place does not change by it."""

    id: str | None
    type: str
    event: bytes
    """`{"type", "node", "elapsed_ms", "data"}` as JSON on one line."""

    @property
    def number(self) -> int:
        """Its place among the events of the run, counted from 1; 0 without an id."""
        return number_of(self.id)

    def as_json(self) -> dict[str, Any]:
        """Returns the event as it was written."""
        written: dict[str, Any] = orjson.loads(self.event)
        return written


def number_of(event_id: str | None) -> int:
    """Returns the number of the event with this id; 0 of none."""
    return int(event_id.partition("-")[2]) if event_id else 0


def event_of(kind: str, data: Any = None, *, id: str | None = None) -> StoredEvent:  # noqa: A002 - as SSE has it
    """Returns an event that no node has told of."""
    return StoredEvent(id, kind, one_line_json({"type": kind, "node": None, "elapsed_ms": 0, "data": data}))


class RunStore:
    """The records and events of runs."""

    def __init__(self, redis: Redis, *, ttl_seconds: int, queue: str, bound: int) -> None:
        """`queue` names the queue whose runs are counted; at most `bound` of them wait."""
        self._redis = redis
        self._ttl_seconds = ttl_seconds
        self._queued, self._open = f"queued-runs:{queue}", f"open-runs:{queue}"
        self._bound = bound

    async def create(
        self,
        run_id: str,
        *,
        owner: str,
        session_id: str,
        kind: Kind,
        asked: Mapping[str, Any],
        limited: str = "",
    ) -> bool:
        """Writes a new run; False where there is one with this id.

        Raises:
            OverloadedError: as many runs wait as may.
        """
        fields = {
            "owner": owner,
            "session_id": session_id,
            "kind": kind,
            "input": orjson.dumps(asked),
            "state": "queued",
            "created_at": time.time(),
            "generation": 1,
            "limited": limited,
            "request_id": get_contextvars().get("request_id", ""),
        }
        outcome = await self._eval(
            _CREATE,
            (run_key(run_id), events_key(run_id), runs_key(session_id), self._queued, self._open),
            run_id,
            self._ttl_seconds,
            time.time(),
            self._bound,
            *_told(event_of("queued", {"session_id": session_id})),
            *(part for pair in fields.items() for part in pair),
        )
        if outcome == b"full":
            raise OverloadedError
        return bool(outcome == b"made")

    async def get(self, run_id: str) -> RunRecord:
        """Returns a run.

        Raises:
            RunNotFoundError: there is none.
        """
        fields: Any = await self._redis.hgetall(run_key(run_id))
        record = _record(run_id, fields)
        if record is None:
            raise RunNotFoundError
        return record

    async def of_session(self, session_id: str) -> list[RunRecord]:
        """Returns the runs of a session, newest first."""
        listed: Any = await self._redis.zrevrange(runs_key(session_id), 0, -1)
        ids = [run_id.decode() for run_id in listed]
        async with self._redis.pipeline(transaction=False) as pipe:
            for run_id in ids:
                pipe.hgetall(run_key(run_id))
            found = await pipe.execute()
        records = [_record(run_id, fields) for run_id, fields in zip(ids, found, strict=True)]
        return [record for record in records if record is not None]

    async def has(self, run_id: str) -> bool:
        """Whether there is a run with this id."""
        return bool(await self._redis.exists(run_key(run_id)))

    async def open_before(self, moment: float) -> list[str]:
        """Returns the runs that have not ended and whose last attempt, if any, began before `moment`."""
        listed: Any = await self._redis.zrangebyscore(self._open, "-inf", moment)
        return [run_id.decode() for run_id in listed]

    async def count_queued(self) -> int:
        """Returns how many runs wait to be begun."""
        since = time.time() - self._ttl_seconds  # what is older has expired
        waiting: int = await self._redis.zcount(self._queued, since, "+inf")
        return waiting

    async def close(self, run_id: str) -> None:
        """Forgets that a run waits or is open which is not there any more."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for listed in (self._queued, self._open):
                pipe.zrem(listed, run_id)
            await pipe.execute()

    async def result(self, run_id: str) -> Any:
        """Returns the answer of a run that has succeeded: the data of its last event; None where that is
        gone."""
        last: Any = await self._redis.xrevrange(events_key(run_id), count=1)
        event = _stored(*last[0]).as_json() if last else {"type": None}
        return event["data"] if event["type"] == "result" else None

    async def begin(self, record: RunRecord, generation: int, worker: str) -> Begun | None:
        """Notes that `worker` begins a run; returns the attempt, None where there is nothing to do: the run
        has ended or is gone, or `generation` is an earlier one."""
        begun = await self._eval(
            _BEGIN,
            (*self._keys(record.run_id), self._queued, self._open),
            record.run_id,
            self._ttl_seconds,
            time.time(),
            generation,
            worker,
            *_told(event_of("queued", {"session_id": record.session_id})),
        )
        return Begun(*begun) if begun else None

    async def tell(self, run_id: str, attempt: int, told: int, events: Sequence[Mapping[str, Any]]) -> int:
        """Appends events of an attempt. Asked again with the same `told`, it appends what is missing.

        Args:
            run_id: the run.
            attempt: its attempt.
            told: the number of the newest event before these.
            events: progress events.

        Returns:
            The number of the newest event now; -1: the attempt is over, and nothing was appended.
        """
        written = [part for event in events for part in (event["type"], one_line_json(event))]
        number: int = await self._eval(_TELL, self._keys(run_id), self._ttl_seconds, attempt, told, *written)
        return number

    async def settle(
        self,
        run_id: str,
        state: State,
        event: StoredEvent,
        *,
        attempt: int | None = None,
        error: Mapping[str, Any] | None = None,
    ) -> bool:
        """Ends a run, or gives it back to the queue, with its event; False where the attempt is over, or the
        run has ended."""
        return bool(
            await self._eval(
                _SETTLE,
                (*self._keys(run_id), self._queued, self._open),
                run_id,
                self._ttl_seconds,
                "" if attempt is None else attempt,
                state,
                time.time(),
                orjson.dumps(error) if error else b"",
                *_told(event),
            )
        )

    async def resume(self, record: RunRecord, limited: str = "") -> None:
        """Lets a run that failed or was cancelled wait again, `limited` by whose limits; any other
        stays as it is.

        Raises:
            OverloadedError: as many runs wait as may.
        """
        outcome = await self._eval(
            _RESUME,
            (*self._keys(record.run_id), self._queued, self._open),
            record.run_id,
            self._ttl_seconds,
            time.time(),
            self._bound,
            limited,
            *_told(event_of("queued", {"session_id": record.session_id})),
        )
        if outcome == b"full":
            raise OverloadedError

    async def read(
        self, run_id: str, after: str | None, count: int
    ) -> tuple[list[StoredEvent], State | None, int]:
        """Returns the next events after the one with the id `after`, at most `count`; the state of the run,
        None where it is gone; and the number of its newest event."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.xrange(events_key(run_id), min=f"({after}" if after else "-", count=count)
            pipe.hmget(run_key(run_id), "state", "events")
            entries, (state, newest) = await pipe.execute()
        events = [_stored(*entry) for entry in entries]
        return events, state.decode() if state else None, int(newest or 0)

    def _keys(self, run_id: str) -> tuple[str, str]:
        return run_key(run_id), events_key(run_id)

    async def _eval(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:
        return await self._redis.eval(script, len(keys), *keys, *arguments)


def _told(event: StoredEvent) -> tuple[str, bytes]:
    return event.type, event.event


def _stored(entry_id: bytes, fields: Mapping[bytes, bytes]) -> StoredEvent:
    return StoredEvent(entry_id.decode(), fields[b"type"].decode(), fields[b"event"])


def _record(run_id: str, fields: Mapping[bytes, bytes]) -> RunRecord | None:
    if b"state" not in fields:
        return None
    given = {name.decode(): value.decode() for name, value in fields.items()}

    def moment(name: str) -> float | None:
        return float(given[name]) if given.get(name) else None

    return RunRecord(
        run_id=run_id,
        owner=given["owner"],
        session_id=given["session_id"],
        kind=given["kind"],  # type: ignore[arg-type]  # one of Kind was written
        input=orjson.loads(given["input"]),
        state=given["state"],  # type: ignore[arg-type]  # one of State was written
        created_at=float(given["created_at"]),
        started_at=moment("started_at"),
        ended_at=moment("ended_at"),
        attempts=int(given.get("attempts", 0)),
        generation=int(given["generation"]),
        worker=given.get("worker", ""),
        error=orjson.loads(given["error"]) if given.get("error") else None,
        limited=given.get("limited", ""),
        events=int(given.get("events", 0)),
        request_id=given.get("request_id", ""),
    )

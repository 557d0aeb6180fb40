"""What Redis counts of those who are limited. Every answer is one step of Redis, by its own clock, so the
counts are exact over all workers. Money is in millionths of a US dollar.

| key | what |
|---|---|
| `limit-requests:{principal}` | list: when the requests of the last minute came, newest first |
| `limit-holds:{principal}` | hash: of each run in flight its worker, begin, and reserved tokens and money |
| `limit-held:{principal}` | hash: how many runs, tokens and money these are together |
| `limit-tokens:{principal}:{day}` | tokens that have been used on a day, in UTC |
| `limit-money:{principal}:{month}` | money that has been spent in a month, in UTC |

A run whose worker is dead (`worker:{id}`, the lease of graph/sessions/lease.py), or that has ended
(`run:{id}`, serve/runs/store.py), holds nothing. That is looked at before anybody is refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.asyncio import Redis

from serve.keys.store import Limits
from serve.limits.principals import Principal
from tools.core import metrics
from tools.core.errors import LimitName, RateLimitedError

MINUTE_MS = 60_000
AGAIN_SECONDS = 5
"""When to come again where a run in flight has to end first: nobody knows when it does."""
BEGINNING_MS = 10_000
"""So long a background run holds its share though there is no record of it that says that it goes on: it is
written a moment later."""
PRUNE_MS = 1_000
"""How often the runs in flight of one principal are looked through at most."""
KEEP_SECONDS = 2 * 86_400
"""How long Redis keeps what is in flight after the last run has begun."""

RELEASE = """
local function release(principal, id)
  local holds, held = 'limit-holds:' .. principal, 'limit-held:' .. principal
  local hold = redis.call('HGET', holds, id)
  if not hold then return 0 end
  redis.call('HDEL', holds, id)
  local tokens, money = string.match(hold, '|(%d+)|(%d+)$')
  redis.call('HINCRBY', held, 'runs', -1)
  redis.call('HINCRBY', held, 'tokens', string.format('%.0f', 0 - tokens))
  redis.call('HINCRBY', held, 'money', string.format('%.0f', 0 - money))
  return 1
end
"""
"""Gives back what a run holds; other scripts that end a run do so with it (serve/runs/store.py)."""
_CHARGE = """
local function charge(key, amount, until_)
  if tonumber(amount) > 0 then
    redis.call('INCRBY', key, amount)
    redis.call('EXPIREAT', key, until_)
  end
end
"""
_RESERVE = (
    RELEASE
    + _CHARGE
    + f"""
local requests, holds, held, day, month = unpack(KEYS)
local principal, worker, day_ends, month_ends, tokens, money = unpack(ARGV, 1, 6)
local asked = tonumber(ARGV[7])
local most_requests, most_runs, most_tokens, most_money = unpack(ARGV, 8, 11)
most_requests, most_runs = tonumber(most_requests), tonumber(most_runs)
most_tokens, most_money = tonumber(most_tokens), tonumber(most_money)
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function left_of_requests()
  if not most_requests then return 0, 0 end
  local oldest = redis.call('LINDEX', requests, -1)
  while oldest and tonumber(oldest) <= now - {MINUTE_MS} do
    redis.call('RPOP', requests)
    oldest = redis.call('LINDEX', requests, -1)
  end
  local left = most_requests - redis.call('LLEN', requests)
  return left, oldest and oldest + {MINUTE_MS} - now or {MINUTE_MS}
end

local fresh = {{}}
for i = 12, #ARGV do
  if redis.call('HEXISTS', holds, ARGV[i]) == 0 then table.insert(fresh, ARGV[i]) end
end

-- What is left of runs, tokens and money, and how much of the latter two runs in flight hold.
local function left_of_runs()
  local in_flight = redis.call('HMGET', held, 'runs', 'tokens', 'money')
  for i = 1, 3 do in_flight[i] = tonumber(in_flight[i]) or 0 end
  return (most_runs or 0) - in_flight[1],
    (most_tokens or 0) - (tonumber(redis.call('GET', day)) or 0),
    (most_money or 0) - (tonumber(redis.call('GET', month)) or 0),
    in_flight[2], in_flight[3]
end

-- What there is too little of, and whether the end of a run in flight will do.
local function lacking(runs, of_tokens, of_money, held_tokens, held_money)
  if most_runs and runs < #fresh then return 'runs_at_once', 1 end
  if most_tokens and (of_tokens <= 0 or of_tokens - held_tokens < #fresh * tokens) then
    return 'tokens_per_day', of_tokens > 0 and of_tokens >= #fresh * tokens and 1 or 0
  end
  if most_money and (of_money <= 0 or of_money - held_money < #fresh * money) then
    return 'usd_per_month', of_money > 0 and of_money >= #fresh * money and 1 or 0
  end
end

local function prune()
  local last = tonumber(redis.call('HGET', held, 'looked')) or 0
  if now - last < {PRUNE_MS} then return false end
  redis.call('HSET', held, 'looked', string.format('%.0f', now))
  redis.call('EXPIRE', held, {KEEP_SECONDS})
  local lives = {{}}
  local all = redis.call('HGETALL', holds)
  for i = 1, #all, 2 do
    local id = all[i]
    local whose, at, its_tokens, its_money = string.match(all[i + 1], '^(%x*)|(%d+)|(%d+)|(%d+)$')
    if whose == '' then
      local state = redis.call('HGET', 'run:' .. id, 'state')
      local goes_on = state == 'queued' or state == 'running'
      if not goes_on and now - at > {BEGINNING_MS} then release(principal, id) end
    else
      if lives[whose] == nil then lives[whose] = redis.call('EXISTS', 'worker:' .. whose) == 1 end
      if not lives[whose] then
        -- Nobody can say any more what it has cost.
        release(principal, id)
        charge(day, its_tokens, day_ends)
        charge(month, its_money, month_ends)
      end
    end
  end
  return true
end

local left, resets = left_of_requests()
local of_requests = most_requests and left or false
if most_requests and left < asked then
  local leaves = redis.call('LINDEX', requests, left - asked)
  local wait = leaves and leaves + {MINUTE_MS} - now or -1
  return {{'requests_per_minute', wait, of_requests, resets, false, false, false}}
end
local runs, of_tokens, of_money, held_tokens, held_money = left_of_runs()
local function answer(what, passes, begun)
  return {{
    what, passes, of_requests, resets,
    most_runs and runs - begun or false,
    most_tokens and of_tokens - held_tokens - begun * tokens or false,
    most_money and of_money - held_money - begun * money or false
  }}
end
if #fresh > 0 then
  local what, passes = lacking(runs, of_tokens, of_money, held_tokens, held_money)
  if what and prune() then
    runs, of_tokens, of_money, held_tokens, held_money = left_of_runs()
    what, passes = lacking(runs, of_tokens, of_money, held_tokens, held_money)
  end
  if what then return answer(what, passes, 0) end
end
if most_requests then
  for _ = 1, asked do redis.call('LPUSH', requests, string.format('%.0f', now)) end
  redis.call('PEXPIRE', requests, {MINUTE_MS})
  of_requests = left - asked
end
for _, id in ipairs(fresh) do
  redis.call('HSET', holds, id, worker .. '|' .. string.format('%.0f', now) .. '|' .. tokens .. '|' .. money)
  redis.call('HINCRBY', held, 'runs', 1)
  redis.call('HINCRBY', held, 'tokens', tokens)
  redis.call('HINCRBY', held, 'money', money)
end
if #fresh > 0 then
  redis.call('EXPIRE', holds, {KEEP_SECONDS})
  redis.call('EXPIRE', held, {KEEP_SECONDS})
end
return answer('', 0, #fresh)
"""
)
"""Counts a request and reserves for its runs, all or nothing; a run that holds something already counts no
more. Returns what there is too little of, when there is again, and what is left of each."""
_SETTLE = (
    RELEASE
    + _CHARGE
    + """
local day, month = unpack(KEYS)
local principal, id, day_ends, month_ends, tokens, money, reserved_tokens, reserved_money = unpack(ARGV)
if id ~= '' and release(principal, id) == 0 then
  -- Its worker was taken for dead, and what was reserved counts as used already.
  tokens = math.max(0, tokens - reserved_tokens)
  money = math.max(0, money - reserved_money)
end
charge(day, string.format('%.0f', tokens), day_ends)
charge(month, string.format('%.0f', money), month_ends)
"""
)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run uses: tokens, and millionths of a US dollar."""

    tokens: int = 0
    micro_usd: int = 0


NOTHING = Cost()


@dataclass(frozen=True, slots=True)
class Left:
    """What is left to a principal after a request, None where it is not limited in that."""

    limits: Limits
    requests: int | None
    requests_reset_seconds: int
    """When the oldest request of the last minute is a minute old."""
    runs: int | None
    tokens: int | None
    micro_usd: int | None
    at: datetime

    def headers(self) -> dict[str, str]:
        """Returns the fields `RateLimit-Policy` and `RateLimit` of an answer."""
        limits, policies, now = self.limits, [], []
        if limits.requests_per_minute is not None:
            policies.append(f'"requests-per-minute";q={limits.requests_per_minute};w=60')
            now.append(f'"requests-per-minute";r={self.requests};t={self.requests_reset_seconds}')
        if limits.runs_at_once is not None and self.runs is not None:
            policies.append(f'"runs-at-once";q={limits.runs_at_once};qu="concurrent-requests"')
            now.append(f'"runs-at-once";r={self.runs}')
        if limits.tokens_per_day is not None and self.tokens is not None:
            policies.append(f'"tokens-per-day";q={limits.tokens_per_day};qu="tokens";w=86400')
            now.append(f'"tokens-per-day";r={self.tokens};t={_seconds_until(_day_ends(self.at), self.at)}')
        if limits.usd_per_month is not None and self.micro_usd is not None:
            policies.append(f'"us-cents-per-month";q={round(limits.usd_per_month * 100)};qu="us-cents"')
            left = self.micro_usd // 10_000
            now.append(f'"us-cents-per-month";r={left};t={_seconds_until(_month_ends(self.at), self.at)}')
        return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(now)} if now else {}


class LimitCounts:
    """The counts of all principals, for one worker."""

    def __init__(self, redis: Redis, worker_id: str, estimate: Cost) -> None:
        """`worker_id` is that of the worker's lease; `estimate` what is reserved for a run."""
        self._redis = redis
        self._worker_id = worker_id
        self._estimate = estimate

    def reserved_for(self, limits: Limits) -> Cost:
        """Returns what is reserved for a run. Of a limit below the estimate it is all: one run may begin."""
        tokens, micro_usd = limits.tokens_per_day, _micro_usd(limits)
        return Cost(
            self._estimate.tokens if tokens is None else min(self._estimate.tokens, tokens),
            self._estimate.micro_usd if micro_usd is None else min(self._estimate.micro_usd, micro_usd),
        )

    async def reserve(
        self,
        principal: Principal,
        run_ids: Sequence[str] = (),
        *,
        requests: int = 1,
        background: bool = False,
    ) -> tuple[Left, RateLimitedError | None]:
        """Counts a request, and reserves for its runs. Returns what is left, and a refusal where that is too
        little: nothing is counted then.

        Args:
            principal: who asks.
            run_ids: its runs; none for a request that runs nothing.
            requests: as how many requests it counts.
            background: its runs have records of their own, and do not end with this worker.

        Raises:
            redis.exceptions.RedisError: Redis does not answer.
        """
        limits, now = principal.limits, datetime.now(UTC)
        reserved = self.reserved_for(limits)
        name = principal.name
        most = (limits.requests_per_minute, limits.runs_at_once, limits.tokens_per_day, _micro_usd(limits))
        answer: Any = await self._redis.eval(
            _RESERVE,
            5,
            f"limit-requests:{name}",
            f"limit-holds:{name}",
            f"limit-held:{name}",
            *_periods(name, now),
            name,
            "" if background else self._worker_id,
            *_ends(now),
            reserved.tokens,
            reserved.micro_usd,
            requests,
            *("" if value is None else value for value in most),
            *run_ids,
        )
        lacking, wait, *counted = answer
        requests_left, resets, *of_runs = (None if value is None else max(0, value) for value in counted)
        # What a request that runs nothing asks for needs none of these.
        runs, tokens, micro_usd = of_runs if run_ids else (None, None, None)
        left = Left(limits, requests_left, math.ceil((resets or 0) / 1000), runs, tokens, micro_usd, now)
        if not lacking:
            return left, None
        limit: LimitName = lacking.decode()
        metrics.RATE_LIMITED.labels(limit, principal.by).inc()
        return left, _refusal(limit, wait, left)

    async def settle(self, principal: str, cost: Cost, *, run_id: str = "", reserved: Cost = NOTHING) -> None:
        """Counts what a run has cost, and, where it is named, gives back what was reserved for it.

        Raises:
            redis.exceptions.RedisError: Redis does not answer; it may be asked again.
        """
        now = datetime.now(UTC)
        await self._redis.eval(
            _SETTLE,
            2,
            *_periods(principal, now),
            principal,
            run_id,
            *_ends(now),
            cost.tokens,
            cost.micro_usd,
            reserved.tokens,
            reserved.micro_usd,
        )


def _refusal(limit: LimitName, wait: int, left: Left) -> RateLimitedError:
    """Returns the error of somebody who has too little left. `wait`: of requests the milliseconds until there
    are enough, negative where there never are; of all else whether the end of a run will do."""
    seconds: int | None = AGAIN_SECONDS
    match limit:
        case "requests_per_minute":
            seconds = max(1, math.ceil(wait / 1000)) if wait >= 0 else None
        case "tokens_per_day" if not wait:
            seconds = _seconds_until(_day_ends(left.at), left.at)
        case "usd_per_month" if not wait:
            seconds = _seconds_until(_month_ends(left.at), left.at)
    allowed = getattr(left.limits, limit)
    return RateLimitedError(retry_after_seconds=seconds, limit=limit, allowed=float(allowed))


def _micro_usd(limits: Limits) -> int | None:
    return None if limits.usd_per_month is None else round(limits.usd_per_month * 1_000_000)


def _periods(principal: str, now: datetime) -> tuple[str, str]:
    """Returns the keys of what is used in the day and in the month."""
    return f"limit-tokens:{principal}:{now:%Y-%m-%d}", f"limit-money:{principal}:{now:%Y-%m}"


def _ends(now: datetime) -> tuple[int, int]:
    """Returns until when Redis keeps these: an hour more, for clocks that differ."""
    return round(_day_ends(now).timestamp()) + 3_600, round(_month_ends(now).timestamp()) + 3_600


def _day_ends(now: datetime) -> datetime:
    return now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)


def _month_ends(now: datetime) -> datetime:
    first = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (first + timedelta(days=32)).replace(day=1)


def _seconds_until(moment: datetime, now: datetime) -> int:
    return math.ceil((moment - now).total_seconds())

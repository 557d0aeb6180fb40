"""A circuit breaker: a model that is down is not asked, until one call has found out that it answers again.

Closed, every call passes. Open, none does, and nobody waits for a connection or a time-out. Half open, one
call passes as the trial: its answer closes the circuit, its failure opens it for as long again.
"""

from __future__ import annotations

import logging
import time
from typing import Any, Literal

from tools.core import metrics
from tools.llm.model_errors import NotAskedError

logger = logging.getLogger(__name__)

FAILURES = 5
"""Tries in a row that a model has to fail."""
SPREAD = 0.2
"""Over how much time at least, in parts of the time that the circuit stays open. A gateway that is restarted
cuts all its connections in one moment, and answers half a second later, when the calls try again."""

State = Literal["closed", "open", "half_open"]


class CircuitBreaker:
    """The circuit to one model at one endpoint, as this process has found it. For one event loop."""

    def __init__(self, model: str, open_seconds: float) -> None:
        self.model = model
        self._open_seconds = open_seconds
        self._failures = 0
        self._failing_since = 0.0
        self._opened_at: float | None = None
        self._in_trial = False

    @property
    def state(self) -> State:
        """Closed, open, or half open: the next call, or one that is on its way, is the trial."""
        if self._opened_at is None:
            return "closed"
        return "half_open" if self._in_trial or not self._left() else "open"

    def enter(self) -> bool:
        """Lets a try pass; returns whether it is the trial. It has to end with `answered`, `failed` or
        `gave_up`.

        Raises:
            NotAskedError: the circuit is open, or another try is the trial.
        """
        if self._opened_at is None:
            return False
        left = self._left()
        if left or self._in_trial:
            raise NotAskedError("circuit_open", left or self._open_seconds)
        self._in_trial = True
        logger.info("a model that was down is tried", extra={"model": self.model})
        return True

    def answered(self, trial: bool) -> None:
        """The model has answered, if only that it refuses the request. A late answer from before the circuit
        opened does not close it."""
        if trial:
            self._opened_at, self._in_trial = None, False
            metrics.MODEL_CIRCUITS_OPEN.labels(self.model).dec()
            logger.warning("a model that was down answers again", extra={"model": self.model})
        if self._opened_at is None:
            self._failures = 0

    def failed(self, trial: bool, since: float) -> None:
        """The model has failed; `since` when (`time.monotonic()`) that is known of, which for a time-out is
        from its beginning."""
        now = time.monotonic()
        if trial:
            self._opened_at, self._in_trial = now, False
            logger.warning("a model is still down", extra={"model": self.model})
        if self._opened_at is not None:
            return
        self._failing_since = min(self._failing_since, since) if self._failures else since
        self._failures += 1
        if self._failures >= FAILURES and now - self._failing_since >= SPREAD * self._open_seconds:
            self._opened_at = now
            metrics.MODEL_CIRCUITS_OPEN.labels(self.model).inc()
            logger.error(
                "a model is down and not asked for a while",
                extra={"model": self.model, "failures": self._failures, "seconds": self._open_seconds},
            )

    def gave_up(self, trial: bool) -> None:
        """Nobody waits for the try any more: of the model it says nothing, and the next one is the trial."""
        if trial:
            self._in_trial = False

    def report(self) -> dict[str, Any]:
        """Returns the state, the failures in a row before it opened, and the seconds until the trial."""
        left = round(self._left(), 1)
        return {"state": self.state, "failures": self._failures, "seconds_left": left}

    def _left(self) -> float:
        if self._opened_at is None:
            return 0.0
        return max(0.0, self._opened_at + self._open_seconds - time.monotonic())

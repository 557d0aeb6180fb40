"""OpenAI's Batch API: a file of chat requests in, files of answers and of errors out."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ValidationError

from local.model import ApiError
from local.model.behaviour import BATCHES, Conduct, Fault
from local.model.files import Files

MAX_REQUESTS = 50_000
"""Requests in one batch, as with OpenAI."""
BATCHES_KEPT = 100
WINDOW_SECONDS = 24 * 3600
_ERRORS_SHOWN = 20

Answering = Callable[[dict[str, Any]], Awaitable[tuple[int, dict[str, Any]]]]
"""Answers the body of a chat request: the HTTP status and the answer's body."""


class BatchRequest(BaseModel):
    """The body of `POST /v1/batches`."""

    input_file_id: str
    endpoint: Literal["/v1/chat/completions"]
    completion_window: Literal["24h"]
    metadata: dict[str, str] | None = None


class _Line(BaseModel):
    custom_id: str
    method: Literal["POST"]
    url: str
    body: dict[str, Any]


class Batches:
    """The batches of one server; each is worked off in a task of its own."""

    def __init__(self, files: Files, conduct: Conduct, answer: Answering) -> None:
        self._files = files
        self._conduct = conduct
        self._answer = answer
        self._batches: dict[str, dict[str, Any]] = {}
        self._working: dict[str, asyncio.Task[None]] = {}

    def create(self, asked: BatchRequest) -> dict[str, Any]:
        """Begins a batch and returns it.

        Raises:
            ApiError: 404, there is no such file; 429, too many batches are under way.
        """
        content = self._files.get(asked.input_file_id).content
        if len(self._working) >= BATCHES_KEPT:
            raise ApiError("Too many batches are under way.", status=429, code="batch_limit_exceeded")
        now = int(time.time())
        batch: dict[str, Any] = {
            "id": f"batch_{uuid.uuid4().hex[:24]}",
            "object": "batch",
            "endpoint": asked.endpoint,
            "input_file_id": asked.input_file_id,
            "completion_window": asked.completion_window,
            "status": "validating",
            "created_at": now,
            "expires_at": now + WINDOW_SECONDS,
            "metadata": asked.metadata,
            "errors": None,
            "output_file_id": None,
            "error_file_id": None,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
        }
        for old in list(self._batches)[: len(self._batches) + 1 - BATCHES_KEPT]:
            if old not in self._working:
                del self._batches[old]
        self._batches[batch["id"]] = batch
        task = asyncio.create_task(self._work_off(batch, content, self._conduct.fault(BATCHES, {})))
        self._working[batch["id"]] = task
        task.add_done_callback(lambda _: self._working.pop(batch["id"], None))
        return batch

    def get(self, batch_id: str) -> dict[str, Any]:
        """Returns a batch.

        Raises:
            ApiError: 404, there is none of this id.
        """
        if batch_id not in self._batches:
            raise ApiError(f"No batch found with id '{batch_id}'.", status=404, param="id")
        return self._batches[batch_id]

    def listed(self, after: str | None, limit: int) -> dict[str, Any]:
        """Returns a page of the batches, newest first, that follow `after`."""
        newest = list(reversed(self._batches.values()))
        ids = [batch["id"] for batch in newest]
        start = ids.index(after) + 1 if after in ids else 0
        data = newest[start : start + limit]
        return {
            "object": "list",
            "data": data,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
            "has_more": start + limit < len(newest),
        }

    def cancel(self, batch_id: str) -> dict[str, Any]:
        """Asks a batch to end, and returns it; what it has answered is written out.

        Raises:
            ApiError: 404, there is none of this id; 409, it has ended.
        """
        batch = self.get(batch_id)
        if batch_id not in self._working:
            raise ApiError(f"Cannot cancel a batch with status '{batch['status']}'.", status=409)
        _turn(batch, "cancelling")
        return batch

    async def close(self) -> None:
        """Ends all work."""
        tasks = list(self._working.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work_off(self, batch: dict[str, Any], content: bytes, fault: Fault | None) -> None:
        await asyncio.sleep(self._conduct.latency(BATCHES) / 2)
        lines, errors = await asyncio.to_thread(_validated, content, batch["endpoint"])
        if fault is not None and fault.kind == "batch_failed":
            errors = [_problem("token_limit_exceeded", "Enqueued token limit reached (simulated).", None)]
        if errors:
            batch["errors"] = {"object": "list", "data": errors[:_ERRORS_SHOWN]}
            _turn(batch, "failed")
            return
        counts = batch["request_counts"]
        counts["total"] = len(lines)
        if batch["status"] != "cancelling":
            _turn(batch, "in_progress")
        await asyncio.sleep(self._conduct.latency(BATCHES) / 2)
        expired = fault is not None and fault.kind == "batch_expired"
        done: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        for number, line in enumerate(lines):
            if batch["status"] == "cancelling" or (expired and 2 * number >= len(lines)):
                failed.append(_unanswered(line, "cancelled" if not expired else "expired"))
            else:
                status, body = await self._answer(line.body)
                (done if status == 200 else failed).append(_answered(line, status, body))  # noqa: PLR2004
            counts["completed"], counts["failed"] = len(done), len(failed)
            await asyncio.sleep(0)
        cancelled = batch["status"] == "cancelling"
        if not cancelled:
            _turn(batch, "finalizing")
        batch["output_file_id"] = self._written(f"{batch['id']}_output.jsonl", done)
        batch["error_file_id"] = self._written(f"{batch['id']}_error.jsonl", failed)
        _turn(batch, "cancelled" if cancelled else "expired" if expired else "completed")

    def _written(self, name: str, rows: list[dict[str, Any]]) -> str | None:
        content = b"".join(orjson.dumps(row) + b"\n" for row in rows)
        return self._files.add(name, "batch_output", content).id if rows else None


def _turn(batch: dict[str, Any], status: str) -> None:
    batch["status"] = status
    batch[f"{status}_at"] = int(time.time())


def _validated(content: bytes, endpoint: str) -> tuple[list[_Line], list[dict[str, Any]]]:
    lines: list[_Line] = []
    errors: list[dict[str, Any]] = []
    seen: set[str] = set()
    for number, raw in enumerate(content.splitlines(), start=1):
        try:
            line = _Line.model_validate_json(raw)
        except ValidationError:
            errors.append(_problem("invalid_json_line", "This line is not parseable as a request.", number))
            continue
        if line.url != endpoint:
            errors.append(_problem("mismatched_url", f"The url is not the batch's, {endpoint}.", number))
        if line.custom_id in seen:
            errors.append(_problem("duplicate_custom_id", f"{line.custom_id!r} came before.", number))
        if lines and line.body.get("model") != lines[0].body.get("model"):
            errors.append(_problem("mismatched_model", "A batch has one model.", number))
        seen.add(line.custom_id)
        lines.append(line)
    if not lines and not errors:
        errors.append(_problem("empty_file", "The file has no requests.", None))
    if len(lines) > MAX_REQUESTS:
        errors.append(_problem("max_requests_exceeded", f"The limit is {MAX_REQUESTS} requests.", None))
    return lines, errors


def _problem(code: str, message: str, line: int | None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": None, "line": line}


def _answered(line: _Line, status: int, body: dict[str, Any]) -> dict[str, Any]:
    response = {"status_code": status, "request_id": uuid.uuid4().hex, "body": body}
    return {**_identity(line), "response": response, "error": None}


def _unanswered(line: _Line, why: str) -> dict[str, Any]:
    error = {"code": f"batch_{why}", "message": f"This request was not executed: the batch was {why}."}
    return {**_identity(line), "response": None, "error": error}


def _identity(line: _Line) -> dict[str, str]:
    return {"id": f"batch_req_{uuid.uuid4().hex[:24]}", "custom_id": line.custom_id}

"""OpenAI's files and Batch API, in memory: uploads, batches of chat requests, and their result files."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.message import Message
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.model.faults import BATCHES, Fault, FaultInjector
from local.model.protocol import ApiError, json_response, read_body, read_request

FILE_LIMIT = 32 * 1024 * 1024
"""Longest file, bytes; OpenAI's own limit for a batch is 200 MB."""
STORE_LIMIT = 64 * 1024 * 1024
"""Bytes of all files together: the oldest make room."""
_EXPIRES_SECONDS = 30 * 24 * 3600

_DISPOSITION = re.compile(
    rb"content-disposition:[^\r\n]*?\bname=\"([^\"]*)\"(?:[^\r\n]*?filename=\"([^\"]*)\")?", re.I
)

_ENVELOPE = 64 * 1024
"""Bytes of an upload that are not the file."""
_LONGEST_PAGE = 100
MAX_REQUESTS = 50_000
"""Requests in one batch, as with OpenAI."""
MAX_BATCHES = 100
WINDOW_SECONDS = 24 * 3600
_ERRORS_SHOWN = 20

AnswerRequest = Callable[[dict[str, Any]], Awaitable[tuple[int, dict[str, Any]]]]
"""Answers the body of a chat request: the HTTP status and the answer's body."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file. `created` is in Unix seconds."""

    id: str
    name: str
    purpose: str
    content: bytes
    created: int

    def as_json(self) -> dict[str, Any]:
        """Returns OpenAI's file object."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": self.created,
            "expires_at": self.created + _EXPIRES_SECONDS,
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
            "status_details": None,
        }


class Files:
    """The files of one server."""

    def __init__(self) -> None:
        self._files: dict[str, StoredFile] = {}

    def add(self, name: str, purpose: str, content: bytes) -> StoredFile:
        """Stores a file; the oldest are dropped when there is no room.

        Raises:
            ApiError: 413, the file is longer than FILE_LIMIT.
        """
        if len(content) > FILE_LIMIT:
            raise ApiError(f"The file is longer than {FILE_LIMIT} bytes.", status=413, code="file_too_large")
        while self._files and len(content) + sum(len(f.content) for f in self._files.values()) > STORE_LIMIT:
            del self._files[next(iter(self._files))]
        stored = StoredFile(f"file-{uuid.uuid4().hex[:24]}", name, purpose, content, int(time.time()))
        self._files[stored.id] = stored
        return stored

    def get(self, file_id: str) -> StoredFile:
        """Returns a file.

        Raises:
            ApiError: 404, there is none of this id.
        """
        if file_id not in self._files:
            raise ApiError(f"No such File object: {file_id}", status=404, param="id")
        return self._files[file_id]

    def delete(self, file_id: str) -> dict[str, Any]:
        """Deletes a file and returns OpenAI's answer to that.

        Raises:
            ApiError: 404, there is none of this id.
        """
        del self._files[self.get(file_id).id]
        return {"id": file_id, "object": "file", "deleted": True}

    def listed(self) -> dict[str, Any]:
        """Returns the list of all files, newest first."""
        data = [stored.as_json() for stored in reversed(self._files.values())]
        return {"object": "list", "data": data, "has_more": False}


def read_upload(content_type: str, body: bytes) -> tuple[str, str, bytes]:
    """Returns (name, purpose, content) of an upload in `multipart/form-data`.

    Raises:
        ApiError: 400, it is none, or a part is missing.
    """
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise ApiError("The body has to be multipart/form-data.", code="invalid_content_type")
    fields: dict[str, bytes] = {}
    name = "file"
    for part in body.split(b"--" + boundary.encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        match = _DISPOSITION.search(head)
        if match is not None:
            fields[match[1].decode()] = content.removesuffix(b"\r\n")
            name = (match[2] or name.encode()).decode() if match[1] == b"file" else name
    for required in ("file", "purpose"):
        if required not in fields:
            raise ApiError(f"'{required}' is a required property", param=required)
    return name, fields["purpose"].decode(), fields["file"]


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
    """The batches of one server; each is processed in a task of its own."""

    def __init__(self, files: Files, faults: FaultInjector, answer: AnswerRequest) -> None:
        self._files = files
        self._faults = faults
        self._answer = answer
        self._batches: dict[str, dict[str, Any]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def create(self, request: BatchRequest) -> dict[str, Any]:
        """Starts a batch and returns it.

        Raises:
            ApiError: 404, there is no such file; 429, too many batches are under way.
        """
        content = self._files.get(request.input_file_id).content
        if len(self._tasks) >= MAX_BATCHES:
            raise ApiError("Too many batches are under way.", status=429, code="batch_limit_exceeded")
        now = int(time.time())
        batch: dict[str, Any] = {
            "id": f"batch_{uuid.uuid4().hex[:24]}",
            "object": "batch",
            "endpoint": request.endpoint,
            "input_file_id": request.input_file_id,
            "completion_window": request.completion_window,
            "status": "validating",
            "created_at": now,
            "expires_at": now + WINDOW_SECONDS,
            "metadata": request.metadata,
            "errors": None,
            "output_file_id": None,
            "error_file_id": None,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
        }
        for old in list(self._batches)[: len(self._batches) + 1 - MAX_BATCHES]:
            if old not in self._tasks:
                del self._batches[old]
        self._batches[batch["id"]] = batch
        task = asyncio.create_task(self._process(batch, content, self._faults.fault(BATCHES, {})))
        self._tasks[batch["id"]] = task
        task.add_done_callback(lambda _: self._tasks.pop(batch["id"], None))
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
        """Cancels a batch and returns it; the answers so far are written out.

        Raises:
            ApiError: 404, there is none of this id; 409, it has ended.
        """
        batch = self.get(batch_id)
        if batch_id not in self._tasks:
            raise ApiError(f"Cannot cancel a batch with status '{batch['status']}'.", status=409)
        _set_status(batch, "cancelling")
        return batch

    async def close(self) -> None:
        """Ends all work."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _process(self, batch: dict[str, Any], content: bytes, fault: Fault | None) -> None:
        await asyncio.sleep(self._faults.latency(BATCHES) / 2)
        lines, errors = await asyncio.to_thread(_parse_lines, content, batch["endpoint"])
        if fault is not None and fault.kind == "batch_failed":
            errors = [_error("token_limit_exceeded", "Enqueued token limit reached (simulated).", None)]
        if errors:
            batch["errors"] = {"object": "list", "data": errors[:_ERRORS_SHOWN]}
            _set_status(batch, "failed")
            return
        counts = batch["request_counts"]
        counts["total"] = len(lines)
        if batch["status"] != "cancelling":
            _set_status(batch, "in_progress")
        await asyncio.sleep(self._faults.latency(BATCHES) / 2)
        expired = fault is not None and fault.kind == "batch_expired"
        done: list[dict[str, Any]] = []
        failed: list[dict[str, Any]] = []
        for number, line in enumerate(lines):
            if batch["status"] == "cancelling" or (expired and 2 * number >= len(lines)):
                failed.append(_failed_line(line, "cancelled" if not expired else "expired"))
            else:
                status, body = await self._answer(line.body)
                (done if status == 200 else failed).append(_answered_line(line, status, body))  # noqa: PLR2004
            counts["completed"], counts["failed"] = len(done), len(failed)
            await asyncio.sleep(0)
        cancelled = batch["status"] == "cancelling"
        if not cancelled:
            _set_status(batch, "finalizing")
        batch["output_file_id"] = self._write(f"{batch['id']}_output.jsonl", done)
        batch["error_file_id"] = self._write(f"{batch['id']}_error.jsonl", failed)
        _set_status(batch, "cancelled" if cancelled else "expired" if expired else "completed")

    def _write(self, name: str, rows: list[dict[str, Any]]) -> str | None:
        content = b"".join(orjson.dumps(row) + b"\n" for row in rows)
        return self._files.add(name, "batch_output", content).id if rows else None


def _set_status(batch: dict[str, Any], status: str) -> None:
    batch["status"] = status
    batch[f"{status}_at"] = int(time.time())


def _parse_lines(content: bytes, endpoint: str) -> tuple[list[_Line], list[dict[str, Any]]]:
    lines: list[_Line] = []
    errors: list[dict[str, Any]] = []
    seen: set[str] = set()
    for number, raw in enumerate(content.splitlines(), start=1):
        try:
            line = _Line.model_validate_json(raw)
        except ValidationError:
            errors.append(_error("invalid_json_line", "This line is not parseable as a request.", number))
            continue
        if line.url != endpoint:
            errors.append(_error("mismatched_url", f"The url is not the batch's, {endpoint}.", number))
        if line.custom_id in seen:
            errors.append(_error("duplicate_custom_id", f"{line.custom_id!r} came before.", number))
        if lines and line.body.get("model") != lines[0].body.get("model"):
            errors.append(_error("mismatched_model", "A batch has one model.", number))
        seen.add(line.custom_id)
        lines.append(line)
    if not lines and not errors:
        errors.append(_error("empty_file", "The file has no requests.", None))
    if len(lines) > MAX_REQUESTS:
        errors.append(_error("max_requests_exceeded", f"The limit is {MAX_REQUESTS} requests.", None))
    return lines, errors


def _error(code: str, message: str, line: int | None) -> dict[str, Any]:
    return {"code": code, "message": message, "param": None, "line": line}


def _answered_line(line: _Line, status: int, body: dict[str, Any]) -> dict[str, Any]:
    response = {"status_code": status, "request_id": uuid.uuid4().hex, "body": body}
    return {**_identity(line), "response": response, "error": None}


def _failed_line(line: _Line, why: str) -> dict[str, Any]:
    error = {"code": f"batch_{why}", "message": f"This request was not executed: the batch was {why}."}
    return {**_identity(line), "response": None, "error": error}


def _identity(line: _Line) -> dict[str, str]:
    return {"id": f"batch_req_{uuid.uuid4().hex[:24]}", "custom_id": line.custom_id}


def batch_routes(files: Files, batches: Batches) -> list[Route]:
    """Returns the routes of `/v1/files` and `/v1/batches`."""

    async def upload(request: Request) -> Response:
        body = await read_body(request, FILE_LIMIT + _ENVELOPE)
        return json_response(files.add(*read_upload(request.headers.get("content-type", ""), body)).as_json())

    async def list_files(_: Request) -> Response:
        return json_response(files.listed())

    async def read_file(request: Request) -> Response:
        return json_response(files.get(request.path_params["id"]).as_json())

    async def read_content(request: Request) -> Response:
        content = files.get(request.path_params["id"]).content
        return Response(content, media_type="application/octet-stream")

    async def delete_file(request: Request) -> Response:
        return json_response(files.delete(request.path_params["id"]))

    async def create(request: Request) -> Response:
        return json_response(batches.create(await read_request(request, BatchRequest)))

    async def list_batches(request: Request) -> Response:
        limit = request.query_params.get("limit", "20")
        if not limit.isdecimal() or not 1 <= int(limit) <= _LONGEST_PAGE:
            raise ApiError(f"'limit' is a number from 1 to {_LONGEST_PAGE}", param="limit")
        return json_response(batches.listed(request.query_params.get("after"), int(limit)))

    async def read_batch(request: Request) -> Response:
        return json_response(batches.get(request.path_params["id"]))

    async def cancel(request: Request) -> Response:
        return json_response(batches.cancel(request.path_params["id"]))

    return [
        Route("/v1/files", upload, methods=["POST"]),
        Route("/v1/files", list_files),
        Route("/v1/files/{id}", read_file),
        Route("/v1/files/{id}", delete_file, methods=["DELETE"]),
        Route("/v1/files/{id}/content", read_content),
        Route("/v1/batches", create, methods=["POST"]),
        Route("/v1/batches", list_batches),
        Route("/v1/batches/{id}", read_batch),
        Route("/v1/batches/{id}/cancel", cancel, methods=["POST"]),
    ]

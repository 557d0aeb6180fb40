"""The routes of files and batches."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from local.model import ApiError
from local.model.batches import Batches, BatchRequest
from local.model.files import FILE_LIMIT, Files, read_upload
from local.model.transport import body_of, json_response, parse

_ENVELOPE = 64 * 1024
"""Bytes of an upload that are not the file."""
_LONGEST_PAGE = 100


def batch_routes(files: Files, batches: Batches) -> list[Route]:
    """Returns the routes of `/v1/files` and `/v1/batches`."""

    async def upload(request: Request) -> Response:
        body = await body_of(request, FILE_LIMIT + _ENVELOPE)
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
        return json_response(batches.create(await parse(request, BatchRequest)))

    async def list_batches(request: Request) -> Response:
        asked = request.query_params.get("limit", "20")
        if not asked.isdecimal() or not 1 <= int(asked) <= _LONGEST_PAGE:
            raise ApiError(f"'limit' is a number from 1 to {_LONGEST_PAGE}", param="limit")
        return json_response(batches.listed(request.query_params.get("after"), int(asked)))

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

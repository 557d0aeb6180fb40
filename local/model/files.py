"""OpenAI's files, kept in memory: uploads, their content, and what batches write."""

from __future__ import annotations

import re
import time
import uuid
from dataclasses import dataclass
from email.message import Message
from typing import Any

from local.model import ApiError

FILE_LIMIT = 32 * 1024 * 1024
"""Longest file, bytes; OpenAI's own limit for a batch is 200 MB."""
STORE_LIMIT = 64 * 1024 * 1024
"""Bytes of all files together: the oldest make room."""
_EXPIRES_SECONDS = 30 * 24 * 3600

_DISPOSITION = re.compile(
    rb"content-disposition:[^\r\n]*?\bname=\"([^\"]*)\"(?:[^\r\n]*?filename=\"([^\"]*)\")?", re.I
)


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
        """Keeps a file; the oldest are forgotten when there is no room.

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
        """Forgets a file and returns OpenAI's word of it.

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

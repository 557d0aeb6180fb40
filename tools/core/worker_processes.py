"""Worker processes for files that strangers wrote: whatever such a file does to a C library, it does to a
process that knows no keys and can be killed.

Messages pass over standard input and output, each behind its length in eight bytes. A worker ends when its
input ends, so it never outlives the process that started it by more than one message.
"""

from __future__ import annotations

import asyncio
import logging
import os
import struct
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import IO

from tools.core.processes import minimal_environment

logger = logging.getLogger(__name__)

_LENGTH = struct.Struct(">Q")
_LARGEST_MESSAGE = 400_000_000


class WorkerEndedError(Exception):
    """The process ended before it answered."""


class WorkerProcess:
    """A running `python -m MODULE ARGUMENTS`. Whoever starts one stops it."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._log = asyncio.create_task(self._log_errors())
        self.messages_sent = 0

    @classmethod
    async def start(cls, module: str, *arguments: str, **environment: str) -> WorkerProcess:
        """Starts a process that has only what `minimal_environment` lets pass of our environment."""
        command = (sys.executable, "-m", module, *arguments)
        return cls(
            await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=minimal_environment(**environment)
            )
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    async def send(self, content: bytes) -> None:
        """Sends a message. Raises WorkerEndedError."""
        assert self._process.stdin is not None  # noqa: S101 - it was started with pipes
        self.messages_sent += 1
        try:
            self._process.stdin.write(_LENGTH.pack(len(content)))
            self._process.stdin.write(content)
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise WorkerEndedError from error

    async def receive(self) -> bytes:
        """Waits for the next message. Raises WorkerEndedError."""
        assert self._process.stdout is not None  # noqa: S101 - it was started with pipes
        try:
            (length,) = _LENGTH.unpack(await self._process.stdout.readexactly(_LENGTH.size))
            if length > _LARGEST_MESSAGE:
                raise WorkerEndedError
            return await self._process.stdout.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionResetError) as error:
            raise WorkerEndedError from error

    async def stop(self) -> int:
        """Kills the process, which holds nothing that could be lost, and waits for its end. Returns its exit
        code, of a process that had ended already its own."""
        with suppress(ProcessLookupError):
            self._process.kill()
        code = await self._process.wait()
        await self._log
        # Closes the pipes now; left to the collector, that may happen after the loop's end.
        self._process._transport.close()  # type: ignore[attr-defined]
        return code

    async def _log_errors(self) -> None:
        assert self._process.stderr is not None  # noqa: S101 - it was started with pipes
        while chunk := await self._process.stderr.read(4096):
            logger.debug("a worker printed", extra={"output": chunk.decode(errors="replace").strip()})


def open_answers() -> IO[bytes]:
    """In a worker: returns the stream for answers. What libraries print goes to standard error from now on,
    and not between them."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers


def read_message() -> bytes | None:
    """In a worker: returns the next message; None when there are no more."""
    head = sys.stdin.buffer.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    content = sys.stdin.buffer.read(length)
    return content if len(content) == length else None


def write_message(answers: IO[bytes], content: bytes) -> None:
    """In a worker: sends an answer."""
    answers.write(_LENGTH.pack(len(content)))
    answers.write(content)
    answers.flush()

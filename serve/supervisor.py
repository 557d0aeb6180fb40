"""The supervisor of `serve --workers N`: keeps N workers on the same sockets.

A worker that ends is replaced at once; one that gives no sign of life is killed first. One that ends
while it starts is tried again after a pause, and when that goes on while none serves, the supervisor
gives up. It watches each by a line (`serve.worker`), so that neither outlives the other unnoticed.

    SIGTERM, SIGINT    stops: workers drain; a second time they stop what runs, a third time they are killed
    SIGHUP             replaces the workers one by one: each drains once its successor serves
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from dataclasses import dataclass, field

from tools.core.errors import SetupError

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 180.0
"""How long a worker may give no sign of life. It imports for seconds before it can give one, and a
short limit would kill the workers of a slow machine for ever."""
TRIES = 4
"""How often in a row each worker may end while it starts, when none serves."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
"""The pause after a worker that ended while it started; it doubles with each try in a row."""
END_SECONDS = 20.0
"""How long a worker may take to end after its drain."""


@dataclass(eq=False, slots=True)
class _Worker:
    """One worker process."""

    process: Process
    line: socket.socket
    serves: asyncio.Event = field(default_factory=asyncio.Event)
    """It has given its first sign of life."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


class Supervisor:
    """Keeps a number of workers until it is told to stop."""

    def __init__(self, sockets: list[socket.socket], number: int, drain_seconds: float) -> None:
        """`sockets` listen already."""
        self._sockets = sockets
        self._number = number
        self._drain_seconds = drain_seconds
        self._kept: set[_Worker] = set()
        """The workers that start or serve."""
        self._leaving: set[_Worker] = set()
        """The workers that drain because another has taken their place."""
        self._watches: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._renewal = asyncio.Event()
        self._filling = asyncio.Lock()
        self._told = 0
        self._failures = 0
        self._gave_up: str | None = None

    async def run(self) -> None:
        """Returns once it was told to stop and every worker has ended.

        Raises:
            SetupError: the workers end while they start, again and again.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._renewal.set)
        renewing = asyncio.create_task(self._renew_when_told())
        try:
            await self._fill()
            while self._watches:
                done, _ = await asyncio.wait(self._watches, return_when=asyncio.FIRST_COMPLETED)
                for watch in done:
                    watch.result()
        finally:
            renewing.cancel()
            for worker in self._kept | self._leaving:
                worker.send(signal.SIGKILL)
        if self._gave_up is not None:
            raise SetupError(self._gave_up)

    async def _fill(self) -> None:
        """Starts as many workers as are missing."""
        while not self._stopping.is_set():
            try:
                async with self._filling:
                    if len(self._kept) >= self._number:
                        return
                    await self._start()
            except OSError as error:  # no memory, or too many processes
                await self._pause(str(error))

    async def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        fds = [theirs.fileno(), *(listener.fileno() for listener in self._sockets)]
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # a folder with another package `serve` in it must not come first on the path
                "-m",
                "serve.worker",
                *map(str, fds),
                pass_fds=fds,
                stdin=asyncio.subprocess.DEVNULL,
                # Ctrl-C and a closed terminal are the supervisor's to pass on.
                start_new_session=True,
            )
        worker = _Worker(process, ours)
        self._kept.add(worker)
        watch = asyncio.create_task(self._watch(worker))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        if self._stopping.is_set():
            worker.send(signal.SIGTERM)
        return worker

    async def _watch(self, worker: _Worker) -> None:
        """Waits for the end of a worker, and replaces it where it is missed."""
        listening = asyncio.create_task(self._listen(worker))
        try:
            status = await worker.process.wait()
        finally:
            listening.cancel()
            worker.line.close()
        worker.ended.set()
        self._leaving.discard(worker)
        if worker not in self._kept:
            return
        self._kept.discard(worker)
        if self._stopping.is_set():
            return
        how = f"signal {-status}" if status < 0 else f"status {status}"
        logger.warning("a worker ended", extra={"pid": worker.process.pid, "how": how})
        if not worker.serves.is_set():
            await self._pause(how)
        await self._fill()

    async def _listen(self, worker: _Worker) -> None:
        """Hears a worker's signs of life; kills it when they cease."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(SILENCE_SECONDS):
                    if not await loop.sock_recv(worker.line, 64):
                        return
            except TimeoutError:
                break
            except OSError:  # it has ended in the middle of a sign
                return
            if not worker.serves.is_set():
                worker.serves.set()
                self._failures = 0
                logger.info("a worker serves", extra={"pid": worker.process.pid})
        if worker in self._kept:
            logger.error("a worker gives no sign of life", extra={"pid": worker.process.pid})
            worker.send(signal.SIGKILL)

    async def _pause(self, how: str) -> None:
        """Waits before the next try; gives up after too many while none serves."""
        self._failures += 1
        tries = self._failures // self._number
        if tries >= TRIES and not any(worker.serves.is_set() for worker in self._kept):
            self._gave_up = (
                f"{self._failures} workers in a row ended while they started, the last by {how}. "
                "The log above says why; `checkerboard doctor` checks what they need."
            )
            self._stop()
            return
        pause = min(FIRST_PAUSE_SECONDS * 2**tries, LONGEST_PAUSE_SECONDS)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause)

    async def _renew_when_told(self) -> None:
        while True:
            await self._renewal.wait()
            self._renewal.clear()
            logger.info("replacing the workers")
            for worker in list(self._kept):
                if not await self._replace(worker):
                    logger.error("a new worker does not serve, so the others stay")
                    break

    async def _replace(self, worker: _Worker) -> bool:
        """Starts a worker and, once it serves, lets the old one drain; says whether it does."""
        if self._stopping.is_set():
            return True
        try:
            successor = await self._start()
        except OSError as error:
            logger.warning("no worker can be started", extra={"cause": str(error)})
            return False
        waits = [asyncio.create_task(event.wait()) for event in (successor.serves, successor.ended)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if not successor.serves.is_set():
            return False
        if worker in self._kept:
            self._kept.discard(worker)
            self._leaving.add(worker)
            worker.send(signal.SIGTERM)
        return True

    def _stop(self) -> None:
        self._told += 1
        self._stopping.set()
        # Those that leave drain already, so that the first signal is no second one to them.
        for worker in self._kept | (self._leaving if self._told > 1 else set()):
            # Before it serves, SIGTERM ends it without a word.
            worker.send(signal.SIGINT if worker.serves.is_set() else signal.SIGTERM)
        time_limit = END_SECONDS + (self._drain_seconds if self._told == 1 else 0)
        if self._told > 2:  # noqa: PLR2004 - drain, stop, leave
            time_limit = 0
        asyncio.get_running_loop().call_later(time_limit, self._kill)

    def _kill(self) -> None:
        for worker in self._kept | self._leaving:
            logger.warning("a worker did not end in time and is killed", extra={"pid": worker.process.pid})
            worker.send(signal.SIGKILL)

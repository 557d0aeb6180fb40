"""The supervisor of `serve --workers N`: keeps N workers on the same sockets.

A worker that ends is replaced at once; one without a heartbeat is killed first. One that ends while it
starts is started again after a pause, and after too many tries while none is ready, the supervisor gives
up. A socket pair joins it with each worker (`serve.worker`), so that each notices the end of the other.

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

from serve.metrics import forget_worker
from tools.core.errors import SetupError

logger = logging.getLogger(__name__)

HEARTBEAT_TIMEOUT_SECONDS = 180.0
"""How long a worker may send no heartbeat. It imports for seconds before the first, and a short limit would
kill the workers of a slow machine for ever."""
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
    channel: socket.socket
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """It has sent its first heartbeat."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    def send(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self.process.send_signal(number)


class Supervisor:
    """Keeps a number of workers running until a signal stops it."""

    def __init__(
        self, sockets: list[socket.socket], number: int, drain_seconds: float, *, keys_needed: bool
    ) -> None:
        """`sockets` listen already. `keys_needed`: what every worker is told, also one that is started
        when the keys have changed."""
        self._keys = "keys" if keys_needed else "open"
        self._sockets = sockets
        self._number = number
        self._drain_seconds = drain_seconds
        self._workers: set[_Worker] = set()
        """The workers that start or serve."""
        self._draining: set[_Worker] = set()
        """The workers that drain because another has taken their place."""
        self._watches: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._replace_requested = asyncio.Event()
        self._filling = asyncio.Lock()
        self._stop_signals = 0
        self._failures = 0
        self._failure: str | None = None

    async def run(self) -> None:
        """Returns after a signal, when every worker has ended.

        Raises:
            SetupError: the workers end while they start, again and again.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._replace_requested.set)
        renewing = asyncio.create_task(self._replace_on_signal())
        try:
            await self._start_missing()
            while self._watches:
                done, _ = await asyncio.wait(self._watches, return_when=asyncio.FIRST_COMPLETED)
                for watch in done:
                    watch.result()
        finally:
            renewing.cancel()
            for worker in self._workers | self._draining:
                worker.send(signal.SIGKILL)
        if self._failure is not None:
            raise SetupError(self._failure)

    async def _start_missing(self) -> None:
        """Starts as many workers as are missing."""
        while not self._stopping.is_set():
            try:
                async with self._filling:
                    if len(self._workers) >= self._number:
                        return
                    await self._start()
            except OSError as error:  # no memory, or too many processes
                await self._pause(str(error))

    async def _start(self) -> _Worker:
        own_end, worker_end = socket.socketpair()
        own_end.setblocking(False)
        fds = [worker_end.fileno(), *(listener.fileno() for listener in self._sockets)]
        with worker_end:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # a folder with another package `serve` in it must not come first on the path
                "-m",
                "serve.worker",
                self._keys,
                *map(str, fds),
                pass_fds=fds,
                stdin=asyncio.subprocess.DEVNULL,
                # The supervisor passes on Ctrl-C and the end of the terminal.
                start_new_session=True,
            )
        worker = _Worker(process, own_end)
        self._workers.add(worker)
        watch = asyncio.create_task(self._watch(worker))
        self._watches.add(watch)
        watch.add_done_callback(self._watches.discard)
        if self._stopping.is_set():
            worker.send(signal.SIGTERM)
        return worker

    async def _watch(self, worker: _Worker) -> None:
        """Waits for the end of a worker, and replaces it where it is missed."""
        listening = asyncio.create_task(self._read_heartbeats(worker))
        try:
            status = await worker.process.wait()
        finally:
            listening.cancel()
            worker.channel.close()
        worker.ended.set()
        forget_worker(worker.process.pid)
        self._draining.discard(worker)
        if worker not in self._workers:
            return
        self._workers.discard(worker)
        if self._stopping.is_set():
            return
        how = f"signal {-status}" if status < 0 else f"status {status}"
        logger.warning("a worker ended", extra={"pid": worker.process.pid, "how": how})
        if not worker.ready.is_set():
            await self._pause(how)
        await self._start_missing()

    async def _read_heartbeats(self, worker: _Worker) -> None:
        """Reads a worker's heartbeats; kills it when they stop."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_TIMEOUT_SECONDS):
                    if not await loop.sock_recv(worker.channel, 64):
                        return
            except TimeoutError:
                break
            except OSError:  # it has ended in the middle of one
                return
            if not worker.ready.is_set():
                worker.ready.set()
                self._failures = 0
                logger.info("a worker serves", extra={"pid": worker.process.pid})
        if worker in self._workers:
            logger.error("a worker gives no sign of life", extra={"pid": worker.process.pid})
            worker.send(signal.SIGKILL)

    async def _pause(self, how: str) -> None:
        """Waits before the next try; gives up after too many while none serves."""
        self._failures += 1
        tries = self._failures // self._number
        if tries >= TRIES and not any(worker.ready.is_set() for worker in self._workers):
            self._failure = (
                f"{self._failures} workers in a row ended while they started, the last by {how}. "
                "The log above says why; `checkerboard doctor` checks what they need."
            )
            self._stop()
            return
        pause = min(FIRST_PAUSE_SECONDS * 2**tries, LONGEST_PAUSE_SECONDS)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause)

    async def _replace_on_signal(self) -> None:
        while True:
            await self._replace_requested.wait()
            self._replace_requested.clear()
            logger.info("replacing the workers")
            for worker in list(self._workers):
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
        waits = [asyncio.create_task(event.wait()) for event in (successor.ready, successor.ended)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        if not successor.ready.is_set():
            return False
        if worker in self._workers:
            self._workers.discard(worker)
            self._draining.add(worker)
            worker.send(signal.SIGTERM)
        return True

    def _stop(self) -> None:
        self._stop_signals += 1
        self._stopping.set()
        # Those that leave drain already, so that the first signal is no second one to them.
        for worker in self._workers | (self._draining if self._stop_signals > 1 else set()):
            # Before it serves, SIGTERM ends it without a word.
            worker.send(signal.SIGINT if worker.ready.is_set() else signal.SIGTERM)
        time_limit = END_SECONDS + (self._drain_seconds if self._stop_signals == 1 else 0)
        if self._stop_signals > 2:  # noqa: PLR2004 - drain, stop, leave
            time_limit = 0
        asyncio.get_running_loop().call_later(time_limit, self._kill)

    def _kill(self) -> None:
        for worker in self._workers | self._draining:
            logger.warning("a worker did not end in time and is killed", extra={"pid": worker.process.pid})
            worker.send(signal.SIGKILL)

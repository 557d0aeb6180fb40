"""A real PgBouncer before the embedded PostgreSQL."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from local.servers.postgres import SYSTEM_USER
from tests.local.servers.machine import eventually
from tests.places import new_folder
from tests.serve.processes import free_port
from tools.core.debian import unpack_debian
from tools.core.errors import SetupError
from tools.core.settings import Settings

_LIBRARIES = ("libevent-2.1-7", "libevent-2.1-7t64", "libc-ares2", "libcares2")
"""What it may lack where it is unpacked and not installed; each Debian and Ubuntu has two of them."""


@contextmanager
def pooled(settings: Settings, mode: str = "transaction", size: int = 3) -> Iterator[Settings]:
    """Yields settings whose PostgreSQL is behind a PgBouncer with so many connections to a database."""
    program, libraries = _program()
    url = urlsplit(settings.database_url or "")
    port, folder = free_port(), new_folder()
    config = folder / "pgbouncer.ini"
    config.write_text(
        f"[databases]\n* = host={parse_qs(url.query)['host'][0]} port=5432 user=postgres\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
        f"pool_mode = {mode}\ndefault_pool_size = {size}\nmax_client_conn = 200\n"
    )
    # It refuses to run as root, and PostgreSQL's socket is its own user's.
    user = SYSTEM_USER if os.geteuid() == 0 else None
    server = subprocess.Popen(
        [program, str(config)],
        env={**os.environ, "LD_LIBRARY_PATH": libraries},
        user=user,
        extra_groups=[] if user else None,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(lambda: server.poll() is not None or _listens(port))
        assert server.poll() is None, server.stderr and server.stderr.read()
        pooled_url = f"postgresql://postgres@127.0.0.1:{port}{url.path}"
        yield settings.model_copy(update={"database_url": pooled_url})
    finally:
        server.terminate()
        server.communicate()
        shutil.rmtree(folder, ignore_errors=True)


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@cache
def _program() -> tuple[str, str]:
    """The program and the folder of its libraries; got by apt where it is not installed."""
    if installed := shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin"):
        return installed, ""
    folder = Path(new_folder())
    try:
        unpack_debian(("pgbouncer",), folder)
        for library in _LIBRARIES:
            with suppress(SetupError):
                unpack_debian((library,), folder)
    except SetupError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"not tested behind PgBouncer: {error}")
    libraries = {str(path.parent) for path in folder.rglob("*.so.*")}
    return str(folder / "usr/sbin/pgbouncer"), ":".join(libraries)

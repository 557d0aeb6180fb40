"""Killed supervisors and servers, damaged files, foreign processes, homes that cannot be used."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import redis

from local.servers.files import Running, State, server_files, write_state
from local.servers.process import start_token

from .machine import NOBODY, PARTS, Machine, as_normal_user, eventually, gone


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process that is none of ours."""
    with subprocess.Popen(["sleep", "600"]) as process:
        try:
            yield process.pid
        finally:
            process.kill()


def test_the_next_supervisor_adopts_the_server_of_a_killed_one(machine: Machine, used_home: Path) -> None:
    home = used_home
    first = machine.user(home, "redis", "postgres")
    assert first.urls
    parts = ("redis", "postgres")
    servers = [machine.server(home, part) for part in parts]
    for part in parts:
        os.kill(supervisor := machine.supervisor(home, part), signal.SIGKILL)
        eventually(lambda supervisor=supervisor: gone(supervisor))

    second = machine.user(home, "redis", "postgres")
    assert second.urls == first.urls
    assert [machine.server(home, part) for part in parts] == servers
    pids = machine.pids(home, *parts)
    first.leave()
    assert not gone(*servers)
    second.leave()
    assert gone(*pids)


def test_the_last_user_stops_what_a_killed_supervisor_has_left(machine: Machine) -> None:
    home = machine.home()
    user = machine.user(home, "redis")
    assert user.urls
    supervisor, server = machine.pids(home, "redis")
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: gone(supervisor))
    user.leave()
    assert gone(server, machine.supervisor(home, "redis"))


def test_a_killed_server_is_started_again_with_everything_that_was_answered(
    machine: Machine, used_home: Path
) -> None:
    home = used_home
    user = machine.user(home, *PARTS)
    with redis.Redis.from_url(user.urls["redis"]) as client:
        client.set("written", 1)
        client.json().set("document", "$", {"of": "a session"})
    servers = {part: machine.server(home, part) for part in PARTS}
    for server in servers.values():
        os.kill(server, signal.SIGKILL)
    for part, server in servers.items():
        eventually(lambda part=part, server=server: _ready(machine, home, part) not in (None, server))
    with redis.Redis.from_url(user.urls["redis"]) as client:
        assert client.get("written") == b"1"
        assert client.json().get("document") == {"of": "a session"}
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert int(client.config_get("maxmemory")["maxmemory"]) > 0
    with psycopg.connect(user.urls["postgres"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    state = machine.state(home, "model")
    assert state
    assert state.running
    assert state.running.url == user.urls["model"]


def _ready(machine: Machine, home: Path, part: str) -> int | None:
    state = machine.state(home, part)
    return state.running.pid if state and state.phase == "ready" and state.running else None


def test_a_server_that_keeps_dying_is_given_up(machine: Machine) -> None:
    home = machine.home()
    user = machine.user(home, "redis")
    assert user.urls
    supervisor = machine.supervisor(home, "redis")
    last = None
    for _ in range(6):
        last = eventually(lambda last=last: (pid := _ready(machine, home, "redis")) != last and pid)
        os.kill(last, signal.SIGKILL)
        eventually(lambda last=last: gone(last))
    eventually(lambda: gone(supervisor))
    state = machine.state(home, "redis")
    assert state
    assert state.phase == "failed"
    assert "died" in (state.error or "")
    user.leave()


def test_after_kill_9_of_everything_the_next_start_works(machine: Machine, used_home: Path) -> None:
    home = used_home
    user = machine.user(home, "redis", "postgres")
    with psycopg.connect(user.urls["postgres"]) as connection:
        connection.execute("CREATE TABLE after_kill AS SELECT 42 AS answer")
    pids = machine.pids(home, "redis", "postgres")
    for pid in (*pids, user.pid):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: gone(*pids))
    assert (home / "postgres" / "postmaster.pid").exists()
    assert (home / "run" / "redis.sock").exists()

    again = machine.user(home, "redis", "postgres")
    with psycopg.connect(again.urls["postgres"]) as connection:
        assert connection.execute("SELECT answer FROM after_kill").fetchone() == (42,)
    pids = machine.pids(home, "redis", "postgres")
    again.leave()
    assert gone(*pids)


def test_a_stranger_with_an_old_process_id_is_left_alone(
    machine: Machine, used_home: Path, stranger: int
) -> None:
    home = used_home
    user = machine.user(home, "redis", "postgres")
    assert user.urls
    user.leave()
    born = start_token(stranger)
    assert born
    for part in ("redis", "postgres"):
        old = Running("old", stranger, born + "1", url="x", address="/nowhere", version="1")
        write_state(server_files(part, home).state, State("ready", stranger, old))
    lock = home / "postgres" / "postmaster.pid"
    lock.write_text(f"{stranger}\n{home / 'postgres'}\n1\n5432\n{home / 'postgres'}\n\n1 1\nready\n")

    user = machine.user(home, "redis", "postgres")
    assert user.urls
    assert stranger not in [machine.server(home, part) for part in ("redis", "postgres")]
    user.leave()
    assert not gone(stranger)


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"phase": "ready", "supervisor": 1, "running": {"pid": "x"}}']
)
def test_a_damaged_state_does_not_matter(machine: Machine, damage: str) -> None:
    home = machine.home()
    (home / "run").mkdir()
    (home / "run" / "redis.state.json").write_text(damage)
    (home / "run" / "redis.sock").touch()
    user = machine.user(home, "redis")
    with redis.Redis.from_url(user.urls["redis"]) as client:
        assert client.ping()
    pids = machine.pids(home, "redis")
    user.leave()
    assert gone(*pids)


def test_an_interrupted_initdb_is_begun_anew(machine: Machine) -> None:
    home = machine.home()
    (home / "postgres.new" / "base").mkdir(parents=True)
    (home / "postgres.new" / "PG_VERSION").write_text("18\n")
    user = machine.user(home, "postgres")
    assert user.urls
    assert not (home / "postgres.new").exists()


def test_ctrl_c_in_the_middle_of_a_start_leaves_nothing(machine: Machine) -> None:
    home = machine.home()
    user = machine.user(home, *PARTS)
    eventually((home / "run" / "postgres.supervisor").exists)
    os.killpg(user.pid, signal.SIGINT)
    eventually(lambda: gone(user.pid))
    eventually(lambda: not machine.left_behind(home))


def test_a_home_that_is_removed_under_its_users_leaves_nothing_running(machine: Machine) -> None:
    home = machine.home("home")
    user = machine.user(home, "redis", "postgres")
    assert user.urls
    pids = machine.pids(home, "redis", "postgres")
    shutil.rmtree(home)
    user.leave()
    eventually(lambda: gone(*pids))
    assert not (home / "postgres").exists()


def test_the_dump_of_an_older_version_is_read_once_and_then_removed(machine: Machine) -> None:
    """An older version kept no append-only file, and a dump is not read beside one."""
    home = machine.home()
    user = machine.user(home, "redis")
    with redis.Redis.from_url(user.urls["redis"]) as client:
        client.set("old", 1)
        client.save()
    user.leave()
    shutil.rmtree(home / "redis" / "appendonlydir")
    user = machine.user(home, "redis")
    with redis.Redis.from_url(user.urls["redis"]) as client:
        assert client.get("old") == b"1"
        client.set("new", 1)
        eventually((home / "redis" / "appendonlydir" / "appendonly.aof.manifest").exists)
    user.leave()
    user = machine.user(home, "redis")
    with redis.Redis.from_url(user.urls["redis"]) as client:
        assert client.mget("old", "new") == [b"1", b"1"]
    assert not (home / "redis" / "dump.rdb").exists()


def test_damaged_data_is_an_error_that_says_where(machine: Machine) -> None:
    home = machine.home()
    (home / "redis").mkdir()
    (home / "redis" / "dump.rdb").write_text("not a dump")
    error = machine.user(home, "redis").said["error"]
    assert "embedded redis could not be started" in error
    assert "redis.log" in error


def test_a_home_that_cannot_be_a_folder(machine: Machine) -> None:
    home = machine.home("file")
    home.write_text("")
    error = machine.user(home, "redis").said["error"]
    assert "Set CHECKERBOARD_HOME" in error


def test_a_normal_user_from_any_folder(machine: Machine) -> None:
    prefix = as_normal_user()
    home = machine.home(owner=NOBODY if prefix else None)
    user = machine.user(home, "redis", "postgres", prefix=prefix)
    with psycopg.connect(user.urls["postgres"]) as connection:
        connection.execute("CREATE EXTENSION vector")
    with redis.Redis.from_url(user.urls["redis"]) as client:
        assert client.ping()
    pids = machine.pids(home, "redis", "postgres")
    if prefix:
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in pids} == {NOBODY}
    user.leave()
    assert gone(*pids)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has PostgreSQL run as another user")
def test_the_folders_above_the_home_keep_their_modes(machine: Machine) -> None:
    home = machine.home("private", "deeper", "home")
    home.mkdir(parents=True)
    for folder in (home, home.parent, home.parent.parent):
        folder.chmod(0o700)
    above = [*home.parents, *Path(psycopg.__file__).resolve().parents]
    before = [folder.stat().st_mode for folder in (home, *above)]
    user = machine.user(home, "postgres")
    with psycopg.connect(user.urls["postgres"]) as connection:
        connection.execute("CREATE EXTENSION vector")
    assert Path(f"/proc/{machine.server(home, 'postgres')}").stat().st_uid != 0
    assert [folder.stat().st_mode for folder in (home, *above)] == before
    user.leave()
    again = machine.user(home, "postgres")
    assert again.urls == user.urls
    assert [folder.stat().st_mode for folder in (home, *above)] == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has PostgreSQL run as another user")
def test_where_root_may_not_give_the_right_it_says_what_to_do(machine: Machine) -> None:
    home = machine.home("private", "home")
    home.mkdir(parents=True)
    home.parent.chmod(0o700)
    error = machine.user(home, "postgres", prefix=("setpriv", "--bounding-set=-dac_read_search")).said[
        "error"
    ]
    assert f"chmod o+x {home.parent}" in error
    assert "DATABASE_URL" in error
    assert home.parent.stat().st_mode & 0o777 == 0o700


def test_a_normal_user_with_a_home_that_is_read_only(machine: Machine) -> None:
    home = machine.home("home")
    home.mkdir()
    home.chmod(0o555)
    error = machine.user(home, "redis", prefix=as_normal_user()).said["error"]
    assert "Permission denied" in error
    assert "Set CHECKERBOARD_HOME" in error

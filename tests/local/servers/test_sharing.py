"""Who starts, shares, stops and outlives the embedded servers."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from urllib.request import urlopen

import httpx
import psycopg
import pytest
import redis

from local.servers import embedded_servers
from local.servers.files import server_files
from tests.pace import scaled, time_limit
from tools.core.settings import Settings

from .machine import PARTS, Machine, eventually, gone


def test_all_commands_share_one_server_of_each_part_and_the_last_one_stops_it(
    machine: Machine, used_home: Path
) -> None:
    home = used_home
    first = machine.user(home, *PARTS)
    assert first.urls["model"].startswith("http://127.0.0.1:")
    pids = machine.pids(home, *PARTS)

    second = machine.user(home, *PARTS)
    assert second.urls == first.urls
    assert second.said["seconds"] < scaled(0.1)
    assert machine.pids(home, *PARTS) == pids

    first.leave()
    _use(second.urls)
    second.leave()
    assert gone(*pids)


def _use(urls: dict[str, str]) -> None:
    with psycopg.connect(urls["postgres"]) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    with redis.Redis.from_url(urls["redis"]) as client:
        client.json().set("answer", "$", [42])
        assert client.execute_command("FT._LIST") == []
    with urlopen(urls["model"] + "/models", timeout=time_limit()) as answer:  # noqa: S310
        assert answer.status == 200


def test_many_that_start_at_once_start_one_server(machine: Machine) -> None:
    home = machine.home()
    users = [machine.user(home, "redis") for _ in range(4)]
    assert len({user.urls["redis"] for user in users}) == 1
    pids = machine.pids(home, "redis")
    assert (home / "run" / "redis.log").read_text().count("supervisor starting") == 1
    for user in users:
        user.leave()
    assert gone(*pids)


def test_nothing_is_left_after_ctrl_c_and_a_second_start_finds_the_data(
    machine: Machine, used_home: Path
) -> None:
    home = used_home
    first = machine.user(home, "redis", "postgres")
    with redis.Redis.from_url(first.urls["redis"]) as client:
        client.set("kept", "한글")
        client.execute_command("FT.CREATE", "idx", "ON", "JSON", "SCHEMA", "$.a", "AS", "a", "TAG")
    with psycopg.connect(first.urls["postgres"]) as connection:
        connection.execute("CREATE TABLE nothing_is_left AS SELECT 42 AS answer")
    pids = machine.pids(home, "redis", "postgres")
    assert first.interrupt() < scaled(15)
    assert gone(*pids)

    second = machine.user(home, "redis", "postgres")
    with redis.Redis.from_url(second.urls["redis"]) as client:
        assert client.get("kept") == "한글".encode()
        assert client.execute_command("FT._LIST") == [b"idx"]
    with psycopg.connect(second.urls["postgres"]) as connection:
        assert connection.execute("SELECT answer FROM nothing_is_left").fetchone() == (42,)


def test_kill_9_of_the_only_user_stops_everything(machine: Machine, used_home: Path) -> None:
    home = used_home
    user = machine.user(home, "redis", "postgres")
    assert user.urls
    pids = machine.pids(home, "redis", "postgres")
    user.kill()
    eventually(lambda: gone(*pids))


def test_two_homes_are_two_services(machine: Machine) -> None:
    one, other = machine.home(), machine.home()
    users = [machine.user(home, "redis") for home in (one, other)]
    assert users[0].urls != users[1].urls
    pids = machine.pids(other, "redis")
    users[0].leave()
    assert not gone(*pids)
    users[1].leave()
    assert gone(*pids)


def test_a_long_home_and_one_with_odd_signs_in_its_name(machine: Machine) -> None:
    home = machine.home("a 'b\" $c%20", "긴" * 60)
    home.mkdir(parents=True)
    user = machine.user(home, "redis", "postgres")
    with redis.Redis.from_url(user.urls["redis"]) as client:
        assert client.ping()
    with psycopg.connect(user.urls["postgres"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    folders = []
    for part in ("redis", "postgres"):
        state = machine.state(home, part)
        assert state
        assert state.running
        folders.append(Path(state.running.address).parent)
        assert home not in folders[-1].parents
        assert folders[-1].stat().st_mode & 0o077 == 0
    pids = machine.pids(home, "redis", "postgres")
    user.leave()
    assert gone(*pids)
    assert not any(folder.exists() for folder in folders)


def test_what_the_settings_name_is_not_started(machine: Machine) -> None:
    home = machine.home("home")
    settings = Settings(
        home=home,
        database_url="postgresql://elsewhere/db",
        redis_url="redis://elsewhere",
        openai_api_key="key",
        openai_base_url="http://elsewhere/v1",
    )
    with embedded_servers(settings) as ready:
        assert ready == settings
    assert not home.exists()


def test_a_forked_child_does_not_hold_its_parents_servers(machine: Machine) -> None:
    home = machine.home()
    settings = Settings(home=home, database_url="given", openai_api_key="key", redis_url=None)
    with embedded_servers(settings):
        pids = machine.pids(home, "redis")
        waiting, go = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(waiting, 1)
            os._exit(0)
    try:
        assert gone(*pids)
    finally:
        os.close(go)
        os.close(waiting)
        eventually(lambda: os.waitpid(child, os.WNOHANG)[0])


def test_the_secret_of_the_model_s_controls_is_for_its_owner(machine: Machine) -> None:
    home = machine.home()
    user = machine.user(home, "model")
    controls = user.urls["model"].replace("/v1", "/offline/calls")
    secret = server_files("model", home).secret
    assert (secret.stat().st_mode & 0o777, secret.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    given = {"Authorization": f"Bearer {secret.read_text()}"}
    assert httpx.get(controls, timeout=time_limit()).status_code == 401
    assert httpx.get(controls, headers=given, timeout=time_limit()).status_code == 200
    assert secret.read_text() not in (home / "run" / "model.log").read_text()


@pytest.mark.parametrize("part", ["postgres", "redis", "model"])
def test_the_caller_s_keys_do_not_reach_the_servers(machine: Machine, part: str) -> None:
    home = machine.home()
    secrets = ("UPSTAGE_API_KEY", "LANGSMITH_API_KEY", "CHECKERBOARD_CONTACT", "PYTHON_TOKEN", "NOBODY_KNOWS")
    user = machine.user(home, part, env={**dict.fromkeys(secrets, "sk-secret"), "PGPORT": "1"})
    assert user.urls
    pids = machine.pids(home, part)
    assert pids
    for pid in pids:
        environment = Path(f"/proc/{pid}/environ")
        if environment.exists():
            assert b"sk-secret" not in environment.read_bytes()


def test_a_supervisor_that_is_told_to_stop_stops_its_server(machine: Machine) -> None:
    home = machine.home()
    user = machine.user(home, "redis")
    assert user.urls
    pids = machine.pids(home, "redis")
    os.kill(pids[0], signal.SIGTERM)
    eventually(lambda: gone(*pids))
    state = machine.state(home, "redis")
    assert state
    assert state.phase == "stopped"
    user.leave()


IGNORING = ("sh", "-c", "trap '' INT QUIT TERM HUP; exec \"$@\"", "sh")
"""As a shell starts a background job, and worse."""


def test_what_a_shell_ignores_its_servers_do_not(machine: Machine, used_home: Path) -> None:
    user = machine.user(used_home, *PARTS, prefix=IGNORING)
    assert user.urls
    pids = machine.pids(used_home, *PARTS)
    for pid in pids:
        status = Path(f"/proc/{pid}/status")
        if status.exists():
            ignored = int(status.read_text().partition("SigIgn:\t")[2].split()[0], 16)
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
                assert not ignored >> (number - 1) & 1, (pid, number)
    assert user.leave() < scaled(15)
    assert gone(*pids)

"""The container image, as far as it can be held to what it promises without a container engine, and the
services that compose starts. What the production lock file installs is started by `tests/test_extras.py`."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from tools.core.settings import CHECKOUT, Settings, variable

DOCKERFILE = (CHECKOUT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (CHECKOUT / "compose.yaml").read_text(encoding="utf-8")
SETTINGS = {variable(field) for field in Settings.model_fields}


def test_hadolint_has_nothing_to_say_against_it() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run(
        [hadolint, "Dockerfile"], cwd=CHECKOUT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_and_installed_is_there_and_is_not_ignored() -> None:
    taken = {
        line[1:] for line in (CHECKOUT / ".dockerignore").read_text().splitlines() if line.startswith("!")
    }
    assert all((CHECKOUT / name).exists() for name in taken)
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    named = {"pyproject.toml", project["project"]["readme"], *project["project"]["license-files"], *wheel}
    locks = set(re.findall(r"requirements/\w+\.txt", DOCKERFILE))
    assert taken == named | locks


def test_it_runs_as_nobody_and_with_an_address_that_others_reach() -> None:
    *_, last = re.split(r"^FROM .*$", DOCKERFILE, flags=re.MULTILINE)
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert 'CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]' in last
    assert "/healthz" in last


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    loaded = yaml.safe_load(COMPOSE)["services"]
    assert isinstance(loaded, dict)
    return loaded


def test_compose_knows_every_word_of_it(services: dict[str, Any]) -> None:
    # As compose does: variables first, then anchors.
    given = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", re.sub(r"\$\{\w+:\?[^}]*\}", "given", COMPOSE))
    compose = PyCompose.from_yaml(yaml.safe_dump(yaml.safe_load(given)))
    compose.validate()
    mounted = {
        volume.partition(":")[0] for name in compose.services for volume in services[name].get("volumes", [])
    }
    ours = {name for name in mounted if name.startswith("./")}
    assert mounted - ours == set(compose.volumes)
    assert all((CHECKOUT / name).exists() for name in ours)


def test_compose_keeps_background_runs_away_from_requests(services: dict[str, Any]) -> None:
    for name in ("service", "worker"):
        assert services[name]["environment"]["CHECKERBOARD_RUNS_BY"] == "worker"
        assert services[name]["stop_grace_period"] == "60s"
    assert services["worker"]["command"][0] == "worker"
    assert "ports" not in services["worker"]
    assert services["worker"]["depends_on"] == services["service"]["depends_on"]
    # The image's check asks a port that a worker does not have.
    assert services["worker"]["healthcheck"] == {"disable": True}


def test_compose_shows_the_figures_and_lets_nobody_log_in(services: dict[str, Any]) -> None:
    prometheus, grafana = services["prometheus"], services["grafana"]
    assert prometheus["profiles"] == grafana["profiles"] == ["figures"]  # `up` needs no key of theirs
    assert "ports" not in prometheus
    assert grafana["ports"] == ["${ADDRESS:-127.0.0.1}:${GRAFANA_PORT:-3000}:3000"]
    told = grafana["environment"]
    assert (told["GF_AUTH_DISABLE_LOGIN_FORM"], told["GF_AUTH_BASIC_ENABLED"]) == ("true", "false")
    assert told["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    deploy = CHECKOUT / "deploy"
    scraped = yaml.safe_load((deploy / "prometheus" / "prometheus.yml").read_text(encoding="utf-8"))
    (job,) = scraped["scrape_configs"]
    *_, port = services["worker"]["command"]
    assert job["authorization"]["credentials_file"] == f"/run/secrets/{prometheus['secrets'][0]}"
    assert job["static_configs"] == [{"targets": ["service:8000", f"worker:{port}"]}]
    assert all((deploy / "prometheus" / name).exists() for name in scraped["rule_files"])
    provisioning = deploy / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "checkerboard.yml").read_text())["providers"]
    places = dict(volume.split(":")[:2] for volume in grafana["volumes"])
    assert places["./deploy/grafana/checkerboard.json"].startswith(provider["options"]["path"])
    assert told["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == places["./deploy/grafana/checkerboard.json"]


def test_compose_starts_what_the_service_needs_in_order(services: dict[str, Any]) -> None:
    assert services["migrate"]["command"] == ["migrate"]
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert services["service"]["depends_on"] == {
        "migrate": {"condition": "service_completed_successfully"},
        "redis": {"condition": "service_healthy"},
    }
    for store in ("postgres", "redis"):
        assert services[store]["healthcheck"]["test"]
        assert "ports" not in services[store]


def test_compose_makes_the_first_key_before_the_first_start(services: dict[str, Any]) -> None:
    keys = services["keys"]
    assert keys["entrypoint"] == ["checkerboard", "keys"]
    assert keys["profiles"]  # `up` leaves it alone
    assert keys["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert "docker compose run --build --rm keys create" in COMPOSE.partition("services:")[0]


def test_compose_gives_only_settings_that_exist_and_no_secret(services: dict[str, Any]) -> None:
    given = services["service"]["environment"]
    assert set(given) <= SETTINGS
    assert given["OPENAI_API_KEY"].startswith("${OPENAI_API_KEY:?")
    # Where they are not set they must not be empty, which is refused: keys are stored then.
    assert given["CHECKERBOARD_API_KEYS"] is given["CHECKERBOARD_ADMIN_KEYS"] is None
    passwords = re.findall(r"(?:PASSWORD|AUTH): (.*)$", COMPOSE, re.MULTILINE)
    assert passwords and all(value.startswith("${") for value in passwords)


def test_compose_opens_this_machine_alone_unless_told(services: dict[str, Any]) -> None:
    assert services["service"]["ports"] == ["${ADDRESS:-127.0.0.1}:${PORT:-8000}:8000"]


def test_sessions_are_neither_lost_nor_evicted(services: dict[str, Any]) -> None:
    command = services["redis"]["command"]
    assert command[command.index("--appendonly") + 1] == "yes"
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"

"""The Helm chart, rendered by Helm itself and held against Kubernetes' schemas."""

from __future__ import annotations

from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from serve.cli import app
from tools.core.settings import CHECKOUT, Settings, variable

CHART = CHECKOUT / "deploy" / "helm" / "checkerboard"
KUBERNETES = ("1.29", "1.31", "1.34")
SETTINGS = {variable(field) for field in Settings.model_fields}


def rendered(**values: Any) -> dict[str, dict[str, Any]]:
    """The chart's objects by kind, each valid for every Kubernetes that it says it is for."""
    objects = {}
    for text in helm_python.Chart.load(CHART).render(values, name="shop", namespace="jobs").values():
        for one in yaml.safe_load_all(text):
            if one is not None:
                for version in KUBERNETES:
                    kubernetes_validate.validate(one, version, strict=True)
                objects[one["kind"]] = one
    return objects


def container(one: dict[str, Any]) -> dict[str, Any]:
    (only,) = one["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def test_helm_has_nothing_to_say_against_it() -> None:
    report = helm_python.lint(CHART, strict=True)
    assert report["errors"] == []
    assert [message for message in report["messages"] if message["severity"] > 1] == []


def test_with_every_value_at_its_default_it_is_valid() -> None:
    assert set(rendered()) == {"Deployment", "Job", "Service", "PodDisruptionBudget"}


def test_with_everything_set_it_is_valid() -> None:
    objects = rendered(
        ingress={"enabled": True, "className": "nginx", "host": "a.example.com", "tlsSecretName": "tls"},
        imagePullSecrets=[{"name": "registry"}],
        settings={"CHECKERBOARD_CHAT_MODEL": "gpt-4.1", "CHECKERBOARD_CONCURRENCY": 500},
        nodeSelector={"disk": "fast"},
        tolerations=[{"key": "dedicated", "operator": "Exists"}],
        affinity={"nodeAffinity": {}},
        disruptionBudget={"minAvailable": "50%"},
    )
    assert objects["Ingress"]["spec"]["tls"] == [{"hosts": ["a.example.com"], "secretName": "tls"}]
    given = {one["name"]: one["value"] for one in container(objects["Deployment"])["env"]}
    assert given["CHECKERBOARD_CONCURRENCY"] == "500"
    assert set(given) <= SETTINGS


def test_the_values_are_checked() -> None:
    for wrong in ({"replica": 3}, {"workers": 0}, {"settings": {"chat model": "x"}}, {"secretName": ""}):
        with pytest.raises(helm_python.HelmError):
            rendered(**wrong)


def test_a_pod_has_the_time_that_a_drain_takes() -> None:
    for seconds in (0, 30, 120):
        deployment = rendered(drainSeconds=seconds)["Deployment"]
        given = {one["name"]: one["value"] for one in container(deployment)["env"]}
        assert given["CHECKERBOARD_DRAIN_SECONDS"] == str(seconds)
        assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > seconds


def test_pods_may_do_nothing_that_the_service_does_not_need() -> None:
    objects = rendered()
    for one in (objects["Deployment"], objects["Job"]):
        assert one["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"] is True
        security = container(one)["securityContext"]
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert one["spec"]["template"]["spec"]["automountServiceAccountToken"] is False


def test_no_key_stands_in_an_object() -> None:
    assert container(rendered()["Deployment"])["envFrom"] == [{"secretRef": {"name": "checkerboard"}}]


def test_traffic_and_budget_are_for_the_pods_that_serve() -> None:
    objects = rendered()
    served = objects["Deployment"]["spec"]["selector"]["matchLabels"]
    assert objects["Service"]["spec"]["selector"] == served
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == served
    assert not served.items() <= objects["Job"]["spec"]["template"]["metadata"]["labels"].items()


@pytest.mark.parametrize("kind", ["Deployment", "Job"])
def test_what_is_started_is_a_command_of_ours(kind: str) -> None:
    command, *words = container(rendered(workers=3)[kind])["args"]
    told = CliRunner(env={"COLUMNS": "200"}).invoke(app, [command, "--help"])
    assert told.exit_code == 0
    assert all(word in told.output for word in words if word.startswith("--"))


def test_the_probes_ask_routes_that_exist() -> None:
    served = container(rendered()["Deployment"])
    paths = {
        served[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    routes = (CHECKOUT / "docs" / "openapi.json").read_text(encoding="utf-8")
    assert paths == {"/healthz", "/readyz"}
    assert all(f'"{path}"' in routes for path in paths)

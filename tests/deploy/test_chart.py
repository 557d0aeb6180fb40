"""The Helm chart, rendered by Helm itself and held against Kubernetes' schemas."""

from __future__ import annotations

import re
from typing import Any

import helm_python
import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from serve.cli import app
from tools.core import metrics
from tools.core.settings import CHECKOUT, Settings, variable

CHART = CHECKOUT / "deploy" / "helm" / "checkerboard"
KUBERNETES = ("1.29", "1.31", "1.34")
SETTINGS = {variable(field) for field in Settings.model_fields}
EVERYTHING: dict[str, Any] = {
    "workers": 3,
    "autoscaling": {"enabled": True},
    "backgroundWorkers": {"replicas": 2},
    "prune": {"schedule": "17 3 * * *", "arguments": ["--withdrawn-days", "30"]},
    "ingress": {"enabled": True},
}


def every(**values: Any) -> list[dict[str, Any]]:
    """The chart's objects, each valid for every Kubernetes that it says it is for."""
    objects = []
    for text in helm_python.Chart.load(CHART).render(values, name="shop", namespace="jobs").values():
        for one in yaml.safe_load_all(text):
            if one is not None:
                for version in KUBERNETES:
                    kubernetes_validate.validate(one, version, strict=True)
                objects.append(one)
    return objects


def rendered(**values: Any) -> dict[str, dict[str, Any]]:
    """The chart's objects by kind, where there is one of each."""
    objects = every(**values)
    by_kind = {one["kind"]: one for one in objects}
    assert len(by_kind) == len(objects)
    return by_kind


def pod_of(one: dict[str, Any]) -> dict[str, Any]:
    """The pods that an object makes."""
    spec = one["spec"]["jobTemplate"]["spec"] if one["kind"] == "CronJob" else one["spec"]
    template = spec["template"]
    assert isinstance(template, dict)
    return template


def container(one: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod_of(one)["spec"]["containers"]
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
        autoscaling={"enabled": True, "minReplicas": 3, "maxReplicas": 30, "runsInFlight": 40},
        prune={"schedule": "17 3 * * *", "arguments": ["--raw-days", "30"]},
    )
    assert objects["Ingress"]["spec"]["tls"] == [{"hosts": ["a.example.com"], "secretName": "tls"}]
    given = {one["name"]: one["value"] for one in container(objects["Deployment"])["env"]}
    assert given["CHECKERBOARD_CONCURRENCY"] == "500"
    assert set(given) <= SETTINGS


def test_the_values_are_checked() -> None:
    for wrong in (
        {"replica": 3},
        {"workers": 0},
        {"autoscaling": {"minReplicas": 0}},
        {"settings": {"chat model": "x"}},
        {"secretName": ""},
    ):
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
    objects = every(**EVERYTHING)
    pods = [pod_of(one) for one in objects if one["kind"] in ("Deployment", "Job", "CronJob")]
    assert len(pods) == 4
    for pod in pods:
        (only,) = pod["spec"]["containers"]
        assert only["envFrom"] == [{"secretRef": {"name": "checkerboard"}}]
        assert only["securityContext"]["readOnlyRootFilesystem"] is True
        assert pod["spec"]["securityContext"]["runAsNonRoot"] is True


def test_more_pods_come_with_more_runs_by_a_figure_that_there_is() -> None:
    objects = rendered(autoscaling={"enabled": True})
    scaler = objects["HorizontalPodAutoscaler"]["spec"]
    assert scaler["scaleTargetRef"]["name"] == objects["Deployment"]["metadata"]["name"]
    assert "replicas" not in objects["Deployment"]["spec"]  # an upgrade would undo what it has done
    (metric,) = scaler["metrics"]
    name = metric["pods"]["metric"]["name"]
    assert name == metrics.RUNS_IN_FLIGHT._name
    adapter = yaml.safe_load((CHECKOUT / "deploy" / "prometheus" / "adapter.yml").read_text())
    assert [rule["name"]["as"] for rule in adapter["rules"]] == [name]
    assert all(name in rule[query] for rule in adapter["rules"] for query in ("seriesQuery", "metricsQuery"))


def test_prometheus_finds_the_pods_that_have_figures_and_no_others() -> None:
    configured = yaml.safe_load((CHECKOUT / "deploy" / "prometheus" / "kubernetes.yml").read_text())
    (job,) = configured["scrape_configs"]
    keep = next(one for one in job["relabel_configs"] if one.get("action") == "keep")
    matching = []
    for one in every(**EVERYTHING):
        if one["kind"] in ("Deployment", "Job", "CronJob"):
            pod = pod_of(one)
            (only,) = pod["spec"]["containers"]
            for port in only.get("ports", [{"name": ""}]):
                told = f"{pod['metadata']['labels']['app.kubernetes.io/name']};{port['name']}"
                if re.fullmatch(keep["regex"], told):
                    matching.append(one["metadata"]["name"])
    serving = rendered()["Deployment"]["metadata"]["name"]
    assert sorted(matching) == [serving, f"{serving}-worker"]


def test_background_workers_do_the_runs_then_and_get_no_traffic() -> None:
    objects = every(backgroundWorkers={"replicas": 3})
    serving, working = sorted(
        (one for one in objects if one["kind"] == "Deployment"), key=lambda one: one["metadata"]["name"]
    )
    for one in (serving, working):
        given = {variable["name"]: variable["value"] for variable in container(one)["env"]}
        assert given["CHECKERBOARD_RUNS_BY"] == "worker"
    assert working["spec"]["replicas"] == 3
    assert working["spec"]["selector"]["matchLabels"] == working["spec"]["template"]["metadata"]["labels"]
    (service,) = (one for one in objects if one["kind"] == "Service")
    assert (
        not service["spec"]["selector"].items() <= working["spec"]["template"]["metadata"]["labels"].items()
    )
    alone = container(rendered()["Deployment"])["env"]
    assert "CHECKERBOARD_RUNS_BY" not in {variable["name"] for variable in alone}


def test_traffic_and_budget_are_for_the_pods_that_serve() -> None:
    objects = rendered()
    served = objects["Deployment"]["spec"]["selector"]["matchLabels"]
    assert objects["Service"]["spec"]["selector"] == served
    assert objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"] == served
    assert not served.items() <= objects["Job"]["spec"]["template"]["metadata"]["labels"].items()


def test_what_is_started_is_a_command_of_ours() -> None:
    started = set()
    for one in every(**EVERYTHING):
        if one["kind"] in ("Deployment", "Job", "CronJob"):
            command, *words = pod_of(one)["spec"]["containers"][0]["args"]
            told = CliRunner(env={"COLUMNS": "200"}).invoke(app, [command, "--help"])
            assert told.exit_code == 0
            assert all(word in told.output for word in words if word.startswith("--"))
            started.add(command)
    assert started == {"serve", "worker", "migrate", "prune"}


def test_the_probes_ask_routes_that_exist() -> None:
    served = container(rendered()["Deployment"])
    paths = {
        served[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    routes = (CHECKOUT / "docs" / "openapi.json").read_text(encoding="utf-8")
    assert paths == {"/healthz", "/readyz"}
    assert all(f'"{path}"' in routes for path in paths)

"""The dashboard and the alert rules name figures that there are, with labels and values that they have."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase

from tools.core import errors, metrics
from tools.core.settings import CHECKOUT

DEPLOY = CHECKOUT / "deploy"
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_NAME = re.compile(r"checkerboard_\w+")
_SELECTOR = re.compile(r"(checkerboard_\w+)\{([^}]*)\}")
_BY = re.compile(r"by \(([^)]*)\) \((?:rate|increase|max by \([^)]*\) )?\(?(checkerboard_\w+)")


def figures() -> dict[str, set[str]]:
    """The labels of each figure by the name that queries give it."""
    found = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            for suffix in _SUFFIXES[metric._type]:
                le = {"le"} if suffix == "_bucket" else set()
                found[f"{metric._name}{suffix}"] = {*metric._labelnames, *le}
        elif isinstance(metric, metrics.StoreFigure):
            found[metric.name] = {*metric.labels}
    return found


def names() -> Iterator[str]:
    """The name of each figure, without what Prometheus adds to it."""
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            yield metric._name
        elif isinstance(metric, metrics.StoreFigure):
            yield metric.name


def queries() -> Iterator[str]:
    dashboard = json.loads((DEPLOY / "grafana" / "checkerboard.json").read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    for group in rules["groups"]:
        yield from (rule["expr"] for rule in group["rules"] if "checkerboard_" in rule["expr"])


@pytest.mark.parametrize("query", list(queries()))
def test_a_query_asks_for_what_there_is(query: str) -> None:
    known = figures()
    assert set(_NAME.findall(query)) <= set(known)
    for name, selectors in _SELECTOR.findall(query):
        assert set(re.findall(r"(\w+)[=!]", selectors)) <= known[name]
    for labels, name in _BY.findall(query):
        assert set(labels.split(", ")) <= known[name]


def test_every_figure_is_in_a_panel_or_an_alert_and_in_the_docs() -> None:
    asked = " ".join(queries())
    docs = (CHECKOUT / "docs" / "operations.md").read_text(encoding="utf-8")
    for name in names():
        assert name in asked, name
        assert f"`{name.removeprefix('checkerboard_')}" in docs, name


def test_the_codes_in_alerts_are_codes_of_the_service() -> None:
    codes = {
        error.code
        for _, error in inspect.getmembers(errors, inspect.isclass)
        if issubclass(error, errors.ServiceError) and hasattr(error, "code")
    }
    rules = (DEPLOY / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    for pattern in re.findall(r'outcome=~"([^"]+)"', rules):
        for code in pattern.split("|"):
            assert any(re.fullmatch(code, known) for known in codes), code

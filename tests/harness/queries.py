"""What dashboards and alerts ask Prometheus, and the names in it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from llm_orchestrator_client.rollout.metrics import RolloutMetrics
from telemetry.names import METRICS, Kind

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
ALERTS = DEPLOY / "prometheus/alerts.yml"

_OURS = r"(?:up\b|(?:rpc_server|orchestrator|gen_ai|llm_rollout)_\w+)"
_SELECTOR = re.compile(rf'(?<!\w){_OURS}\b(?:\{{(?:[^"}}]|"[^"]*")*\}})?')
_LABEL = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"')
_BY = re.compile(r"\b(?:by|without|on)\s*\(([^)]*)\)")
_COMPARED = re.compile(r"\s(?:>=|<=|==|>|<)\s[\d.]+$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Query:
    """`where` it stands, and the PromQL as it stands there."""

    where: str
    text: str

    @property
    def bare(self) -> str:
        """Without what narrows it down to a job, and with a window that holds all of a short run."""
        return self.text.replace("$__rate_interval", "1m").replace("$job", ".*")

    @property
    def selectors(self) -> list[str]:
        """The series that it reads, as `name` or `name{label="value"}`."""
        return sorted(set(_SELECTOR.findall(_BY.sub("", self.bare))))

    @property
    def names(self) -> set[str]:
        return {selector.partition("{")[0] for selector in self.selectors}

    @property
    def labels(self) -> set[str]:
        """Those that it picks series by, or groups them by."""
        grouped = {label.strip() for labels in _BY.findall(self.text) for label in labels.split(",")}
        return grouped | set(_LABEL.findall(self.text))


def panels(dashboard: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(dashboard.read_text())["panels"]
    return found


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def of_dashboards() -> list[Query]:
    return [
        Query(f"{file.stem}: {panel['title']} {target['refId']}", target["expr"])
        for file in DASHBOARDS
        for panel in panels(file)
        for target in panel["targets"]
    ]


def of_alerts() -> list[Query]:
    """The figures that alerts compare, without what they are compared with."""
    return [
        Query(f"{rule['alert']} {number}", part)
        for rule in alerts()
        for number, part in enumerate(re.split(r"^and ", rule["expr"].strip(), flags=re.MULTILINE))
        for part in [_COMPARED.sub("", part)]
    ]


def exported() -> dict[str, set[str]]:
    """The labels of every series of the service and of a backend, by its name; Prometheus' own too."""
    found = {"up": set[str]()}
    for metric in METRICS:
        parts = ("_bucket", "_sum", "_count") if metric.kind is Kind.HISTOGRAM else ("",)
        found |= {metric.name + part: set(metric.labels) for part in parts}
        found |= {metric.name + "_bucket": {*metric.labels, "le"}} if metric.buckets else {}
    return {name: labels | {"job", "instance"} for name, labels in [*found.items(), *_of_backends()]}


def _of_backends() -> Iterator[tuple[str, set[str]]]:
    metrics = RolloutMetrics(CollectorRegistry())
    for metric in vars(metrics).values():
        labels = set(metric._labelnames)
        one: Sample
        child = metric.labels(*labels) if labels else metric
        for one in child._child_samples():
            yield metric._name + one.name, labels | set(one.labels)

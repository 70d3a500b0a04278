"""Dashboards, alerts and the runbook: what can be said of them without running anything but promtool."""

import re
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.dashboards import COLUMNS, FOLDER, SCHEMA_VERSION, dashboard
from tests.harness.prometheus import missing
from tests.harness.queries import (
    ALERTS,
    DASHBOARDS,
    DEPLOY,
    Query,
    alerts,
    exported,
    of_alerts,
    of_dashboards,
    panels,
)

RUNBOOK = (DEPLOY.parent / "docs/runbook.md").read_text()
TESTS = DEPLOY / "prometheus/alerts_test.yml"
UNITS = {"none", "percent", "percentunit", "s", "ops", "reqps"}
KINDS = {"stat", "timeseries", "state-timeline"}

promtool = pytest.mark.skipif(bool(missing()), reason=missing() or "it is there")


def loaded(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    return found


def test_each_dashboard_is_what_its_source_makes() -> None:
    assert [file.stem for file in DASHBOARDS] == ["agents", "overview", "providers", "rollout"]
    for source in sorted(FOLDER.glob("*.toml")):
        assert source.with_suffix(".json").read_text() == dashboard(source.read_text()), "make dashboards"


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_a_dashboard_asks_the_source_that_is_chosen_and_tells_what_each_panel_shows(file: Path) -> None:
    made = loaded(file)
    assert made["schemaVersion"] == SCHEMA_VERSION >= 39
    variables = {variable["name"]: variable for variable in made["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    assert len({panel["id"] for panel in made["panels"]}) == len(made["panels"])
    for panel in made["panels"]:
        assert panel["type"] in KINDS
        assert panel["title"]
        assert panel["description"].endswith(".")
        sources = [panel, *panel["targets"]]
        assert {source["datasource"]["uid"] for source in sources} == {"${datasource}"}
        defaults = panel["fieldConfig"]["defaults"]
        assert defaults["unit"] in UNITS
        values = [step["value"] for step in defaults["thresholds"]["steps"]]
        assert values[0] is None
        assert values[1:] == sorted(values[1:])


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.stem)
def test_panels_stand_beside_each_other_and_never_over(file: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in panels(file)):
        cells = {(x + place["x"], y + place["y"]) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in cells) < COLUMNS
        assert not cells & taken
        taken |= cells


@pytest.mark.parametrize("query", [*of_dashboards(), *of_alerts()], ids=lambda query: query.where)
def test_a_query_reads_only_what_we_export_by_labels_that_it_has(query: Query) -> None:
    known = exported()
    assert query.names
    assert query.names <= set(known)
    assert query.labels <= set().union(*(known[name] for name in query.names))


def test_a_name_that_nobody_exports_and_a_label_that_there_is_not_are_found() -> None:
    query = Query(
        "", 'sum by (jib) (rate(orchestrator_runs{kind="chat"}[5m])) / up{job="orchestrator_runs_total"}'
    )
    assert query.names == {"orchestrator_runs", "up"}
    assert query.names - set(exported()) == {"orchestrator_runs"}
    assert query.labels == {"jib", "kind", "job"}


def test_each_query_of_a_dashboard_is_narrowed_down_to_the_chosen_job() -> None:
    for query in of_dashboards():
        assert query.text.count('job=~"$job"') == len(re.findall(r"\{", query.text)), query.where


def test_every_alert_has_its_entry_in_the_runbook_and_every_entry_its_alert() -> None:
    entries = re.findall(r"^## (\w+)\n\n(.*?)(?=^## |\Z)", RUNBOOK, re.M | re.S)
    names = [alert["alert"] for alert in alerts()]
    assert [name for name, _ in entries] == names
    for name, text in entries:
        assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.M) == ["Means", "Look", "Do"], name
    for alert in alerts():
        assert alert["annotations"]["runbook"] == f"docs/runbook.md#{alert['alert'].lower()}"
        assert alert["labels"]["severity"] in ("critical", "warning")


def test_every_alert_is_tried_where_it_fires_and_where_it_is_quiet() -> None:
    tried = defaultdict(set)
    for test in loaded(TESTS)["tests"]:
        for case in test["alert_rule_test"]:
            tried[case["alertname"]].add(bool(case["exp_alerts"]))
    assert tried == {alert["alert"]: {True, False} for alert in alerts()}


@promtool
@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_finds_nothing_wrong(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["promtool", *command], cwd=ALERTS.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

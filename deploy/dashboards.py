"""Grafana's dashboards, of the TOML files in deploy/grafana: `make dashboards` writes the JSON beside them.

A file is a dashboard; its panels stand from left to right as they are written, 24 columns to a row. A query
is [legend, PromQL]; a step is [value, colour], and below the first one all is green.
"""

import json
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "grafana"
SCHEMA_VERSION = 39
COLUMNS = 24

_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_HEIGHTS = {"stat": 4}
_STEPPED = ("stat", "state-timeline")


def dashboard(text: str) -> str:
    """The JSON that Grafana imports, of the TOML `text`.

    Raises:
        KeyError: A panel lacks its title, text, unit or queries.
    """
    source = tomllib.loads(text)
    made = {
        "uid": source["uid"],
        "title": source["title"],
        "description": source["text"],
        "tags": ["llm-orchestrator"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "annotations": {"list": []},
        "links": [_links()],
        "templating": {"list": list(_variables(source["jobs_of"]))},
        "panels": [
            _panel(number, panel, place)
            for number, panel, place in zip(count(1), source["panel"], _places(source["panel"]), strict=False)
        ],
    }
    return json.dumps(made, indent=1) + "\n"


def _links() -> dict[str, Any]:
    return {
        "type": "dashboards",
        "title": "llm-orchestrator",
        "tags": ["llm-orchestrator"],
        "asDropdown": True,
    }


def _variables(jobs_of: str) -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}
    query = f"label_values({jobs_of}, job)"
    yield {
        "name": "job",
        "label": "Job",
        "type": "query",
        "datasource": _SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "jobs"},
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _places(panels: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, int]]:
    x = y = height = 0
    for panel in panels:
        width, own = panel.get("width", 8), _HEIGHTS.get(panel.get("kind", ""), 8)
        if x + width > COLUMNS:
            x, y, height = 0, y + height, 0
        yield {"x": x, "y": y, "w": width, "h": own}
        x, height = x + width, max(height, own)


def _panel(number: int, panel: Mapping[str, Any], place: Mapping[str, int]) -> dict[str, Any]:
    kind = panel.get("kind", "timeseries")
    return {
        "id": number,
        "type": kind,
        "title": panel["title"],
        "description": panel["text"],
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": _defaults(kind, panel), "overrides": []},
        "options": _options(kind),
        "targets": [
            {
                "refId": chr(ord("A") + n),
                "datasource": _SOURCE,
                "expr": expr,
                "legendFormat": legend,
                "range": True,
            }
            for n, (legend, expr) in enumerate(panel["queries"])
        ],
    }


def _defaults(kind: str, panel: Mapping[str, Any]) -> dict[str, Any]:
    steps = [{"value": value, "color": colour} for value, colour in panel.get("steps", [])]
    defaults: dict[str, Any] = {
        "unit": panel["unit"],
        "min": 0,
        "thresholds": {"mode": "absolute", "steps": [{"value": None, "color": "green"}, *steps]},
        "color": {"mode": "thresholds" if kind in _STEPPED else "palette-classic"},
    }
    if "words" in panel:
        words = {value: {"text": text, "index": n} for n, (value, text) in enumerate(panel["words"].items())}
        defaults["mappings"] = [{"type": "value", "options": words}]
    if kind == "timeseries":
        shown = "dashed" if steps else "off"
        defaults["custom"] = {"fillOpacity": 10, "showPoints": "never", "thresholdsStyle": {"mode": shown}}
    return defaults


def _options(kind: str) -> dict[str, Any]:
    if kind == "stat":
        reduced = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {"reduceOptions": reduced, "colorMode": "value", "graphMode": "area"}
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    return {"legend": legend, "tooltip": {"mode": "multi"}}


def main() -> None:
    """Write the JSON beside each TOML."""
    for source in sorted(FOLDER.glob("*.toml")):
        source.with_suffix(".json").write_text(dashboard(source.read_text()))


if __name__ == "__main__":
    main()

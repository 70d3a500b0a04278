"""What is shipped for containers, read as data."""

import re
from pathlib import Path
from typing import Any

import yaml

from config.names import variables

ROOT = Path(__file__).resolve().parents[3]
COMPOSE = ROOT / "docker-compose.yml"
KUBERNETES = ROOT / "deploy/kubernetes"
SETTINGS = frozenset(variable.name for variable in variables())
"""The environment's names of all settings of the service."""

CLOSING_SECONDS = 20.0
"""What a stop may take after the drain: streams that are cut, relays, the pool."""


def documents(file: Path) -> list[dict[str, Any]]:
    """Of a YAML file that may hold several."""
    return [document for document in yaml.safe_load_all(file.read_text()) if document]


def services() -> dict[str, dict[str, Any]]:
    """Of docker-compose.yml, by name."""
    found: dict[str, dict[str, Any]] = documents(COMPOSE)[0]["services"]
    return found


def seconds(text: str) -> float:
    """Of a duration as Compose writes it, in whole seconds."""
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"s": 1, "m": 60}[unit]


def image_environment() -> dict[str, dict[str, str]]:
    """What the Dockerfile sets, by the name of its stage; the last one is `llm-orchestrator`."""
    stages: dict[str, dict[str, str]] = {}
    name = ""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        if line.startswith("FROM "):
            name = line.split(" AS ")[1] if " AS " in line else "llm-orchestrator"
            stages[name] = {}
        elif line.startswith("ENV "):
            stages[name].update(re.findall(r"(\w+)=(\S+)", line))
    return stages


def exposed() -> dict[str, set[str]]:
    """The ports of the Dockerfile's EXPOSE, as `image_environment`."""
    ports: dict[str, set[str]] = {}
    name = ""
    for line in (ROOT / "Dockerfile").read_text().splitlines():
        if line.startswith("FROM "):
            name = line.split(" AS ")[1] if " AS " in line else "llm-orchestrator"
        elif line.startswith("EXPOSE "):
            ports[name] = set(line.split()[1:])
    return ports

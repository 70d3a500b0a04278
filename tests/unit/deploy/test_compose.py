"""docker-compose.yml: the rules that it keeps, and that everything it names is there."""

import re
from typing import Any

import pytest

from backend.settings import ServerSettings as BackendServerSettings
from backend.settings import misspelt as misspelt_of_backend
from config.address import is_loopback
from config.settings import ServerSettings
from llm_orchestrator_client.rollout.flags import Flag
from providers.file.reading import read_configuration
from tests.unit.deploy.shipped import (
    CLOSING_SECONDS,
    COMPOSE,
    ROOT,
    SETTINGS,
    documents,
    exposed,
    image_environment,
    seconds,
    services,
)

OURS = "llm-orchestrator"
PROFILES = {
    "backend": {"backend"},
    "edge": {"envoy"},
    "events": {"kafka"},
    "gpu": {"gpu-model"},
    "observability": {"grafana", "prometheus"},
}
WRITES_TO_ITSELF = {"kafka", "gpu-model"}
every_service = pytest.mark.parametrize("name", sorted(services()))


def mounts(service: dict[str, Any]) -> list[list[str]]:
    """As [source, target] or [source, target, mode]."""
    return [mount.split(":") for mount in service.get("volumes", [])]


def test_a_plain_up_is_the_service_and_its_postgres() -> None:
    plain = {name for name, service in services().items() if not service.get("profiles")}
    assert plain == {OURS, "postgres"}
    found: dict[str, set[str]] = {}
    for name, service in services().items():
        for profile in service.get("profiles", []):
            found.setdefault(profile, set()).add(name)
    assert found == PROFILES


def test_three_replicas_have_a_port_each() -> None:
    assert services()[OURS]["ports"] == ["127.0.0.1:50051-50053:50051"]


@every_service
def test_a_service_can_be_scaled_and_restarted_alone(name: str) -> None:
    service = services()[name]
    assert "container_name" not in service
    for dependency in service.get("depends_on", {}).values():
        assert dependency == {"condition": "service_healthy"}


@every_service
def test_a_port_is_published_on_this_machine_only(name: str) -> None:
    for port in services()[name].get("ports", []):
        assert is_loopback(port.split(":")[0] + ":0")
    assert "network_mode" not in services()[name]


@every_service
def test_what_a_service_may_use_is_bounded(name: str) -> None:
    limits = services()[name]["deploy"]["resources"]["limits"]
    assert limits["pids"] > 0
    assert float(limits["cpus"]) > 0
    assert re.fullmatch(r"\d+[mg]", limits["memory"])
    assert services()[name]["logging"]["options"].keys() == {"max-size", "max-file"}


@every_service
def test_a_service_gains_no_rights_and_writes_only_where_it_says(name: str) -> None:
    service = services()[name]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["cap_drop"] == ["ALL"]
    assert "privileged" not in service
    assert bool(service.get("cap_add")) is (name == "postgres")
    assert service.get("read_only", False) is (name not in WRITES_TO_ITSELF)
    for source, _, *mode in mounts(service):
        assert mode == (["ro"] if source.startswith(".") else [])


@every_service
def test_what_is_mounted_exists(name: str) -> None:
    volumes = documents(COMPOSE)[0]["volumes"]
    for source, _, *_ in mounts(services()[name]):
        assert (ROOT / source).exists() if source.startswith(".") else source in volumes


@every_service
def test_an_image_that_is_pulled_has_a_version(name: str) -> None:
    tag = services()[name]["image"].partition(":")[2]
    assert re.search(r"\d+\.\d+", tag)


def test_prompts_and_provider_files_can_be_changed_while_it_runs() -> None:
    targets = {target: source for source, target, *_ in mounts(services()[OURS])}
    assert targets == {
        "/app/agents/catalog": "./agents/catalog",
        "/etc/llm-orchestrator": "./deploy/providers",
    }


def test_every_name_in_the_environment_is_a_setting() -> None:
    images = image_environment()
    own = {name for name in images[OURS] if name != "PATH"}
    assert set(services()[OURS]["environment"]) | own <= SETTINGS
    names = {*services()["backend"]["environment"], *images["backend"]} - {"PYTHONPATH"}
    assert not misspelt_of_backend(names)
    assert {name for name in names if not name.startswith("BACKEND_")} <= {flag.value for flag in Flag}


@pytest.mark.parametrize("name", [OURS, "backend"])
def test_the_grace_is_longer_than_the_drain(name: str) -> None:
    drain = (ServerSettings() if name == OURS else BackendServerSettings()).drain_seconds
    assert seconds(services()[name]["stop_grace_period"]) >= drain + CLOSING_SECONDS


def test_the_image_opens_what_it_exposes_and_nobody_publishes_the_metrics() -> None:
    environment = image_environment()[OURS]
    addresses = [environment["ORCHESTRATOR_SERVER__ADDRESS"], environment["ORCHESTRATOR_METRICS__ADDRESS"]]
    assert {address.removeprefix("0.0.0.0:") for address in addresses} == exposed()[OURS]
    assert not [port for port in services()[OURS]["ports"] if port.endswith(":9464")]


def test_prometheus_finds_every_replica_by_its_service() -> None:
    jobs = documents(ROOT / "deploy/prometheus/compose.yml")[0]["scrape_configs"]
    found = {job["job_name"]: job["dns_sd_configs"] for job in jobs}
    assert set(found) <= set(services())
    targets = {(one["names"][0], one["type"], one["port"]) for all_of in found.values() for one in all_of}
    assert targets == {(OURS, "A", 9464), ("backend", "A", 8080), ("envoy", "A", 9902)}


def test_grafana_loads_the_dashboards_that_are_mounted() -> None:
    targets = {target: ROOT / source for source, target, *_ in mounts(services()["grafana"])}
    folder = targets["/etc/grafana/provisioning"]
    [provider] = documents(folder / "dashboards/llm-orchestrator.yml")[0]["providers"]
    assert {file.stem for file in targets[provider["options"]["path"]].glob("*.json")} == {
        "agents",
        "overview",
        "providers",
        "rollout",
    }
    [source] = documents(folder / "datasources/prometheus.yml")[0]["datasources"]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")


def test_the_gpu_server_is_an_entry_of_its_provider_file() -> None:
    options = dict(option[2:].partition("=")[::2] for option in services()["gpu-model"]["command"])
    read = read_configuration(ROOT / "deploy/providers/gpu.toml", {}, production=True)
    assert read.providers["gpu"].base_url == "http://gpu-model:8000/v1"
    assert read.providers["gpu"].limits.max_concurrency == int(options["max-num-seqs"])
    [model] = read.models.values()
    assert (model.model, model.context_tokens) == (options["model"], int(options["max-model-len"]))
    assert {name for names in read.classes.values() for name in names} == set(read.models)

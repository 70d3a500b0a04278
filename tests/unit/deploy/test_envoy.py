"""Envoy's configuration: it is valid, leads to the service, and repeats nothing that a replica has begun."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.envoy_at import SHIPPED, envoy_at
from tests.unit.deploy.shipped import ROOT, documents, services

ENVOY = Path(sys.executable).with_name("envoy")


def shipped() -> dict[str, Any]:
    return documents(SHIPPED)[0]


def cluster(configuration: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [one for one in configuration["static_resources"]["clusters"] if one["name"] == name]
    return dict(found)


def addresses(part: dict[str, Any]) -> list[str]:
    endpoints = part["load_assignment"]["endpoints"][0]["lb_endpoints"]
    sockets = [one["endpoint"]["address"]["socket_address"] for one in endpoints]
    return [f"{socket['address']}:{socket['port_value']}" for socket in sockets]


@pytest.mark.skipif(not ENVOY.exists(), reason="Envoy is a wheel for Linux")
@pytest.mark.parametrize("replicas", [1, 3])
def test_envoy_takes_the_configuration_of_other_addresses_too(tmp_path: Path, replicas: int) -> None:
    names = [f"127.0.0.1:{6000 + number}" for number in range(replicas)]
    made = envoy_at("127.0.0.1:0", names, watching="127.0.0.1:7001", admin="127.0.0.1:7000")
    file = tmp_path / "envoy.yaml"
    file.write_text(made)
    command = [str(ENVOY), "--mode", "validate", "--config-path", str(file)]
    tried = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert tried.returncode == 0, tried.stderr
    read = yaml.safe_load(made)
    assert addresses(cluster(read, "orchestrator")) == names
    assert addresses(cluster(read, "admin")) == ["127.0.0.1:7000"]
    assert "llm-orchestrator" not in made


def test_with_tls_callers_see_a_certificate_and_replicas_must_show_theirs() -> None:
    read = yaml.safe_load(envoy_at("127.0.0.1:0", ["127.0.0.1:1"], tls="/tls", name="ours"))
    grpc, watching = read["static_resources"]["listeners"]
    seen = grpc["filter_chains"][0]["transport_socket"]["typed_config"]["common_tls_context"]
    assert seen["tls_certificates"][0]["private_key"] == {"filename": "/tls/tls.key"}
    assert "transport_socket" not in watching["filter_chains"][0]
    known = cluster(read, "orchestrator")["transport_socket"]["typed_config"]
    validation = known["common_tls_context"]["validation_context"]
    assert validation["trusted_ca"] == {"filename": "/tls/ca.crt"}
    assert validation["match_typed_subject_alt_names"] == [{"san_type": "DNS", "matcher": {"exact": "ours"}}]
    assert known["sni"] == "ours"


def test_it_leads_to_every_replica_and_only_while_it_serves() -> None:
    upstream = cluster(shipped(), "orchestrator")
    assert addresses(upstream) == ["llm-orchestrator:50051"]
    assert "llm-orchestrator" in services()
    assert (upstream["cluster_type"]["name"], upstream["lb_policy"]) == ("envoy.cluster.dns", "ROUND_ROBIN")
    assert upstream["common_lb_config"]["healthy_panic_threshold"] == {"value": 0}
    [check] = upstream["health_checks"]
    assert check["grpc_health_check"]["service_name"] in (ROOT / "deploy/healthcheck.py").read_text()


def test_a_stream_has_no_time_limit_and_only_what_was_not_sent_is_repeated() -> None:
    grpc = shipped()["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    [route] = grpc["route_config"]["virtual_hosts"][0]["routes"]
    assert (grpc["stream_idle_timeout"], grpc["request_timeout"]) == ("0s", "0s")
    assert (route["route"]["timeout"], route["route"]["idle_timeout"]) == ("0s", "0s")
    tried_again = set(route["route"]["retry_policy"]["retry_on"].split(","))
    assert tried_again == {"connect-failure", "refused-stream", "reset-before-request"}


def test_its_administration_is_not_published() -> None:
    assert shipped()["admin"]["address"]["socket_address"]["address"] == "127.0.0.1"
    assert services()["envoy"]["ports"] == ["127.0.0.1:50050:50050"]

"""deploy/kubernetes: what pods may do, how they stop, and by what their number changes."""

from typing import Any

import pytest

from config.settings import ServerSettings
from providers.file.reading import read_configuration
from telemetry.names import METRICS
from tests.unit.deploy.shipped import CLOSING_SECONDS, KUBERNETES, ROOT, SETTINGS, documents, exposed

BASE = KUBERNETES / "base"
LABELS = {"app.kubernetes.io/name": "llm-orchestrator"}
SERVICE = "orchestrator.OrchestratorService"
FILES_AT = "/etc/llm-orchestrator/files"


def one(kind: str) -> dict[str, Any]:
    """The only document of its kind."""
    kustomization = documents(BASE / "kustomization.yaml")[0]
    found = [document for file in kustomization["resources"] for document in documents(BASE / file)]
    [wanted] = [document for document in found if document["kind"] == kind]
    return wanted


def pod() -> dict[str, Any]:
    return dict(one("Deployment")["spec"]["template"]["spec"])


def settings() -> dict[str, str]:
    lines = (BASE / "settings.env").read_text().split()
    return dict(line.split("=", 1) for line in lines)


CONTAINERS = [*pod()["initContainers"], *pod()["containers"]]


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda container: str(container["name"]))
def test_a_container_gains_no_rights_and_has_bounds(container: dict[str, Any]) -> None:
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"].keys() >= {"cpu", "memory", "ephemeral-storage"}
    assert container["resources"]["requests"].keys() >= {"cpu", "memory"}
    written = {mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")}
    assert written == {"/tmp", "/app/.data"}


def test_a_pod_is_the_images_user_and_has_no_token_of_the_cluster() -> None:
    own = pod()["securityContext"]
    assert f"--uid {own['runAsUser']} " in (ROOT / "Dockerfile").read_text()
    assert own["runAsNonRoot"] is True
    assert own["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod()["automountServiceAccountToken"] is False
    assert pod()["enableServiceLinks"] is False
    [enforced] = one("Namespace")["metadata"]["labels"].values()
    assert enforced == "restricted"


def test_a_pod_that_stops_leaves_its_name_first_and_has_time_to_drain() -> None:
    [container] = pod()["containers"]
    waits = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = float(settings().get("ORCHESTRATOR_SERVER__DRAIN_SECONDS", ServerSettings().drain_seconds))
    assert pod()["terminationGracePeriodSeconds"] >= waits + drain + CLOSING_SECONDS
    seen = container["readinessProbe"]["periodSeconds"] * container["readinessProbe"]["failureThreshold"]
    assert waits >= seen


def test_readiness_is_the_services_and_liveness_the_processs() -> None:
    [container] = pod()["containers"]
    assert container["startupProbe"]["grpc"] == {"port": 50051, "service": SERVICE}
    assert container["readinessProbe"]["grpc"] == {"port": 50051, "service": SERVICE}
    assert container["livenessProbe"]["grpc"] == {"port": 50051}


def test_a_new_version_is_there_before_an_old_one_goes() -> None:
    spec = one("Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert "replicas" not in spec  # the autoscaler's
    assert one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    keys = {spread["topologyKey"] for spread in pod()["topologySpreadConstraints"]}
    assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}


def test_one_way_or_another_everything_is_about_the_same_pods() -> None:
    spec = one("Deployment")["spec"]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"] == LABELS
    assert one("Service")["spec"]["selector"] == LABELS
    assert one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == LABELS
    assert one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"] == LABELS
    for spread in pod()["topologySpreadConstraints"]:
        assert spread["labelSelector"]["matchLabels"] == LABELS


def test_the_name_leads_to_each_pod() -> None:
    spec = one("Service")["spec"]
    assert spec["clusterIP"] == "None"
    ports = {port["targetPort"]: port["port"] for port in spec["ports"]}
    [container] = pod()["containers"]
    assert ports == {port["name"]: port["containerPort"] for port in container["ports"]}
    assert {str(port) for port in ports.values()} == exposed()["llm-orchestrator"]


def test_the_number_of_pods_follows_metrics_that_there_are() -> None:
    metrics = one("HorizontalPodAutoscaler")["spec"]["metrics"]
    names = {metric[metric["type"].lower()]["metric"]["name"] for metric in metrics}
    assert names == {"orchestrator_active_streams", "orchestrator_queue_depth"}
    assert names <= {metric.name for metric in METRICS}
    rules = documents(KUBERNETES / "prometheus-adapter.yaml")[0]["rules"]
    served = {kind: {rule["name"]["matches"].strip("^$") for rule in rules[kind]} for kind in rules}
    assert served == {"custom": {"orchestrator_active_streams"}, "external": {"orchestrator_queue_depth"}}
    for kind, begins in (("custom", "sum"), ("external", "max")):
        assert all(rule["metricsQuery"].startswith(f"{begins} by") for rule in rules[kind])


def test_only_named_pods_call_and_private_networks_are_not_called() -> None:
    spec = one("NetworkPolicy")["spec"]
    assert sorted(spec["policyTypes"]) == ["Egress", "Ingress"]
    assert all(rule["from"] for rule in spec["ingress"])
    assert {port["port"] for rule in spec["ingress"] for port in rule["ports"]} == {50051, 9464}
    [outside] = [peer["ipBlock"] for rule in spec["egress"] for peer in rule["to"] if "ipBlock" in peer]
    assert {"10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} <= set(outside["except"])


def test_every_name_in_the_environment_is_a_setting_and_no_secret_is_in_a_file() -> None:
    secret = documents(BASE / "secret.example.yaml")[0]
    assert not any(secret["stringData"].values())
    assert "secret.example.yaml" not in documents(BASE / "kustomization.yaml")[0]["resources"]
    assert {*settings(), *secret["stringData"]} <= SETTINGS
    for container in CONTAINERS:
        assert [next(iter(source.values()))["name"] for source in container["envFrom"]] == [
            "llm-orchestrator-settings",
            secret["metadata"]["name"],
        ]


def test_the_provider_file_is_mounted_where_the_setting_says() -> None:
    keys = dict.fromkeys(documents(BASE / "secret.example.yaml")[0]["stringData"], "key")
    assert read_configuration(BASE / "providers.toml", keys, production=True).classes.keys() >= {"chat"}
    assert settings()["ORCHESTRATOR_PROVIDER__FILE"] == f"{FILES_AT}/providers.toml"
    [container] = pod()["containers"]
    assert {"name": "files", "mountPath": FILES_AT, "readOnly": True} in container["volumeMounts"]

"""The variants with TLS: plain text is off, and everything that they name is a setting."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from backend.settings import misspelt as misspelt_of_backend
from config.settings import Settings
from tests.unit.deploy.shipped import KUBERNETES, ROOT, SETTINGS, documents, image_environment, services

CERTIFICATE = "ORCHESTRATOR_SECURITY__CERTIFICATE_FILE"
OFF = ("ORCHESTRATOR_SERVER__ALLOW_PLAINTEXT", "false")


def of_compose() -> dict[str, dict[str, Any]]:
    return dict(documents(ROOT / "deploy/compose.tls.yml")[0]["services"])


def of_kubernetes() -> dict[str, str]:
    lines = (KUBERNETES / "tls/settings.env").read_text().split()
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize(
    "environment",
    [of_compose()["llm-orchestrator"]["environment"], of_kubernetes()],
    ids=["Compose", "Kubernetes"],
)
@pytest.mark.skipif(CERTIFICATE not in SETTINGS, reason="the service has no TLS yet")
def test_plain_text_is_off_and_callers_have_names(environment: dict[str, str]) -> None:
    assert set(environment) <= SETTINGS
    assert OFF in environment.items()
    assert {CERTIFICATE, "ORCHESTRATOR_SECURITY__IDENTITIES_FILE"} <= set(environment)


def test_the_image_alone_is_closed_and_who_opens_it_says_so() -> None:
    name, _ = OFF
    environment = image_environment()["llm-orchestrator"]
    server = {"address": environment["ORCHESTRATOR_SERVER__ADDRESS"]}
    assert name not in environment
    with pytest.raises(ValidationError, match=name):
        Settings(_env_file=None, server=server)  # type: ignore[call-arg, arg-type]
    assert services()["llm-orchestrator"]["environment"][name] == "true"
    assert f"{name}=true" in (KUBERNETES / "base/settings.env").read_text().split()


def test_files_are_read_only_and_mounted_where_the_settings_say() -> None:
    for service in of_compose().values():
        assert all(mount.endswith(":ro") for mount in service["volumes"])
    [folder] = [mount.split(":")[-2] for mount in of_compose()["llm-orchestrator"]["volumes"]]
    files = [value for value in of_compose()["llm-orchestrator"]["environment"].values() if "/" in value]
    assert all(file.startswith(f"{folder}/") for file in files)
    patch = documents(KUBERNETES / "tls/deployment.yaml")[0]["spec"]["template"]["spec"]
    mounts = {mount["mountPath"] for mount in patch["containers"][0]["volumeMounts"]}
    assert {file.rpartition("/")[0] for file in of_kubernetes().values() if "/" in file} == mounts
    assert all("secret" in volume for volume in patch["volumes"])


def test_the_backend_trusts_the_ca_and_brings_a_token() -> None:
    environment = of_compose()["backend"]["environment"]
    assert environment.keys() == {"BACKEND_ORCHESTRATOR__TLS_CA", "BACKEND_ORCHESTRATOR__TOKEN"}
    assert not misspelt_of_backend(environment)
    assert set(of_compose()) <= set(services())


def test_envoy_reads_the_key_as_the_user_that_may() -> None:
    pod = documents(KUBERNETES / "base/deployment.yaml")[0]["spec"]["template"]["spec"]["securityContext"]
    assert of_compose()["envoy"]["user"] == f"{pod['runAsUser']}:{pod['runAsGroup']}"


def test_the_certificate_that_is_shown_has_every_name_that_callers_use() -> None:
    [names] = re.findall(r"subjectAltName=(\S+)\)", (ROOT / "docs/deployment.md").read_text())
    assert set(names.split(",")) == {"DNS:llm-orchestrator", "DNS:envoy", "DNS:localhost"}


def test_probes_that_speak_no_tls_ask_the_port_of_the_metrics() -> None:
    patch = documents(KUBERNETES / "tls/deployment.yaml")[0]["spec"]["template"]["spec"]
    [container] = patch["containers"]
    pages = {
        kind: container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("startup", "readiness", "liveness")
    }
    assert pages == {"startup": "/readyz", "readiness": "/readyz", "liveness": "/healthz"}
    assert all(container[f"{kind}Probe"]["httpGet"]["port"] == "metrics" for kind in pages)
    assert all(container[f"{kind}Probe"]["grpc"] is None for kind in pages)

"""Envoy's configuration for other addresses than those of containers.

`python -m deploy.envoy_at LISTEN --replica HOST:PORT` prints YAML for `envoy -c`: the rest is
deploy/envoy/envoy.yaml as it is shipped.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

SHIPPED = Path(__file__).parent / "envoy" / "envoy.yaml"
OFF = "127.0.0.1:0"
"""A free port that nobody asks for."""


def envoy_at(
    listen: str,
    replicas: Sequence[str],
    *,
    watching: str = OFF,
    admin: str = OFF,
    tls: str = "",
    name: str = "",
) -> str:
    """The shipped configuration with these addresses, each `host:port`.

    `watching` is where /ready and /stats/prometheus are; they need an `admin` whose port is not 0. `tls` is a
    folder with tls.crt and tls.key, which callers see, and ca.crt, by which replicas are known under `name`.
    """
    made = yaml.safe_load(SHIPPED.read_text())
    resources = made["static_resources"]
    clusters = {cluster["name"]: cluster for cluster in resources["clusters"]}
    made["admin"]["address"] = _socket(admin)
    for listener in resources["listeners"]:
        listener["address"] = _socket({"grpc": listen, "watching": watching}[listener["name"]])
    _send_to(clusters["orchestrator"], replicas)
    _send_to(clusters["admin"], [admin])
    if tls:
        [grpc] = [one for one in resources["listeners"] if one["name"] == "grpc"]
        grpc["filter_chains"][0]["transport_socket"] = _seen_by_callers(tls)
        clusters["orchestrator"]["transport_socket"] = _known_by(tls, name)
    return yaml.safe_dump(made, sort_keys=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print it."""
    parser = argparse.ArgumentParser(prog="python -m deploy.envoy_at", description=__doc__)
    parser.add_argument("listen", help="where callers reach Envoy, host:port")
    parser.add_argument("--replica", action="append", required=True, help="a replica's host:port; repeatable")
    parser.add_argument("--watching", default=OFF, help="where /ready and /stats/prometheus are, host:port")
    parser.add_argument("--admin", default=OFF, help="Envoy's own administration, host:port")
    parser.add_argument("--tls", default="", help="folder with tls.crt, tls.key and ca.crt; empty = no TLS")
    parser.add_argument("--name", default="llm-orchestrator", help="the name in the replicas' certificate")
    given = parser.parse_args(arguments)
    where = {"watching": given.watching, "admin": given.admin}
    print(envoy_at(given.listen, given.replica, tls=given.tls, name=given.name, **where), end="")
    return 0


def _seen_by_callers(folder: str) -> dict[str, Any]:
    files = {"certificate_chain": "tls.crt", "private_key": "tls.key"}
    certificate = {part: {"filename": f"{folder}/{file}"} for part, file in files.items()}
    return _tls("DownstreamTlsContext", {"tls_certificates": [certificate]})


def _known_by(folder: str, name: str) -> dict[str, Any]:
    known = {
        "trusted_ca": {"filename": f"{folder}/ca.crt"},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": name}}],
    }
    return _tls("UpstreamTlsContext", {"validation_context": known}, sni=name)


def _tls(kind: str, context: dict[str, Any], **more: str) -> dict[str, Any]:
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{kind}",
            "common_tls_context": {"alpn_protocols": ["h2"], **context},
            **more,
        },
    }


def _send_to(cluster: dict[str, Any], addresses: Sequence[str]) -> None:
    endpoints = [{"endpoint": {"address": _socket(address)}} for address in addresses]
    cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": endpoints}]


def _socket(address: str) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}


if __name__ == "__main__":
    sys.exit(main())

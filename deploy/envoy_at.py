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


def envoy_at(listen: str, replicas: Sequence[str], *, watching: str = OFF, admin: str = OFF) -> str:
    """The shipped configuration with these addresses, each `host:port`.

    `watching` is where /ready and /stats/prometheus are; they need an `admin` whose port is not 0.
    """
    made = yaml.safe_load(SHIPPED.read_text())
    resources = made["static_resources"]
    clusters = {cluster["name"]: cluster for cluster in resources["clusters"]}
    made["admin"]["address"] = _socket(admin)
    for listener in resources["listeners"]:
        listener["address"] = _socket({"grpc": listen, "watching": watching}[listener["name"]])
    _send_to(clusters["orchestrator"], replicas)
    _send_to(clusters["admin"], [admin])
    return yaml.safe_dump(made, sort_keys=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print it."""
    parser = argparse.ArgumentParser(prog="python -m deploy.envoy_at", description=__doc__)
    parser.add_argument("listen", help="where callers reach Envoy, host:port")
    parser.add_argument("--replica", action="append", required=True, help="a replica's host:port; repeatable")
    parser.add_argument("--watching", default=OFF, help="where /ready and /stats/prometheus are, host:port")
    parser.add_argument("--admin", default=OFF, help="Envoy's own administration, host:port")
    given = parser.parse_args(arguments)
    print(envoy_at(given.listen, given.replica, watching=given.watching, admin=given.admin), end="")
    return 0


def _send_to(cluster: dict[str, Any], addresses: Sequence[str]) -> None:
    endpoints = [{"endpoint": {"address": _socket(address)}} for address in addresses]
    cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": endpoints}]


def _socket(address: str) -> dict[str, Any]:
    host, _, port = address.rpartition(":")
    return {"socket_address": {"address": host.strip("[]"), "port_value": int(port)}}


if __name__ == "__main__":
    sys.exit(main())

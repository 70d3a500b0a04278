"""Where the service is that the programs of this folder ask."""

import os

EVERYWHERE = "0.0.0.0"


def service_address() -> str:
    """Where the service of this environment was told to listen."""
    address = os.environ.get("ORCHESTRATOR_SERVER__ADDRESS") or "127.0.0.1:50051"
    return address.replace(EVERYWHERE, "127.0.0.1")


def metrics_address() -> str:
    """Where it was told to be watched."""
    address = os.environ.get("ORCHESTRATOR_METRICS__ADDRESS") or "127.0.0.1:9464"
    return address.replace(EVERYWHERE, "127.0.0.1")

"""Where the service is that the programs of this folder ask."""

import os


def service_address() -> str:
    """What `ORCHESTRATOR_ADDRESS` says, else where the service of this environment was told to listen."""
    for name in ("ORCHESTRATOR_ADDRESS", "ORCHESTRATOR_SERVER__ADDRESS"):
        if address := os.environ.get(name):
            return address
    return "127.0.0.1:50051"

"""The image's health check: exit code 0 when grpc.health.v1 says that the service takes calls, else 1.

With TLS it would need a name and a certificate of its own: then the port of the metrics is asked, which says
the same.
"""

import os
import sys
from urllib.error import URLError
from urllib.request import urlopen

import grpc
from grpc_health.v1 import health_pb2

from deploy.address import metrics_address, service_address
from deploy.channel import opened

SERVICE = "orchestrator.OrchestratorService"
SECONDS = 4.0
TLS = "ORCHESTRATOR_SECURITY__CERTIFICATE_FILE"


def main() -> int:
    """Ask once."""
    return page_says() if os.environ.get(TLS) else service_says()


def page_says() -> int:
    """By /readyz."""
    try:
        with urlopen(f"http://{metrics_address()}/readyz", timeout=SECONDS) as page:
            print(page.read().decode().strip())
    except (URLError, TimeoutError) as error:
        print(error)
        return 1
    return 0


def service_says() -> int:
    """By grpc.health.v1."""
    with opened(service_address()) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=SECONDS)
        except grpc.RpcError as error:
            print(error.code().name)
            return 1
    print(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
    return 0 if answer.status == health_pb2.HealthCheckResponse.SERVING else 1


if __name__ == "__main__":
    sys.exit(main())

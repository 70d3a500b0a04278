"""The image's health check: exit code 0 when grpc.health.v1 says that the service takes calls, else 1."""

import sys

import grpc
from grpc_health.v1 import health_pb2

from deploy.address import service_address
from deploy.channel import opened

SERVICE = "orchestrator.OrchestratorService"
SECONDS = 4.0


def main() -> int:
    """Ask once."""
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

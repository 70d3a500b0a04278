"""Ask a running orchestrator whether it is healthy and streams: exit code 0 when it does, 1 when not.

`python deploy/test_grpc.py [host:port]`, in the image `python test_grpc.py`. The address may also stand in
ORCHESTRATOR_SERVER__ADDRESS. TLS and token: see deploy/channel.py.
"""

import sys
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from deploy.address import service_address
from deploy.channel import metadata, opened, user
from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc

CONNECT_SECONDS = 30.0
ANSWER_SECONDS = 120.0


def check_health(stub: "rpc.OrchestratorServiceStub") -> bool:
    """Healthy or degraded: it can be called."""
    health = stub.HealthCheck(
        pb.HealthCheckRequest(), timeout=CONNECT_SECONDS, wait_for_ready=True, metadata=metadata()
    )
    print(f"health: {health.status} {dict(sorted(health.details.items()))}")
    return health.status in ("healthy", "degraded")


def check_stream(stub: "rpc.OrchestratorServiceStub") -> bool:
    """Text comes in chunks, and the stream ends with one complete chunk."""
    request = pb.ChatRequest(user_id=user() if metadata() else "test_grpc", query="Say hello.")
    chunks = list(stub.StreamChat(request, timeout=ANSWER_SECONDS, metadata=metadata()))
    texts = [chunk for chunk in chunks if chunk.content.text]
    print(f"stream: {len(chunks)} chunks, {len(texts)} with text, the last is {chunks[-1].type!r}")
    return bool(texts) and [c.type for c in chunks].count("complete") == 1 and chunks[-1].type == "complete"


def main() -> int:
    """Run both checks against one address."""
    address = sys.argv[1] if len(sys.argv) > 1 else service_address()
    with opened(address) as channel:
        stub: rpc.OrchestratorServiceStub = rpc.OrchestratorServiceStub(channel)
        try:
            passed = check_health(stub) and check_stream(stub)
        except grpc.RpcError as error:
            print(f"failed: {error.code().name}: {error.details()}")
            passed = False
    print("ok" if passed else "FAILED")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())

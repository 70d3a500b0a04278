"""What is not built yet says so."""

import grpc
import pytest

from orchestrator.admission import Admission
from orchestrator.interceptors import GuardInterceptor
from orchestrator.servicer import SERVICE, OrchestratorServicer, refuse_the_rest
from protos import orchestrator_pb2_grpc as rpc
from tests.harness.raw import raw_stream, raw_unary
from tests.harness.statuses import error_info
from tests.integration.edge.guarded import AMPLE, MANY


class NothingBuilt(rpc.OrchestratorServiceServicer):
    """A release without any RPC."""


refuse_the_rest(NothingBuilt)


@pytest.mark.parametrize("method", list(SERVICE.methods), ids=lambda method: method.name)
async def test_an_rpc_that_is_not_built_answers_unimplemented(method: object) -> None:
    name, streams = method.name, method.server_streaming  # type: ignore[attr-defined]
    server = grpc.aio.server(interceptors=[GuardInterceptor(Admission(MANY), AMPLE)])
    rpc.add_OrchestratorServiceServicer_to_server(NothingBuilt(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call = raw_stream if streams else raw_unary
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await call(channel, f"/{SERVICE.full_name}/{name}")
    finally:
        await server.stop(None)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert error_info(raised.value).reason == "UNIMPLEMENTED"
    assert "Servicer" not in (raised.value.details() or "")


def test_every_rpc_of_this_contract_is_built() -> None:
    assert {method.__name__ for name, method in vars(OrchestratorServicer).items() if name[0].isupper()} == {
        method.name for method in SERVICE.methods
    }

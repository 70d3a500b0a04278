"""What is not built yet says so."""

import grpc
import pytest

from orchestrator.servicer import SERVICE
from tests.harness.raw import raw_stream, raw_unary
from tests.harness.service import Service
from tests.harness.statuses import error_info

BUILT = {
    "StreamChat",
    "ResumeStream",
    "ListCheckpoints",
    "DeleteConversation",
    "GetProviderStatus",
    "GetUsage",
    "StartTask",
    "GetTaskStatus",
    "WatchTask",
    "CancelTask",
    "ListTasks",
    "RetryTask",
    "HealthCheck",
    "GetServerInfo",
}
NOT_BUILT = sorted(method.name for method in SERVICE.methods if method.name not in BUILT)


@pytest.mark.parametrize("name", NOT_BUILT)
async def test_an_rpc_that_is_not_built_answers_unimplemented(service: Service, name: str) -> None:
    method = SERVICE.methods_by_name[name]
    path = f"/{SERVICE.full_name}/{name}"
    call = raw_stream if method.server_streaming else raw_unary
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call(service.channel, path)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert error_info(raised.value).reason == "UNIMPLEMENTED"
    assert "Servicer" not in (raised.value.details() or "")

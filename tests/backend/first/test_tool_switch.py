"""USE_GRPC_TOOL_SERVICE: whether the backend answers the orchestrator's tool calls."""

from contextlib import nullcontext

import grpc
import pytest

from backend.parts import Tools
from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.protos import tool_service_pb2_grpc as rpc
from llm_orchestrator_client.tool_service import Call, ToolHandlers, UnsafeAddressError
from tests.backend.first.running import EVERYBODY, running_backend, settings_of


class Rivers(ToolHandlers):
    async def search_web(self, call: Call, request: pb.WebSearchRequest) -> pb.WebSearchResponse:
        return pb.WebSearchResponse(results=[pb.WebSearchResult(title="Rhine")])


@pytest.mark.parametrize(
    ("value", "code"),
    [("true", grpc.StatusCode.OK), ("false", grpc.StatusCode.UNIMPLEMENTED)],
)
async def test_tools_answer_only_while_their_flag_is_on(value: str, code: grpc.StatusCode) -> None:
    flags = {**EVERYBODY, "USE_GRPC_TOOL_SERVICE": value}
    async with (
        running_backend(settings_of(), flags, tools=Tools(Rivers())) as backend,
        grpc.aio.insecure_channel(backend.parts.tool_address) as channel,
    ):
        stub = rpc.ToolServiceStub(channel)
        call = stub.SearchWeb(pb.WebSearchRequest(query="rivers", user_id="ann"))
        assert await call.code() is code


@pytest.mark.parametrize(
    ("open_to_others", "missing"),
    [
        ({}, "needs TLS"),
        ({"allow_plaintext": True}, "needs to know who calls"),
        ({"allow_plaintext": True, "token": "t" * 20}, ""),
    ],
)
async def test_others_reach_the_tools_without_tls_only_where_a_setting_and_a_token_say_so(
    open_to_others: dict[str, object], missing: str
) -> None:
    settings = settings_of(tool_service={"address": "0.0.0.0:0", **open_to_others})
    expected = pytest.raises(UnsafeAddressError, match=missing) if missing else nullcontext()
    with expected:
        async with running_backend(settings, EVERYBODY, tools=Tools(Rivers())) as backend:
            assert backend.parts.tool_address

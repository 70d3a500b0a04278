"""The database goes away in the middle of a run."""

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.proxy import TcpProxy
from tests.harness.service import chat_request, collect, running_service, text_of
from tests.harness.statuses import error_info, retry_delay


async def test_a_stream_whose_log_cannot_be_written_ends_typed_and_frees_the_provider(
    dsn: str, provider: ScriptedProvider
) -> None:
    provider.enqueue(Script(tokens=("one", " two", " three"), hold_after=1))
    async with TcpProxy.to(dsn) as proxy, running_service(proxy.dsn, provider) as service:
        chunks: list[pb.ChatChunk] = []
        stream = aiter(service.stub.StreamChat(chat_request("lost", conversation_id="c1")))
        chunks += [await anext(stream), await anext(stream)]
        await proxy.cut()
        provider.release()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await collect(stream, chunks)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert error_info(raised.value).reason == "DATABASE_UNAVAILABLE"
        assert retry_delay(raised.value) is not None
        assert text_of(chunks) == "one"
        upstream = await provider.call(1)
        assert await upstream.ended(within=2.0) in (Outcome.CLIENT_GONE, Outcome.COMPLETED)
        await proxy.restore()
        await service.chat("again", conversation_id="c1")
        assert [m["content"] for m in provider.ledger[1].body["messages"][1:]] == ["again"]


async def test_a_run_that_cannot_be_committed_is_refused_and_its_model_call_given_up(
    dsn: str, provider: ScriptedProvider
) -> None:
    provider.default = Script(tokens=("a",), hold_after=0)
    async with TcpProxy.to(dsn) as proxy, running_service(proxy.dsn, provider) as service:
        await proxy.cut()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await service.chat()
        assert error_info(raised.value).reason == "DATABASE_UNAVAILABLE"
        for call in provider.ledger:
            assert await call.ended(within=2.0) is Outcome.CLIENT_GONE

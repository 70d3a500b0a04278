"""A caller's own graph that fails, hangs, or would go on for ever."""

import asyncpg
import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.ledger import Outcome
from tests.fakes.scripted_provider.script import Script
from tests.harness.service import Service, collect, text_of
from tests.harness.statuses import error_info
from tests.harness.tooled import DONE, wish, wishing
from tests.integration.agents.own.modules.own_plays import CANARY
from tests.integration.tasks.asking import ended, start

_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'orchestrator'"


async def everything(dsn: str) -> str:
    """What stands in the database, bytes in hex."""
    connection = await asyncpg.connect(dsn)
    try:
        names = [row["table_name"] for row in await connection.fetch(_TABLES)]
        rows = [await connection.fetch(f'SELECT t::text AS t FROM orchestrator."{n}" t') for n in names]  # noqa: S608
        return "\n".join(row["t"] for of_table in rows for row in of_table)
    finally:
        await connection.close()


@pytest.mark.parametrize("agent", ["failing", "breaking", "odd"])
async def test_what_the_graphs_code_says_of_its_failure_is_nowhere(
    own: Service, agent: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await own.chat("secret question", agent_type=agent, conversation_id="c1")
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert error_info(raised.value).reason == "AGENT_FAILED"
    assert CANARY not in str(raised.value)
    stored = await everything(own.dsn)
    assert "AGENT_FAILED" in stored
    assert CANARY not in stored
    assert CANARY.encode().hex() not in stored
    told = "\n".join([str(vars(record)) for record in caplog.records] + [caplog.text])
    assert CANARY not in told
    assert agent in told


async def test_a_failure_of_the_provider_stays_one_though_the_graph_wraps_it(own: Service) -> None:
    own.provider.enqueue(Script(status=400))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await own.chat("hello", agent_type="wrapping")
    assert error_info(raised.value).reason == "PROVIDER_REJECTED"


async def test_a_turn_that_fails_leaves_the_state_of_the_graph_as_it_was(own: Service) -> None:
    own.provider.enqueue(Script(tokens=("Ok.",)), Script(status=400), Script(tokens=("Ok.",)))
    await own.chat("first", agent_type="remembers", conversation_id="c1")
    with pytest.raises(grpc.aio.AioRpcError):
        await own.chat("second", agent_type="remembers", conversation_id="c1")
    chunks = await own.chat("third", agent_type="remembers", conversation_id="c1")
    assert text_of(chunks) == "Ok.\n\nturn 2: ann asked first; ann asked third"


async def test_a_task_whose_provider_is_away_goes_on_where_its_graph_was(own: Service) -> None:
    own.provider.enqueue(Script(tokens=("One.",)), Script(status=503), Script(tokens=("Two.",)))
    task = await start(own, "write", agent_type="two_nodes")
    done = await ended(own, task.task_id)
    assert (done.state, done.result, done.deferrals) == (pb.TASK_STATE_SUCCEEDED, "One.\n\nTwo.", 1)
    assert len(own.provider.ledger) == 3
    told = own.provider.ledger[2].body["messages"][-1]["content"]
    assert told == "polish: One."


async def test_the_steps_of_the_file_hold(own: Service) -> None:
    own.provider.default = wishing(wish("get_weather_data", {"location": "Bonn"}), text="More.")
    chunks = await own.chat("go", agent_type="react")
    assert chunks[-1].metadata["limit"] == "max_steps"
    assert chunks[-1].complete.finish_reason == pb.FINISH_REASON_LIMIT
    assert len(own.provider.ledger) == 12
    assert text_of(chunks) == chunks[-1].complete.final_text == "\n\n".join(["More."] * 12)


async def test_a_graph_that_goes_round_without_a_model_ends_too(own: Service) -> None:
    chunks = await own.chat("go", agent_type="circling")
    assert chunks[-1].metadata["limit"] == "max_steps"


async def test_the_tools_of_a_run_are_counted(own: Service) -> None:
    own.provider.default = wishing(wish("get_weather_data", {"location": "Bonn"}))
    chunks = await own.chat("go", agent_type="react", limits=pb.RunLimits(max_tool_calls=2))
    assert chunks[-1].metadata["limit"] == "max_tool_calls"
    assert chunks[-1].usage.tool_calls == 2


async def test_the_tokens_of_a_run_hold(own: Service) -> None:
    own.provider.default = Script(tokens=("one", " two"), finish_reason="length")
    chunks = await own.chat("go", agent_type="two_nodes", limits=pb.RunLimits(max_output_tokens=2))
    assert chunks[-1].metadata["limit"] == "max_output_tokens"
    assert text_of(chunks) == "one two"


async def test_the_time_of_a_run_holds_though_no_model_is_called(own: Service) -> None:
    limits = pb.RunLimits(max_duration=Duration(nanos=300_000_000))
    chunks = await own.chat("go", agent_type="sleeping", limits=limits)
    assert (chunks[-1].metadata["limit"], text_of(chunks)) == ("max_duration", "Still here.")


async def test_a_cancel_stops_the_call_of_the_model(own: Service) -> None:
    own.provider.enqueue(Script(tokens=("One", " two"), hold_after=1))
    task = await start(own, "write", agent_type="two_nodes")
    await (await own.provider.call(1)).sent(1)
    await own.stub.CancelTask(pb.CancelTaskRequest(user_id="ann", task_id=task.task_id))
    assert (await ended(own, task.task_id)).state == pb.TASK_STATE_CANCELLED
    assert await own.provider.ledger[0].ended() is Outcome.CLIENT_GONE
    chunks: list[pb.ChatChunk] = []
    with pytest.raises(grpc.aio.AioRpcError):
        await collect(
            own.stub.ResumeStream(pb.ResumeStreamRequest(user_id="ann", run_id=task.task_id)), chunks
        )
    assert chunks[-1].usage.model_calls == 1


async def test_a_retry_begins_the_turn_of_a_graph_anew(own: Service) -> None:
    own.provider.enqueue(Script(tokens=("One.",)), Script(status=400))
    task = await start(own, "write", agent_type="two_nodes", conversation_id="c1")
    assert (await ended(own, task.task_id)).state == pb.TASK_STATE_FAILED
    own.provider.enqueue(Script(tokens=("Again.",)), DONE)
    retried = (await own.stub.RetryTask(pb.RetryTaskRequest(user_id="ann", task_id=task.task_id))).task
    assert (await ended(own, retried.task_id)).result == "Again.\n\nDone."

"""A second process of ours is the remote. Whichever is killed, the answer is whole, and is one run there."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from protos import orchestrator_pb2 as pb
from state.embedded.launch import free_port
from tests.fakes.orchestrator.play import WAITS, Play, answered, asked, called, done, text
from tests.fakes.orchestrator.service import FakeOrchestrator
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.postgres import fresh_database
from tests.harness.service import Service, chat_request
from tests.harness.tooled import ADDS_MILK, DONE, decide, kinds, pending, rest, tooled
from tests.integration.remote.places import agents_folder, remotes_file, standing, with_remote
from tests.integration.tasks.asking import start
from tests.integration.tasks.workers import SHORT_LEASES, Place, workers

WITHIN = 20.0
GOES_ON = pb.RunOptions(on_disconnect=pb.DISCONNECT_BEHAVIOR_CONTINUE)
HALF = Script(tokens=("It ", "rains", "."), hold_after=1)


class Pair:
    """A process here, and one elsewhere whose models are at `provider`."""

    def __init__(self, here: Place, there: Place, dsn: str, provider: ScriptedProvider) -> None:
        self.place, self.there = here, there
        self.dsn, self.provider = dsn, provider

    @property
    def here(self) -> Service:
        return Service(self.place.stub, self.place.channel, 0, self.dsn, self.provider)

    async def begun(self) -> str:
        """A turn whose answer has begun to arrive; its run."""
        request = chat_request("hello", agent_type="farm", run_options=GOES_ON)
        stream = aiter(self.place.stub.StreamChat(request))
        chunk = await anext(stream)
        while not chunk.HasField("content"):
            chunk = await anext(stream)
        return str(chunk.run_id)

    async def log(self, run_id: str) -> list[pb.ChatChunk]:
        """Of a run that succeeds."""
        assert await self.here.run_ended(run_id, within=WITHIN) == "succeeded"
        return await rest(self.here, run_id)


def here_environment(folder: Path, address: str) -> dict[str, str]:
    return {
        "ORCHESTRATOR_AGENTS__FOLDER": str(agents_folder(folder)),
        "ORCHESTRATOR_REMOTES__FILE": str(remotes_file(folder, address, reconnect_seconds=20.0)),
        "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",  # nothing is answered here
        **SHORT_LEASES,
    }


@pytest.fixture
async def pair(dsn: str, server_dsn: str, tmp_path: Path, provider: ScriptedProvider) -> AsyncIterator[Pair]:
    address = f"127.0.0.1:{free_port()}"
    async with fresh_database(server_dsn) as dsn_there, AsyncExitStack() as stack:
        environment = {
            "ORCHESTRATOR_SERVER__ADDRESS": address,
            "OPENAI_BASE_URL": provider.base_url,
            **SHORT_LEASES,
        }
        elsewhere = workers(tmp_path, dsn_there, 1, environment)
        [there] = await stack.enter_async_context(elsewhere)
        other = workers(tmp_path, dsn, 1, here_environment(tmp_path, address))
        [here] = await stack.enter_async_context(other)
        yield Pair(here, there, dsn, provider)


async def test_either_process_is_killed_in_the_middle_of_an_answer(pair: Pair) -> None:
    pair.provider.enqueue(HALF)
    run_id = await pair.begun()
    await pair.place.kill()
    await pair.place.there()
    pair.provider.release()
    log = await pair.log(run_id)
    assert standing(log) == log[-1].complete.final_text == "It rains."
    assert len(pair.provider.ledger) == log[-1].usage.model_calls == 1
    assert log[-1].metadata["provider"] == "remote:farm"

    pair.provider.enqueue(HALF)
    run_id = await pair.begun()
    pair.provider.enqueue(Script(tokens=("It ", "snows", ".")))
    await pair.there.kill()
    await pair.there.there()
    log = await pair.log(run_id)
    assert standing(log) == log[-1].complete.final_text == "It snows."
    assert len(pair.provider.ledger) == 3  # it does its own attempt again, and is not asked twice


async def test_a_tool_there_is_allowed_or_denied_by_a_person_here(
    dsn: str, server_dsn: str, tmp_path: Path, provider: ScriptedProvider
) -> None:
    async with (
        fresh_database(server_dsn) as dsn_there,
        FakeToolService() as backend,
        tooled(dsn_there, provider, backend) as there,
        with_remote(
            dsn,
            provider,
            tmp_path,
            f"127.0.0.1:{there.port}",
            agent={"remote": "{service: farm, agent_type: org_inbox}"},
        ) as here,
    ):
        for decision, calls in (("denied", 0), ("approved", 1)):
            provider.enqueue(ADDS_MILK, DONE)
            task = await start(here, "add milk", agent_type="farm", conversation_id="c1")
            await here.run_is(task.task_id, "waiting_for_permission", within=WITHIN)
            [permission] = await pending(here)
            assert permission.tool_name == "farm:add_org_inbox_item"
            await decide(here, permission, decision)
            assert await here.run_ended(task.task_id, within=WITHIN) == "succeeded"
            log = await rest(here, task.task_id)
            assert standing(log) == log[-1].complete.final_text == "I add it.\n\nDone."
            assert len(backend.ledger.calls) == calls
        said = [message["content"] for message in provider.ledger[-1].body["messages"]]
        assert said.count("add milk") == 2  # it remembers the turn before


async def test_we_are_killed_between_their_messages_and_while_a_person_is_asked(
    dsn: str, tmp_path: Path, provider: ScriptedProvider, farm: FakeOrchestrator
) -> None:
    farm.plays.append(Play([text("I dig."), called("t1"), answered("t1"), text(" Half")]))
    async with workers(tmp_path, dsn, 1, here_environment(tmp_path, farm.address)) as [place]:
        here = Service(place.stub, place.channel, 0, dsn, provider)
        stream = aiter(here.stub.StreamChat(chat_request("hello", agent_type="farm", run_options=GOES_ON)))
        chunk = await anext(stream)
        while chunk.content.text != " Half":
            chunk = await anext(stream)
        await place.kill()
        await place.there()
        await farm.until(lambda: farm.resumed, WITHIN)
        await farm.add(farm.runs[0], asked(), WAITS)
        here = Service(place.stub, place.channel, 0, dsn, provider)
        await here.run_is(chunk.run_id, "waiting_for_permission", within=WITHIN)
        await place.kill()
        await place.there()
        here = Service(place.stub, place.channel, 0, dsn, provider)
        [permission] = await pending(here)
        await decide(here, permission)
        await farm.until(lambda: farm.approvals, WITHIN)
        await farm.add(farm.runs[0], text(" done.", 1), done("I dig. Half done."))
        assert await here.run_ended(chunk.run_id, within=WITHIN) == "succeeded"
        log = await rest(here, chunk.run_id)
        assert standing(log) == log[-1].complete.final_text == "I dig. Half done."
        assert kinds(log).count("tool_call") == kinds(log).count("permission_requested") == 1
        assert len(farm.runs) == len(farm.approvals) == 1

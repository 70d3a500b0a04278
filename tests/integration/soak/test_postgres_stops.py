"""Postgres is stopped at once, again and again, while people chat: no turn that was acknowledged is lost."""

import asyncio
import os
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from random import Random
from time import monotonic

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.embedded_postgres import passable_folder
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.fragile_postgres import FragilePostgres
from tests.harness.meanwhile import meanwhile
from tests.harness.process import orchestrator_process
from tests.harness.scale import SCALE, SOAK, report, scaled
from tests.harness.service import chat_request

SECONDS = scaled(18)
PAUSES = (5.0, 40.0) if SOAK else (2.0, 5.0)
AWAY = (0.0, 2.0)
PEOPLE = 8
PROGRESS_GOAL_SECONDS = 5.0
PROGRESS_MOST_SECONDS = 30.0
WAIT = pb.RunOptions(on_busy=pb.BUSY_BEHAVIOR_WAIT)

pytestmark = pytest.mark.timeout(120 * SCALE)


def stopped_again_and_again(postgres: FragilePostgres, random: Random) -> AbstractAsyncContextManager[None]:
    """Stopped at once and started again, after random pauses, until the block ends; then it is there."""

    async def stop_and_start() -> None:
        await postgres.stop_at_once()
        await asyncio.sleep(random.uniform(*AWAY))
        await postgres.start()

    return meanwhile(stop_and_start, lambda: random.uniform(*PAUSES))


class Person:
    """Chats in one conversation; `acknowledged` are the turns that ended well, `at` when each did."""

    def __init__(self, stub: "rpc.OrchestratorServiceAsyncStub", number: int) -> None:
        self._stub = stub
        self.name = f"user-{number}"
        self.acknowledged: list[str] = []
        self.at: list[float] = []
        self.refusals: set[grpc.StatusCode] = set()

    async def chat(self, until: float) -> None:
        number = 0
        while monotonic() < until:
            number += 1
            text = f"turn {number} of {self.name}"
            request = chat_request(text, user_id=self.name, conversation_id="c", run_options=WAIT)
            try:
                chunks = [chunk async for chunk in self._stub.StreamChat(request, timeout=60)]
            except grpc.aio.AioRpcError as error:
                self.refusals.add(error.code())
                await asyncio.sleep(0.1)
            else:
                assert chunks[-1].complete.final_text.startswith(echo(text))
                self.acknowledged.append(text)
                self.at.append(monotonic())

    async def kept(self) -> list[str]:
        """The answers of the conversation, the oldest first: each repeats its question."""
        answers: dict[str, pb.CheckpointInfo] = {}
        request = pb.ListCheckpointsRequest(user_id=self.name, conversation_id="c", page_size=200)
        while True:
            page = await self._stub.ListCheckpoints(request)
            answers |= {info.checkpoint_id: info for info in page.checkpoints}
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        chain = [next(info for info in answers.values() if info.head)]
        while chain[-1].parent_checkpoint_id:
            chain.append(answers[chain[-1].parent_checkpoint_id])
        return [info.preview for info in reversed(chain)]


async def test_no_acknowledged_turn_is_lost_to_a_postgres_that_stops_at_once(tmp_path: Path) -> None:
    with passable_folder() as folder:
        postgres = FragilePostgres(folder)
        script = Script(token_interval=0.03)
        async with ScriptedProvider(default=script) as provider, postgres:
            environment = {"DATABASE_URL": postgres.dsn, "OPENAI_BASE_URL": provider.base_url}
            async with (
                orchestrator_process(tmp_path, **environment) as process,
                grpc.aio.insecure_channel(process.address) as channel,
            ):
                stub: rpc.OrchestratorServiceAsyncStub = rpc.OrchestratorServiceStub(channel)
                people = [Person(stub, number) for number in range(PEOPLE)]
                until = monotonic() + SECONDS
                async with stopped_again_and_again(postgres, Random(7)):
                    await asyncio.gather(*(person.chat(until) for person in people))
                returns = [moment for moment in postgres.returns if moment < until]
                for person in people:
                    assert person.refusals <= {grpc.StatusCode.UNAVAILABLE}
                    places = places_of(person.acknowledged, await person.kept())
                    assert places == sorted(places)
    assert len(returns) >= 2
    assert_progress(returns, sorted(moment for person in people for moment in person.at))


def echo(text: str) -> str:
    """How the provider's answer to a text begins."""
    return f"Echo: {text} "


def places_of(texts: list[str], answers: list[str]) -> list[int]:
    """Where in the conversation each text was answered; each must have been, once."""
    places = [
        [place for place, answer in enumerate(answers) if answer.startswith(echo(text))] for text in texts
    ]
    assert [len(of_text) for of_text in places] == [1] * len(texts)
    return [place for [place] in places]


def assert_progress(returns: list[float], ends: list[float]) -> None:
    """Print how long after each return the next turn ended, beside the goal."""
    waits = [min(end - moment for end in [*ends, float("inf")] if end >= moment) for moment in returns[:-1]]
    verdict = "pass" if max(waits) <= PROGRESS_GOAL_SECONDS else "FAIL"
    report(
        f"{len(returns)} stops, {len(ends)} turns; "
        f"the next turn ended {max(waits):.1f} s after Postgres was back, "
        f"goal {PROGRESS_GOAL_SECONDS:g} s: {verdict} (load {os.getloadavg()[0]:.1f})"
    )
    assert max(waits) <= PROGRESS_MOST_SECONDS

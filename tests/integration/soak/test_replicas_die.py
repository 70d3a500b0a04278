"""Two replicas, killed at random, and callers who leave and come back: every text is whole, once."""

import asyncio
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import grpc
import pytest

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.scale import SCALE, SOAK, scaled
from tests.harness.service import chat_request
from tests.integration.soak.reader import Reader
from tests.integration.soak.replicas import Replica, Stub, kills_now_and_then, replicas

CALLERS = 6
RUNS = scaled(7)
WORDS = tuple(f"word-{number} " for number in range(25))
TEXT = "".join(WORDS)
SPOKEN = Script(tokens=WORDS, token_interval=0.06)
PAUSES = (1.5, 4.0)
"""So long that hardly a run loses three processes: it would be taken for what kills them, and fail."""
SHORT = {
    "ORCHESTRATOR_RUN__LEASE_SECONDS": "1.5",
    "ORCHESTRATOR_RUN__BEAT_SECONDS": "0.4",
    "ORCHESTRATOR_RUN__REAP_SECONDS": "0.2",
}
CONTINUE = pb.RunOptions(on_disconnect=pb.DISCONNECT_BEHAVIOR_CONTINUE)

pytestmark = pytest.mark.timeout(120 * SCALE)


class Caller:
    """Takes one run after another to its end, on whatever replica answers."""

    def __init__(self, places: list[Replica], random: Random) -> None:
        self._places = places
        self._random = random
        self.resets = 0
        self.returns = 0

    async def take(self, user: str) -> Reader:
        """Begin a run and read it to its end."""
        reader = Reader()
        while not reader.has_ended:
            stub = self._random.choice(self._places).stub
            self.returns += bool(reader.run_id)
            with suppress(grpc.aio.AioRpcError):
                await reader.read(self._stream(stub, user, reader), lambda: self._random.random() > 0.05)
            await asyncio.sleep(0.05)
        self.resets += sum(chunk.HasField("reset") for chunk in reader.chunks)
        return reader

    @staticmethod
    def _stream(stub: Stub, user: str, reader: Reader) -> "grpc.aio.UnaryStreamCall[Any, pb.ChatChunk]":
        if not reader.run_id:
            return stub.StreamChat(chat_request(user_id=user, run_options=CONTINUE))
        return stub.ResumeStream(
            pb.ResumeStreamRequest(user_id=user, run_id=reader.run_id, after_sequence=reader.position)
        )


def check(reader: Reader) -> None:
    """What a reader has in the end is the text, whole, and every record of it once."""
    assert not reader.chunks[-1].error.reason
    assert reader.chunks[-1].complete.final_text == reader.text == TEXT
    assert [chunk.sequence for chunk in reader.chunks] == list(range(1, reader.position + 1))


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_is_left_of_a_text_is_the_text_whoever_dies_or_leaves(
    dsn: str, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    kills: list[int] = []
    async with ScriptedProvider(default=SPOKEN) as provider:
        environment = {"DATABASE_URL": dsn, "OPENAI_BASE_URL": provider.base_url, **SHORT}
        async with replicas(tmp_path, 2, environment) as places:
            callers = [Caller(places, Random(random.random())) for _ in range(CALLERS)]
            async with kills_now_and_then(places, random, PAUSES, kills):
                for _ in range(RUNS):
                    takes = (caller.take(f"user-{number}") for number, caller in enumerate(callers))
                    for reader in await asyncio.gather(*takes):
                        check(reader)
    assert len(kills) >= 2
    # With few deaths none may have met a text.
    assert sum(caller.resets for caller in callers) >= 1 or not SOAK
    assert sum(caller.returns for caller in callers) >= CALLERS

"""How the time to the first token grows with the turns of a conversation."""

from pathlib import Path
from statistics import median

import aiohttp
import grpc

from bench.askers import CALL_SECONDS, DirectAsker, ServiceAsker, Timing
from bench.processes import service_process
from bench.report import say
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.scripted_provider.process import scripted_provider_process
from tests.fakes.scripted_provider.script import Script

_ANSWER = Script(tokens=("A sentence of an answer.",))
_BLOCK = 10
"""Turns whose median is one figure: the last ones before so many turns."""


async def history(folder: Path, dsn: str, turns: list[int]) -> dict[str, object]:
    """Ask in one conversation, directly and through us in turn; medians in seconds at each of `turns`.

    `dsn`: of a database for the service alone.
    """
    say(f"a conversation of {max(turns)} turns")
    async with scripted_provider_process() as provider:
        await provider.set_default(_ANSWER)
        async with (
            service_process(folder, provider.base_url, DATABASE_URL=dsn) as process,
            grpc.aio.insecure_channel(process.address) as channel,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_SECONDS)) as session,
        ):
            direct = DirectAsker(session, provider.base_url, remembers=True)
            ours = ServiceAsker(rpc.OrchestratorServiceStub(channel), remembers=True)
            asked: dict[str, list[Timing]] = {"direct": [], "ours": []}
            for number in range(max(turns)):
                for name, ask in (("direct", direct), ("ours", ours)):
                    asked[name].append(await ask(f"what is {number}?"))
    return {
        "turns": turns,
        "seconds": {name: [_block(of, turn) for turn in turns] for name, of in asked.items()},
    }


def _block(timings: list[Timing], turn: int) -> float:
    return median(one.first_token - one.began for one in timings[max(0, turn - _BLOCK) : turn])

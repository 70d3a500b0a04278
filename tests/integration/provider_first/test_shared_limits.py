"""What a provider takes is shared among the processes that live."""

import asyncio
from pathlib import Path

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.narrow import narrow
from tests.harness.service import Service

QUICK = {"beat_seconds": 0.1, "lease_seconds": 0.6}


async def limit_becomes(service: Service, limit: int) -> None:
    async with asyncio.timeout(10):
        while True:
            status = await service.stub.GetProviderStatus(pb.GetProviderStatusRequest())
            if [one.concurrency_limit for one in status.providers] == [limit]:
                return
            await asyncio.sleep(0.02)


async def test_two_processes_have_half_of_a_providers_limit_each_and_one_has_all_of_it(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with narrow(dsn, provider, tmp_path, calls=4, run=QUICK) as first:
        await limit_becomes(first, 4)
        async with narrow(dsn, provider, tmp_path, calls=4, run=QUICK) as second:
            await limit_becomes(first, 2)
            await limit_becomes(second, 2)
        chunks = await first.chat()  # a call that ends well lets the limit grow into what is free again
        assert chunks[-1].HasField("complete")
        await limit_becomes(first, 4)

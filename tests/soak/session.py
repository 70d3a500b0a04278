"""One soak: a service as users start it, a ramp that finds its capacity, a share of that, and a rest."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from random import Random
from urllib.parse import urlsplit

import aiohttp
import asyncpg

from state.embedded.server import EmbeddedPostgres
from tests.fakes.embedded_postgres import passable_folder
from tests.harness.metrics import free_address
from tests.harness.process import orchestrator_process
from tests.soak.outside import Outside, outside
from tests.soak.pace import Arrivals, Step, capacity, ramp
from tests.soak.record import LEAVING, LOADED, REST, RESTED, WARMING, Record
from tests.soak.visitors import Visitors
from tests.soak.watching import Watch

SHORT_RETENTION = {
    "ORCHESTRATOR_RETENTION__INTERVAL_SECONDS": "5",
    "ORCHESTRATOR_RETENTION__CHECKPOINTS_IDLE_SECONDS": "60",
    "ORCHESTRATOR_RETENTION__EVENTS_SECONDS": "60",
    "ORCHESTRATOR_RETENTION__RUNS_SECONDS": "90",
    "ORCHESTRATOR_RETENTION__OUTBOX_SECONDS": "60",
}
"""What is kept for days is kept for a minute, so that it comes to an end within the warm-up."""
_RATES = (4.0, 6.0, 9.0, 13.0, 18.0, 24.0, 31.0, 40.0, 52.0, 68.0, 90.0)
_ENDED_WITHIN = 60.0
_KEPT_EVERY = 12
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """Seconds. `seconds`: of load in all, of which the first `warm_up`, ramp included, are not judged.

    `rest`: how long nobody comes after the warm-up, and at the end. `load`: the share of the capacity.
    """

    seconds: float
    load: float
    warm_up: float
    ramp_step: float = 8.0
    rest: float = 35.0
    every: float = 5.0
    rates: tuple[float, ...] = _RATES
    seed: int = 1


@dataclass
class _Soak:
    plan: Plan
    outside: Outside
    watch: Watch
    visitors: Visitors
    arrivals: Arrivals
    record: Record
    say: Say
    keep: Callable[[Record], None]
    phase: str = WARMING

    async def play(self) -> None:
        record, plan = self.record, self.plan
        steps = await ramp(plan.rates, plan.ramp_step, self.arrivals, self.watch.cpu, self._say_step)
        record.steps = [asdict(step) for step in steps]
        record.capacity = capacity(steps)
        record.rate = plan.load * record.capacity
        self.say(f"capacity {record.capacity:.1f} visits a second; {record.rate:.1f} from now on")
        await self.arrivals.come(record.rate, max(0.0, plan.warm_up - self.watch.now))
        await self._rest(RESTED)
        self.phase = LOADED
        await self.arrivals.come(record.rate, plan.seconds - plan.warm_up)
        await self._rest(REST)

    def _say_step(self, step: Step) -> None:
        self.say(f"{step.rate:.0f} visits a second: {step.cpu:.0%} of a processor, {step.wait:.2f} s to text")

    async def _rest(self, phase: str) -> None:
        """Until those who are here have gone, and `rest` more, for what is kept for the next."""
        self.phase = LEAVING
        if not await self.arrivals.ended(_ENDED_WITHIN):
            self.record.not_ended = self.arrivals.going
        await asyncio.sleep(self.plan.rest)
        self.phase = phase
        await self.take()

    async def sampling(self) -> None:
        """Take samples until cancelled."""
        while True:
            await self.take()
            self.outside.forget()
            await asyncio.sleep(self.plan.every)

    async def take(self) -> None:
        phase = self.phase
        visits = {"visits": self.arrivals.going, "most_visits": self.arrivals.most_going()}
        self.record.samples.append(await self.watch.sample(phase) | visits)
        if len(self.record.samples) % _KEPT_EVERY == 0:
            self.count()
            self.keep(self.record)

    def count(self) -> None:
        """Put down what visitors have met so far."""
        self.record.kinds, self.record.failed = dict(self.visitors.kinds), dict(self.visitors.failed)
        self.record.offered, self.record.refused = self.arrivals.offered, self.arrivals.refused


async def soak(plan: Plan, say: Say, keep: Callable[[Record], None]) -> Record:
    """Play it through. `keep` is given what there is so far, now and then and at the end."""
    record = Record(asdict(plan))
    async with _soaking(plan, record, say, keep) as playing:
        sampling = asyncio.create_task(playing.sampling(), name="sampling")
        try:
            await playing.play()
        finally:
            sampling.cancel()
            await asyncio.wait({sampling})
        playing.count()
    keep(record)
    return record


@asynccontextmanager
async def _soaking(
    plan: Plan, record: Record, say: Say, keep: Callable[[Record], None]
) -> AsyncIterator[_Soak]:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(passable_folder())
        world = await stack.enter_async_context(outside())
        pages = free_address()
        settings = {
            **SHORT_RETENTION,
            "ORCHESTRATOR_METRICS__ADDRESS": pages,
            "ORCHESTRATOR_AGENTS__TITLES": "model",
            "ORCHESTRATOR_PROVIDER__ROUTING": "true",
            "OPENAI_BASE_URL": world.provider.base_url,
            "USE_GRPC_TOOL_SERVICE": "true",
            "ORCHESTRATOR_TOOLS__ADDRESS": world.tools.address,
        }
        process = await stack.enter_async_context(orchestrator_process(folder, **settings))
        postgres = await stack.enter_async_context(EmbeddedPostgres(folder / ".data"))
        connection = await asyncpg.connect(postgres.dsn)
        stack.push_async_callback(connection.close)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        ports = {
            "grpc": _port(process.address),
            "postgres": urlsplit(postgres.dsn).port or 0,
            "provider": world.provider.port,
            "tools": _port(world.tools.address),
            "pages": _port(pages),
        }
        watch = Watch(process.pid, pages, connection, session, ports)
        visitors = Visitors(process.address, Random(f"visitors of {plan.seed}"))
        stack.push_async_callback(visitors.aclose)
        arrivals = Arrivals(visitors, Random(f"arrivals of {plan.seed}"))
        await stack.enter_async_context(arrivals.coming())
        yield _Soak(plan, world, watch, visitors, arrivals, record, say, keep)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])

"""`python -m bench.backend`: first content by the reference backend, locally and through the orchestrator."""

import argparse
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
import uvloop

from bench.askers import CALL_SECONDS, Timing
from bench.processes import service_process
from bench.report import count, load_line, milliseconds, say, table, verdict, write_json
from bench.series import Plan, Series, measure
from tests.backend.first.reading import TOKENS
from tests.backend.first.running import backend_process
from tests.fakes.embedded_postgres import passable_folder
from tests.fakes.scripted_provider.process import scripted_provider_process
from tests.fakes.scripted_provider.script import Script

GOAL_SECONDS = 0.040
SCRIPT = Script(tokens=(" token",) * 10, first_token_delay=0.02, token_interval=0.02)
_ANSWER_SECONDS = 0.2
_IN_A_ROW = 3
_LOCAL, _REMOTE = "bob", "ann"
_FLAGS = {
    "USE_GRPC_ORCHESTRATOR": "true",
    "GRPC_ORCHESTRATOR_PERCENTAGE": "0",
    "GRPC_ORCHESTRATOR_ALLOWED_USERS": _REMOTE,
    "GRPC_FALLBACK_TO_LOCAL": "false",
}


class BackendAsker:
    """Asks the backend as one user, who says by the flags which path answers."""

    def __init__(self, session: aiohttp.ClientSession, address: str, user: str) -> None:
        self._session = session
        self._url = f"http://{address}/chat"
        self._headers = {"Authorization": f"Bearer {TOKENS[user]}"}
        self._path = "local" if user == _LOCAL else None

    async def __call__(self, question: str) -> Timing:
        timing = Timing(question)
        kind, last = b"", {}
        async with self._session.post(
            self._url, json={"query": question, "agent_type": "chat"}, headers=self._headers
        ) as response:
            response.raise_for_status()
            async for line in response.content:
                if line.startswith(b"event: "):
                    kind = line[7:].strip()
                elif line.startswith(b"data: "):
                    last = orjson.loads(line[6:])
                    timing.take(last["text"] if kind == b"content" else "")
        if kind != b"complete" or last["metadata"].get("path") != self._path:
            raise RuntimeError(f"{kind.decode()} instead of an answer by the {self._path or 'orchestrator'}")
        return timing.ended()


@asynccontextmanager
async def started() -> AsyncIterator[tuple[BackendAsker, BackendAsker]]:
    """Provider, orchestrator and backend, each a process; who is answered locally, and who is not."""
    with passable_folder() as folder:
        async with scripted_provider_process() as provider:
            await provider.set_default(SCRIPT)
            async with (
                service_process(folder, provider.base_url) as orchestrator,
                backend_process(
                    orchestrator.address, BACKEND_LOCAL__BASE_URL=provider.base_url, **_FLAGS
                ) as backend,
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_SECONDS)) as session,
            ):
                yield tuple(BackendAsker(session, backend.address, user) for user in (_LOCAL, _REMOTE))  # type: ignore[misc]


async def run(calls: int, callers: int, json: Path | None) -> None:
    """Measure, print, and write what was printed."""
    before = os.getloadavg()
    say("starting the provider, the orchestrator and the backend")
    async with started() as (local, remote):
        plans = [Plan("1 caller", calls)]
        if callers > 1:
            rounds = max(1, round(calls / callers / _IN_A_ROW))
            plans.append(Plan(f"{callers} callers", rounds, callers, _IN_A_ROW, _ANSWER_SECONDS))
        await measure(Plan("warming up", 2, callers=4, spread=_ANSWER_SECONDS), local, remote)
        results = [show(await measure(plan, local, remote)) for plan in plans]
    after = os.getloadavg()
    say(f"\n{load_line(before, after)}")
    write_json(json, {"load_before": before, "load_after": after, "series": results})


def show(series: Series) -> dict[str, object]:
    """Print a series, both paths beside each other; return it for JSON."""
    first = series.first_token()
    added = {name: through - local for name, (local, through) in first.items()}
    say(f"\n{series.plan.name}: time to the first content of {series.plan.calls} calls on each path")
    rows = [
        [name, *map(milliseconds, (local, through, through - local))]
        for name, (local, through) in first.items()
    ]
    table(("", "local path", "orchestrator", "added"), rows)
    reached = verdict(added["p99"], GOAL_SECONDS)
    say(f"  goal, added p99 at most {milliseconds(GOAL_SECONDS)}: {milliseconds(added['p99'])}, {reached}")
    return {
        "name": series.plan.name,
        "calls": series.plan.calls,
        "first_content_seconds": first,
        "added_seconds": added,
        "goal_p99_seconds": GOAL_SECONDS,
        "verdict": reached,
    }


def main() -> int:
    """Exit code 0 when it ran, whether or not the goal is reached."""
    parser = argparse.ArgumentParser(prog="bench.backend", description=__doc__)
    parser.add_argument("--calls", type=count, default=150, help="on each path (150)")
    parser.add_argument(
        "--callers", type=count, default=8, help="at once, in the second series; 1 = none (8)"
    )
    parser.add_argument("--json", type=Path, help="write the results to this file too")
    arguments = parser.parse_args()
    uvloop.run(run(arguments.calls, arguments.callers, arguments.json))
    return 0


if __name__ == "__main__":
    sys.exit(main())

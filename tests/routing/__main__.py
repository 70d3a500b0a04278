"""Measure how well requests find their agents: `python -m tests.routing [--model NAME]`. Nothing gates on it.

Models are those of the settings, as the server has them: `--model` names one of the provider file.
"""

import argparse
import asyncio
import math
from time import monotonic

from config.load import load
from providers.pool.choice import ClassChoice, ModelChoice, PinnedChoice
from providers.pool.model import PooledModel
from tests.harness.catalogue import shipped
from tests.routing.labelled import labelled
from tests.routing.measuring import Knowing, Outcome, Unmarked, cheap, classified, confusions, share
from wiring.models import models_of

_MOST_PAIRS = 12


async def main() -> None:
    options = _parsed()
    catalog, requests = shipped(), list(labelled())
    print(f"{len(requests)} labelled requests, {len(catalog.names)} agents")
    alone = cheap(catalog, requests)
    decided = [outcome for outcome in alone if outcome.reason == "keywords"]
    print(f"decided without a model: {len(decided)}, of these right {share(decided)}")
    _tell("cheap stage alone, the rest to chat", alone)
    known = await classified(catalog, requests, Knowing(requests), seconds=math.inf)
    _tell("with a scripted classifier that knows the labels", known)
    if options.seconds:
        await _with_model(options)


async def _with_model(options: argparse.Namespace) -> None:
    choice: ModelChoice = PinnedChoice(options.model) if options.model else ClassChoice("fast")
    async with models_of(load(), {}) as pool:
        model = Unmarked(PooledModel(pool, choice))
        print(f"\nasking {model.info.model} for at most {options.seconds:.0f} s ...", flush=True)
        begun = monotonic()
        outcomes = await classified(
            shipped(), list(labelled()), model, seconds=options.seconds, at_once=options.at_once
        )
        asked = [outcome for outcome in outcomes if outcome.reason != "keywords"]
        _tell(f"with {model.info.model}", outcomes)
        print(f"of those that it was asked about {share(asked)}, {monotonic() - begun:.0f} s")


def _tell(what: str, outcomes: list[Outcome]) -> None:
    print(f"\n{what}: {share(outcomes)}")
    for line in confusions(outcomes, _MOST_PAIRS):
        print(line)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.routing", description=__doc__)
    parser.add_argument("--model", default="", help="a model of the provider file; else the class `fast`")
    parser.add_argument("--seconds", type=float, default=180.0, help="longest time to ask it; 0 = not at all")
    parser.add_argument("--at-once", type=int, default=2, help="requests at the same time")
    return parser.parse_args()


if __name__ == "__main__":
    asyncio.run(main())

"""Every provider is down: what the outage costs them."""

import asyncio
from collections import Counter
from pathlib import Path

from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Fault, FaultKind, Script
from tests.harness.configured import two_models
from tests.harness.scale import report
from tests.integration.provider_first.asking import FAIL, ask, service_with
from tests.integration.provider_first.states import DOWN

REQUESTS = 200
ROOMY = 'kind = "openai"\nlimits = { max_concurrency = 500 }\ntimeouts = { first_token_seconds = 2.0 }'
# Slow to fail: all of them have been admitted before the first failure can open a breaker.
HANGS = Script(fault=Fault(FaultKind.HANG_BEFORE_HEADERS))


async def test_requests_in_an_outage_cost_at_most_a_tenth_more_calls_than_there_are_of_them(
    dsn: str, provider: ScriptedProvider, tmp_path: Path
) -> None:
    async with ScriptedProvider(default=HANGS) as second:
        provider.default = HANGS
        text = two_models(provider.base_url, second.base_url).replace('kind = "openai"', ROOMY)
        limits = {"max_streams": 2 * REQUESTS}
        async with service_with(dsn, provider, tmp_path / "p.toml", text, server=limits) as service:
            burst = await asyncio.gather(*(ask(service, f"burst {n}", FAIL) for n in range(REQUESTS)))
            in_burst = len(provider.ledger) + len(second.ledger)
            later = [await ask(service, f"later {n}", FAIL) for n in range(REQUESTS)]
        calls = len(provider.ledger) + len(second.ledger)
    assert Counter(asked.seen for asked in (*burst, *later)) == {DOWN: 2 * REQUESTS}
    report(
        f"total outage: {in_burst / REQUESTS:.2f} calls for each of {REQUESTS} requests at once, "
        f"{calls / (2 * REQUESTS):.2f} over all {2 * REQUESTS}"
    )
    assert REQUESTS < in_burst <= 1.1 * REQUESTS
    # Two breakers are open by then, and each lets one call through every now and then.
    assert calls - in_burst <= 0.1 * REQUESTS

"""Reading the metrics of a service as Prometheus does."""

import socket
from collections import Counter
from collections.abc import Mapping

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

Scrape = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def free_address() -> str:
    """host:port that was free a moment ago."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


async def page(address: str, path: str = "/metrics") -> tuple[int, str]:
    """Status and text of one of the pages."""
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as response:
        return response.status, await response.text()


async def scrape(address: str) -> Scrape:
    """Every sample by its name and labels."""
    status, text = await page(address)
    assert status == 200
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def samples(scraped: Scrape, name: str, *labels: str) -> Counter[tuple[str, ...]]:
    """The samples of a name by the values of these labels, summed over all others; those of 0 left out."""
    found: Counter[tuple[str, ...]] = Counter()
    for (sample, pairs), value in scraped.items():
        if sample == name:
            values = dict(pairs)
            found[tuple(values[label] for label in labels)] += value  # type: ignore[assignment]
    return Counter({key: value for key, value in found.items() if value})

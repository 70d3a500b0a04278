"""The provider file changes while the process runs."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from providers.file.entries import ProviderConfiguration
from providers.file.reading import ProviderFileError
from providers.file.watching import ProviderFile, ProviderFileWatch
from providers.pool.choice import ClassChoice, PinnedChoice
from state.errors import InvalidRequestError
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.integration.pool.pools import CHAT, QUESTION, TWO, MakePool, Pool, begun, read

SOON = 0.01
CANARY = "sk-canary5d1e8f7a"


@dataclass
class Watched:
    """A pool whose file is watched."""

    pool: Pool
    path: Path
    exchanged: asyncio.Event
    watch: ProviderFileWatch

    def write(self, text: str) -> None:
        """Replace the file, as an orchestrator of containers does."""
        beside = self.path.with_suffix(".new")
        beside.write_text(self.pool.filled(text))
        beside.replace(self.path)

    async def change(self, text: str) -> None:
        """The same, until it is in force."""
        self.exchanged.clear()
        self.write(text)
        async with asyncio.timeout(5):
            await self.exchanged.wait()


@pytest.fixture
async def watched(make_pool: MakePool, tmp_path: Path) -> AsyncIterator[Watched]:
    environment = {"ACME_KEY": "a"}
    pool = make_pool(failures_to_open=1, environment=environment)
    path, exchanged = tmp_path / "p.toml", asyncio.Event()

    def apply(configuration: ProviderConfiguration) -> None:
        pool.pool.exchange(configuration)
        exchanged.set()

    file = ProviderFile(path, environment, production=pool.production)
    watch = ProviderFileWatch(file, apply, reload_seconds=SOON)
    result = Watched(pool, path, exchanged, watch)
    result.write(TWO)
    file.read()
    async with watch:
        yield result


async def test_a_new_file_is_in_force_from_the_next_call_on(watched: Watched) -> None:
    await watched.change(TWO.replace('["one", "two"]', '["two", "one"]'))
    assert (await read(watched.pool.pool.stream(CHAT, QUESTION))).finished.model == "two"


async def test_a_file_written_in_place_is_read_again_too(watched: Watched) -> None:
    text = watched.path.read_text().replace('["one", "two"]', '["two"]')
    watched.path.write_text(text)
    async with asyncio.timeout(5):
        await watched.exchanged.wait()
    assert (await read(watched.pool.pool.stream(CHAT, QUESTION))).finished.model == "two"


async def test_a_replaced_file_of_the_same_age_and_size_is_read(watched: Watched) -> None:
    times = watched.path.stat()
    text = watched.path.read_text().replace('["one", "two"]', '["two", "one"]')
    beside = watched.path.with_suffix(".new")
    beside.write_text(text)
    os.utime(beside, ns=(times.st_atime_ns, times.st_mtime_ns))
    beside.replace(watched.path)
    async with asyncio.timeout(5):
        await watched.exchanged.wait()


async def test_a_call_in_flight_keeps_what_it_began_with(watched: Watched, first: ScriptedProvider) -> None:
    first.enqueue(Script(tokens=("a", "b", "c"), hold_after=1))
    stream = watched.pool.pool.stream(CHAT, QUESTION)
    await begun(stream)
    await watched.change(
        '[providers.second]\nkind = "openai"\nbase_url = "{second}"\n'
        '[models.two]\nprovider = "second"\ncontext_tokens = 8192\n[classes]\nchat = ["two"]\n'
    )
    first.ledger[0].release()
    result = await read(stream)
    assert (result.text, result.finished.model) == ("bc", "one")
    assert isinstance(
        (await read(watched.pool.pool.stream(PinnedChoice("one"), QUESTION))).error, InvalidRequestError
    )


async def test_gates_of_what_has_not_changed_keep_their_state(
    watched: Watched, first: ScriptedProvider
) -> None:
    pool = watched.pool
    first.enqueue(Script(status=503))
    await read(pool.pool.stream(CHAT, QUESTION))
    before = dict(pool.gates)
    prices = "context_tokens = 8192\nprices = { input_micros = 5 }"
    await watched.change(TWO.replace("context_tokens = 8192", prices) + 'reasoning = ["two"]\n')
    assert pool.gates == before
    assert (await read(pool.pool.stream(CHAT, QUESTION))).finished.model == "two"
    assert len(first.ledger) == 1


@pytest.mark.parametrize(
    "change", ["limits = { max_concurrency = 3 }", 'api_key_env = "ACME_KEY"'], ids=["limits", "key"]
)
async def test_a_gate_whose_limits_or_key_changed_is_a_new_one(watched: Watched, change: str) -> None:
    before = dict(watched.pool.gates)
    await watched.change(TWO.replace('base_url = "{first}"', f'base_url = "{{first}}"\n{change}'))
    assert watched.pool.gates["one"] is not before["one"]
    assert watched.pool.gates["two"] is before["two"]


async def test_an_invalid_file_is_logged_once_and_changes_nothing(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.write(
        TWO.replace("8192", "8").replace('kind = "openai"', f'kind = "openai"\napi_key = "{CANARY}"')
    )
    records = [r for r in caplog.records if "refused" in r.message]
    async with asyncio.timeout(5):
        while not records:
            await asyncio.sleep(SOON)
            records = [r for r in caplog.records if "refused" in r.message]
    assert (await read(watched.pool.pool.stream(CHAT, QUESTION))).finished.model == "one"
    assert watched.watch.look() is False
    assert [r for r in caplog.records if "refused" in r.message] == records
    assert any("[providers.first] api_key: looks like a key" in line for line in vars(records[0])["reasons"])
    assert CANARY not in caplog.text + str(vars(records[0]))
    await watched.change(TWO.replace('["one", "two"]', '["two"]'))


async def test_a_file_that_is_gone_changes_nothing(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.path.unlink()
    watched.watch.look()
    assert (await read(watched.pool.pool.stream(CHAT, QUESTION))).finished.model == "one"
    await watched.change(TWO)


async def test_production_refuses_a_scripted_provider_at_start_and_later(
    make_pool: MakePool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    scripted = TWO.replace('"openai"', '"scripted"')
    with pytest.raises(ProviderFileError, match="refused in production"):
        make_pool(scripted, production=True)
    make_pool(scripted)
    pool, path = make_pool(production=True), tmp_path / "p.toml"
    file = ProviderFile(path, {}, production=True)
    watch = ProviderFileWatch(file, pool.pool.exchange, reload_seconds=SOON)
    path.write_text(pool.filled(scripted))
    assert watch.look() is False
    assert "refused in production" in str(vars(caplog.records[-1])["reasons"])
    with pytest.raises(ProviderFileError):
        pool.pool.exchange(make_pool(scripted).read(scripted))


async def test_waiters_follow_the_gates_of_the_new_file(watched: Watched) -> None:
    pool, heard = watched.pool, list[str]()
    end = pool.pool.on_room(ClassChoice("alone"), lambda: heard.append("room"))
    await watched.change(TWO.replace('alone = ["one"]', 'alone = ["two"]'))
    assert heard == ["room"]
    await read(pool.pool.stream(PinnedChoice("one"), QUESTION))
    assert heard == ["room"]
    await read(pool.pool.stream(PinnedChoice("two"), QUESTION))
    assert heard == ["room", "room"]
    await watched.change(TWO.replace('alone = ["one"]', ""))
    await watched.change(TWO)
    await read(pool.pool.stream(PinnedChoice("one"), QUESTION))
    assert heard == ["room"] * 5
    end()


async def test_the_death_of_the_watch_is_told(tmp_path: Path) -> None:
    path = tmp_path / "p.toml"

    def apply(configuration: ProviderConfiguration) -> None:
        raise RuntimeError

    path.write_text(TWO.replace("{first}", "http://a").replace("{second}", "http://b"))
    async with ProviderFileWatch(ProviderFile(path, {}, production=False), apply, reload_seconds=0) as watch:
        with pytest.raises(RuntimeError):
            await watch.died()


@pytest.fixture(autouse=True)
def heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "providers.file.watching")

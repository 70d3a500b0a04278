"""Flags from the environment, a file and a vendor; values that cannot be used."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from openfeature import api
from openfeature.flag_evaluation import FlagResolutionDetails, Reason
from openfeature.provider import FeatureProvider
from openfeature.provider.in_memory_provider import InMemoryFlag, InMemoryProvider

from llm_orchestrator_client.rollout.environment import EnvironmentProvider
from llm_orchestrator_client.rollout.flag_file import FlagFileProvider, write_flag
from llm_orchestrator_client.rollout.flags import Flag, Refusals, RolloutFlags, evaluation_context
from llm_orchestrator_client.rollout.loading import FlagSourceError, flag_source, opened_flags
from llm_orchestrator_client.rollout.targets import HeldPercentage

ANN = evaluation_context("ann")
VENDORS = InMemoryProvider({Flag.PERCENTAGE: InMemoryFlag("on", {"on": 12.5})})


class Flags:
    """Opens flags, and counts what they refuse."""

    def __init__(self, contexts: ExitStack) -> None:
        self._contexts = contexts
        self.refused: Counter[str] = Counter()
        self.refusals = Refusals(lambda flag: self.refused.update([flag]))

    def of(self, provider: FeatureProvider) -> RolloutFlags:
        return self._contexts.enter_context(opened_flags(provider, self.refusals, domain=uuid4().hex))

    def environment(self, values: Mapping[str, str]) -> RolloutFlags:
        return self.of(EnvironmentProvider(values))

    def file(self, path: Path) -> RolloutFlags:
        return self.of(FlagFileProvider(path, self.refusals, look_seconds=0.0))


@pytest.fixture
def flags() -> Iterator[Flags]:
    with ExitStack() as contexts:
        yield Flags(contexts)


async def all_of(values: RolloutFlags) -> tuple[bool, float, bool, bool]:
    """The four flags of the issue."""
    return (
        await values.is_on(Flag.USE_ORCHESTRATOR, ANN, default=False),
        await values.percentage(Flag.PERCENTAGE, ANN),
        await values.uses_tool_service(),
        await values.is_on(Flag.FALLBACK, ANN, default=True),
    )


async def test_without_any_setting_everything_is_off_but_the_fallback(flags: Flags, tmp_path: Path) -> None:
    assert await all_of(flags.environment({})) == (False, 0.0, False, True)
    assert not flags.refused
    assert await all_of(flags.file(tmp_path / "missing.json")) == (False, 0.0, False, True)
    assert flags.refused["file"]


async def test_the_environment_sets_all_of_them(flags: Flags) -> None:
    values = {
        "USE_GRPC_ORCHESTRATOR": "true",
        "GRPC_ORCHESTRATOR_PERCENTAGE": "0.1",
        "USE_GRPC_TOOL_SERVICE": "1",
        "GRPC_FALLBACK_TO_LOCAL": "off",
        "GRPC_ORCHESTRATOR_ALLOWED_USERS": "ann, bob",
    }
    read = flags.environment(values)
    assert await all_of(read) == (True, 0.1, True, False)
    assert await read.users(Flag.ALLOWED, ANN) == {"ann", "bob"}
    assert not flags.refused


@pytest.mark.parametrize("bad", ["101", "-0.1", "nan", "inf", "ten", "10%", "1e400"])
async def test_a_percentage_that_is_none_is_refused_and_the_last_one_stays(flags: Flags, bad: str) -> None:
    values = {Flag.PERCENTAGE.value: "10"}
    read = flags.environment(values)
    assert await read.percentage(Flag.PERCENTAGE, ANN) == 10.0
    values[Flag.PERCENTAGE] = bad
    assert await read.percentage(Flag.PERCENTAGE, ANN) == 10.0
    assert flags.refused == {Flag.PERCENTAGE: 1}


@pytest.mark.parametrize("bad", ["maybe", "2", "tru"])
async def test_a_switch_that_is_neither_on_nor_off_is_refused(flags: Flags, bad: str) -> None:
    values = {Flag.USE_ORCHESTRATOR.value: bad, Flag.FALLBACK.value: bad}
    assert await all_of(flags.environment(values)) == (False, 0.0, False, True)
    assert flags.refused == {Flag.USE_ORCHESTRATOR: 1, Flag.FALLBACK: 1}


@pytest.mark.parametrize("bad", [True, "50", 100.5, -1])
async def test_a_bad_value_in_a_file_is_refused_and_its_neighbours_count(
    flags: Flags, tmp_path: Path, bad: bool | float | str
) -> None:
    file = tmp_path / "flags.json"
    write_flag(file, Flag.USE_ORCHESTRATOR, True)
    write_flag(file, Flag.PERCENTAGE, 25)
    read = flags.file(file)
    assert await all_of(read) == (True, 25.0, False, True)
    write_flag(file, Flag.PERCENTAGE, bad)
    write_flag(file, Flag.USE_ORCHESTRATOR, False)
    assert await all_of(read) == (False, 25.0, False, True)
    assert flags.refused == {Flag.PERCENTAGE: 1}


@pytest.mark.parametrize(
    "bad", ["", "{", "[]", '{"flags": []}', '{"flags": {"F": 1}}', '{"flags": {"F": {"variants": {}}}}']
)
async def test_a_broken_file_is_refused_as_a_whole_and_the_last_one_stays(
    flags: Flags, tmp_path: Path, bad: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "flags.json"
    write_flag(file, Flag.PERCENTAGE, 25)
    read = flags.file(file)
    assert await read.percentage(Flag.PERCENTAGE, ANN) == 25.0
    file.write_text(bad)
    assert [await read.percentage(Flag.PERCENTAGE, ANN) for _ in range(5)] == [25.0] * 5
    assert flags.refused["file"] >= 1
    assert len([r for r in caplog.records if r.getMessage().startswith("flag refused")]) == 1
    file.unlink()
    assert await read.percentage(Flag.PERCENTAGE, ANN) == 25.0
    write_flag(file, Flag.PERCENTAGE, 30)
    assert await read.percentage(Flag.PERCENTAGE, ANN) == 30.0


async def test_an_older_file_that_is_moved_back_is_seen(flags: Flags, tmp_path: Path) -> None:
    file, yesterday = tmp_path / "flags.json", tmp_path / "yesterday.json"
    write_flag(yesterday, Flag.PERCENTAGE, 5)
    os.utime(yesterday, (1, 1))
    write_flag(file, Flag.PERCENTAGE, 50)
    read = flags.file(file)
    assert await read.percentage(Flag.PERCENTAGE, ANN) == 50.0
    yesterday.replace(file)
    assert await read.percentage(Flag.PERCENTAGE, ANN) == 5.0


async def test_a_file_may_have_rules_of_flagd(flags: Flags, tmp_path: Path) -> None:
    file = tmp_path / "flags.json"
    file.write_text(
        '{"flags": {"GRPC_ORCHESTRATOR_PERCENTAGE": {"state": "ENABLED", "variants": {"all": 100, "few": 1},'
        ' "defaultVariant": "few", "targeting": {"if": [{"==": [{"var": "agent_type"}, "chat"]}, "all"]}}}}'
    )
    read = flags.file(file)
    chat = evaluation_context("ann", agent_type="chat")
    assert await read.percentage(Flag.PERCENTAGE, chat) == 100.0
    assert await read.percentage(Flag.PERCENTAGE, ANN) == 1.0


class Targeting(EnvironmentProvider):
    """A vendor that is on for ann by a rule, until it fails."""

    fails = False

    def resolve_boolean_details(
        self, flag_key: str, default_value: bool, evaluation_context: object = None
    ) -> FlagResolutionDetails[bool]:
        if self.fails:
            raise RuntimeError("the vendor is down")
        return FlagResolutionDetails(True, reason=Reason.TARGETING_MATCH)


async def test_a_value_that_was_anns_is_nobody_elses_when_the_vendor_fails(flags: Flags) -> None:
    provider = Targeting({})
    read = flags.of(provider)
    assert await read.is_on(Flag.USE_ORCHESTRATOR, ANN, default=False)
    provider.fails = True
    assert not await read.is_on(Flag.USE_ORCHESTRATOR, evaluation_context("bob"), default=False)
    assert flags.refused == {Flag.USE_ORCHESTRATOR: 1}


async def test_any_vendors_provider_is_taken_by_its_name(flags: Flags) -> None:
    named = {"GRPC_ROLLOUT_FLAGS": f"{__name__}:VENDORS"}
    read = flags.of(flag_source(named, flags.refusals))
    assert await read.percentage(Flag.PERCENTAGE, ANN) == 12.5


@pytest.mark.parametrize("named", ["no_such_module:x", f"{__name__}:NO_SUCH", "json:JSONDecoder"])
def test_a_name_that_is_no_provider_is_refused_at_the_start(flags: Flags, named: str) -> None:
    with pytest.raises(FlagSourceError):
        flag_source({"GRPC_ROLLOUT_FLAGS": named}, flags.refusals)


async def test_the_applications_own_provider_stays_what_it_is(flags: Flags) -> None:
    before = api.get_provider_metadata().name
    flags.environment({})
    assert api.get_provider_metadata().name == before


async def test_a_held_percentage_goes_before_the_providers(flags: Flags) -> None:
    held = HeldPercentage(EnvironmentProvider({Flag.PERCENTAGE: "5", Flag.USE_ORCHESTRATOR: "true"}))
    read = flags.of(held)
    assert await all_of(read) == (True, 5.0, False, True)
    held.set(25)
    assert await all_of(read) == (True, 25.0, False, True)


def test_writing_a_flag_keeps_the_rest_and_the_links(tmp_path: Path) -> None:
    file, link = tmp_path / "flags.json", tmp_path / "link.json"
    file.write_text('{"metadata": {"team": "chat"}, "flags": {}}')
    file.chmod(0o640)
    link.symlink_to(file)
    write_flag(link, Flag.PERCENTAGE, 10)
    assert link.is_symlink()
    assert '"team": "chat"' in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["flags.json", "link.json"]


async def test_a_change_is_in_force_within_a_second(flags: Flags, tmp_path: Path) -> None:
    file, now = tmp_path / "flags.json", 0.0
    write_flag(file, Flag.USE_ORCHESTRATOR, True)
    read = flags.of(FlagFileProvider(file, flags.refusals, clock=lambda: now))
    assert await read.is_on(Flag.USE_ORCHESTRATOR, ANN, default=False)
    write_flag(file, Flag.USE_ORCHESTRATOR, False)
    now = 0.99
    assert not await read.is_on(Flag.USE_ORCHESTRATOR, ANN, default=False)

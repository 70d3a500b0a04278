"""Breakers and what is not implemented: each method for itself."""

import asyncio

import pytest

from providers.breaker import BreakerSettings
from tests.fakes.tool_service.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.tools import ANN, call, options
from tests.unit.gate.manual_time import ManualTime
from tools.gateway.failures import OFF, REFUSED_FOR_NOW, UNREACHABLE, CallFailedError
from tools.gateway.gateway import ToolGateway
from tools.gateway.methods import Methods

AFTER_TWO = BreakerSettings(consecutive_failures=2, reset_seconds=3600.0, reset_cap_seconds=3600.0)
AT_ONCE = BreakerSettings(consecutive_failures=2, reset_seconds=0.05, reset_jitter=0.0)


@pytest.mark.parametrize(
    "code", ["UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "INTERNAL", "UNKNOWN"]
)
async def test_a_backend_with_a_problem_opens_the_methods_breaker(
    backend: FakeToolService, code: str
) -> None:
    backend.default("AppendOrgInboxText", Script(status=code))
    async with ToolGateway(options(backend.address, breaker=AFTER_TWO)) as gateway:
        for _ in range(5):
            assert not (await call(gateway, "append_org_inbox_text")).ok
        assert (await call(gateway, "search_documents")).ok
    assert len(backend.ledger.of("AppendOrgInboxText")) == 2


@pytest.mark.parametrize(
    "code", ["NOT_FOUND", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "PERMISSION_DENIED"]
)
async def test_what_is_for_the_model_opens_no_breaker(backend: FakeToolService, code: str) -> None:
    backend.default("AppendOrgInboxText", Script(status=code))
    async with ToolGateway(options(backend.address, breaker=AFTER_TWO)) as gateway:
        for _ in range(5):
            assert (await call(gateway, "append_org_inbox_text")).reason == code
    assert len(backend.ledger.calls) == 5


async def test_garbage_opens_it_and_a_run_without_time_does_not(backend: FakeToolService) -> None:
    backend.default("SearchDocuments", Script(garbage=True))
    backend.default("GetEntity", Script(hold=True))
    async with ToolGateway(options(backend.address, breaker=AFTER_TWO)) as gateway:
        for _ in range(4):
            await call(gateway, "search_documents")
            await call(gateway, "get_entity", seconds=0.05)
    assert len(backend.ledger.of("SearchDocuments")) == 2
    assert len(backend.ledger.of("GetEntity")) == 4


async def test_one_probe_finds_out_whether_the_backend_is_back(backend: FakeToolService) -> None:
    down = Script(status="INTERNAL")
    backend.script("AppendOrgInboxText", down, down, Script(hold=True))
    async with ToolGateway(options(backend.address, breaker=AT_ONCE)) as gateway:
        for _ in range(2):
            await call(gateway, "append_org_inbox_text")
        probe = asyncio.create_task(_until_admitted(gateway, backend))
        await backend.ledger.arrived(3)
        others = await asyncio.gather(*(call(gateway, "append_org_inbox_text") for _ in range(5)))
        assert {one.reason for one in others} == {"TOOL_UNAVAILABLE"}
        assert len(backend.ledger.calls) == 3
        backend.release()
        await probe
        assert (await call(gateway, "append_org_inbox_text")).ok


async def _until_admitted(gateway: ToolGateway, backend: FakeToolService) -> None:
    async with asyncio.timeout(5):
        while not (await call(gateway, "append_org_inbox_text")).ok:  # noqa: ASYNC110 - it opens by time
            await asyncio.sleep(0.01)


async def test_a_cancelled_probe_leaves_room_for_the_next_one(backend: FakeToolService) -> None:
    down = Script(status="INTERNAL")
    backend.script("AppendOrgInboxText", down, down, Script(hold=True))
    async with ToolGateway(options(backend.address, breaker=AT_ONCE)) as gateway:
        for _ in range(2):
            await call(gateway, "append_org_inbox_text")
        probe = asyncio.create_task(_until_admitted(gateway, backend))
        await backend.ledger.arrived(3)
        probe.cancel()
        await asyncio.gather(probe, return_exceptions=True)
        assert (await call(gateway, "append_org_inbox_text")).ok


async def test_what_is_not_implemented_is_off_for_a_while(backend: FakeToolService) -> None:
    backend.script("GetEntity", Script(status="UNIMPLEMENTED"))
    async with ToolGateway(options(backend.address)) as gateway:
        for _ in range(3):
            outcome = await call(gateway, "get_entity")
            assert (outcome.reason, outcome.text) == ("TOOL_OFF", "This tool is off. Go on without it.")
        offered = {tool.name for tool in await gateway.offered(ANN)}
    assert len(backend.ledger.of("GetEntity")) == 1
    assert "get_entity" not in offered
    assert len(offered) == 28


async def test_a_backend_that_serves_none_of_it_has_all_off_one_after_the_other() -> None:
    async with FakeToolService(served=False) as backend, ToolGateway(options(backend.address)) as gateway:
        for tool in await gateway.offered(ANN):
            assert (await call(gateway, tool.name)).reason == "TOOL_OFF"
        assert await gateway.offered(ANN) == []


def test_what_was_off_is_asked_again_after_its_time() -> None:
    time = ManualTime()
    methods = Methods(BreakerSettings(), off_seconds=60.0, clock=time.clock, chance=time.chance)
    with pytest.raises(CallFailedError), methods.attempt("GetEntity"):
        raise CallFailedError(OFF)
    assert methods.is_off("GetEntity")
    assert not methods.is_off("GetDocument")
    time.advance(59.9)
    assert methods.is_off("GetEntity")
    with pytest.raises(CallFailedError) as refused, methods.attempt("GetEntity"):
        pytest.fail("no call may be made")
    assert refused.value.failure is OFF
    time.advance(0.2)
    assert not methods.is_off("GetEntity")
    with methods.attempt("GetEntity"):
        pass


def test_an_open_breaker_lets_one_through_after_its_time() -> None:
    time = ManualTime()
    settings = BreakerSettings(consecutive_failures=1, reset_seconds=2.0, reset_jitter=0.0)
    methods = Methods(settings, off_seconds=60.0, clock=time.clock, chance=time.chance)
    with pytest.raises(CallFailedError), methods.attempt("GetEntity"):
        raise CallFailedError(UNREACHABLE)
    time.advance(1.9)
    with pytest.raises(CallFailedError) as refused, methods.attempt("GetEntity"):
        pytest.fail("no call may be made")
    assert refused.value.failure is REFUSED_FOR_NOW
    time.advance(0.2)
    with methods.attempt("GetEntity"), pytest.raises(CallFailedError), methods.attempt("GetEntity"):
        pytest.fail("the probe is under way")
    with methods.attempt("GetEntity"):
        pass

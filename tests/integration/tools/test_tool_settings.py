"""Each setting of the tools, changed, changes what happens."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from config.load import SettingsError, load
from config.settings import Settings
from state.models import RunId
from tests.fakes.tool_service.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.certificates import self_signed
from tests.harness.process import ROOT
from tests.harness.proxy import TcpProxy
from tests.harness.tools import ANN, Told, call, context, options_of
from tests.integration.tools.describing import described, output, spec
from tools.gateway.channel import TLSFileError
from tools.gateway.described import Described
from tools.gateway.gateway import ToolGateway
from tools.gateway.specs import SpecLimits
from tools.mcp.file import McpLimits, read_servers
from tools.mcp.source import McpServers
from tools.policy import PolicyContext, Verdict, verdict

Configured = Callable[..., AbstractAsyncContextManager[ToolGateway]]
HELD = Script(hold=True)


@pytest.fixture
def loaded(
    backend: FakeToolService, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Settings]:
    """Settings from the environment: those that are said, and where the backend is."""
    monkeypatch.chdir(tmp_path)

    def settings(**said: object) -> Settings:
        names = {"use_grpc_tool_service": True, "address": backend.address, **said}
        for name, value in names.items():
            prefix = "" if name == "use_grpc_tool_service" else "ORCHESTRATOR_TOOLS__"
            monkeypatch.setenv(
                prefix + name.upper(), str(value).lower() if value in (True, False) else str(value)
            )
        return load()

    return settings


@pytest.fixture
def configured(loaded: Callable[..., Settings]) -> Configured:
    """A gateway as its settings say."""

    @asynccontextmanager
    async def gateway(**said: object) -> AsyncIterator[ToolGateway]:
        async with ToolGateway(options_of(loaded(**said))) as made:
            yield made

    return gateway


async def test_the_switch_and_the_address(configured: Configured) -> None:
    for on in (True, False):
        async with configured(use_grpc_tool_service=on) as gateway:
            assert (await call(gateway, "get_entity")).ok == on
            assert bool(await gateway.offered(ANN)) == on
    async with configured(use_grpc_tool_service=True, address="127.0.0.1:1") as gateway:
        assert (await call(gateway, "get_entity")).reason == "TOOL_UNAVAILABLE"


def test_tools_are_off_unless_the_switch_is_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("USE_GRPC_TOOL_SERVICE", raising=False)
    assert not load().use_grpc_tool_service


async def test_a_connection_is_encrypted_and_the_certificate_checked(
    configured: Configured, tmp_path: Path
) -> None:
    ours, theirs = self_signed(), self_signed()
    file = tmp_path / "ca.pem"
    file.write_bytes(ours.certificate)
    for certificate, trusted in ((ours, True), (theirs, False)):
        async with FakeToolService(credentials=certificate.server_credentials()) as backend:
            said = {"address": backend.address, "tls": True, "ca_file": file}
            async with configured(**said, max_retries=0) as gateway:
                assert (await call(gateway, "get_entity")).ok == trusted
    async with (
        FakeToolService(credentials=ours.server_credentials()) as backend,
        configured(address=backend.address, tls=False, ca_file="", max_retries=0) as gateway,
    ):
        assert not (await call(gateway, "get_entity")).ok


async def test_without_a_ca_file_only_the_systems_cas_are_trusted(configured: Configured) -> None:
    async with (
        FakeToolService(credentials=self_signed().server_credentials()) as backend,
        configured(address=backend.address, tls=True, max_retries=0) as gateway,
    ):
        assert (await call(gateway, "get_entity")).reason == "TOOL_UNAVAILABLE"


async def test_a_ca_file_that_cannot_be_read_is_said(configured: Configured, tmp_path: Path) -> None:
    with pytest.raises(TLSFileError, match=r"missing\.pem"):
        async with configured(tls=True, ca_file=tmp_path / "missing.pem"):
            pass


def test_plain_text_beyond_this_machine_is_a_decision(loaded: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError, match=r"backend:50052 is not loopback"):
        loaded(address="backend:50052")
    assert loaded(address="backend:50052", tls=True).tools.tls
    assert loaded(address="backend:50052", tls=False, allow_plaintext=True).tools.allow_plaintext


def test_a_ca_file_without_tls_is_refused(loaded: Callable[..., Settings]) -> None:
    with pytest.raises(SettingsError, match="ca_file needs tls"):
        loaded(ca_file="/some/ca.pem")


async def test_the_token_is_sent_with_each_call_and_shown_nowhere(
    configured: Configured, loaded: Callable[..., Settings], backend: FakeToolService
) -> None:
    async with configured(token="t0ken") as gateway:
        await call(gateway, "get_entity")
    assert backend.ledger.calls[0].metadata["authorization"] == "Bearer t0ken"
    settings = loaded(token="t0ken")
    assert "t0ken" not in f"{settings}{options_of(settings)}"
    async with configured(token="") as gateway:
        await call(gateway, "get_entity")
    assert "authorization" not in backend.ledger.calls[1].metadata


async def test_the_longest_call(configured: Configured, backend: FakeToolService) -> None:
    backend.default("GetEntity", HELD)
    async with configured(max_seconds=0.2) as gateway:
        assert gateway.tool("generate_image").timeout_seconds == 0.2
        assert (await call(gateway, "get_entity")).reason == "TOOL_TIMEOUT"
    async with configured(max_seconds=1000) as gateway:
        assert gateway.tool("generate_image").timeout_seconds == 120.0


@pytest.mark.parametrize("size", [1000, 5000])
async def test_what_a_model_sees_at_most(configured: Configured, backend: FakeToolService, size: int) -> None:
    backend.script("GetDocumentContent", Script(padding=10_000))
    async with configured(max_result_bytes=size) as gateway:
        outcome = await call(gateway, "get_document_content")
    assert size - 100 < len(outcome.text) <= size


async def test_the_largest_answer_taken(configured: Configured, backend: FakeToolService) -> None:
    backend.default("GetDocumentContent", Script(padding=10_000))
    for most, ok in ((8_000, False), (12_000, True)):
        async with configured(max_receive_bytes=most) as gateway:
            assert (await call(gateway, "get_document_content")).ok == ok


@pytest.mark.parametrize(("in_all", "of_a_run", "most"), [(2, 9, 2), (9, 3, 3)])
async def test_calls_at_the_same_time(
    configured: Configured, backend: FakeToolService, in_all: int, of_a_run: int, most: int
) -> None:
    backend.default("GetEntity", HELD)
    async with configured(max_concurrency=in_all, max_concurrency_per_run=of_a_run) as gateway:
        calls = [asyncio.create_task(call(gateway, "get_entity", run_id=RunId("r"))) for _ in range(most * 2)]
        for arrived in (most, most * 2):
            await backend.ledger.arrived(arrived)
            backend.release()
        await asyncio.gather(*calls)
    assert backend.ledger.most_in_flight == most


async def test_repetitions_and_the_pause_before_them(
    configured: Configured, backend: FakeToolService
) -> None:
    backend.default("GetEntity", Script(status="UNAVAILABLE"))
    for retries, pause, calls in ((3, 0.001, 4), (0, 0.001, 1), (3, 59, 1)):
        seen = len(backend.ledger.calls)
        async with configured(max_retries=retries, retry_seconds=pause) as gateway:
            await call(gateway, "get_entity")
        assert len(backend.ledger.calls) - seen == calls


async def test_how_long_a_tool_is_off(configured: Configured, backend: FakeToolService) -> None:
    for seconds, off in ((0.001, False), (3600, True)):
        backend.script("GetEntity", Script(status="UNIMPLEMENTED"))
        async with configured(off_seconds=seconds) as gateway:
            await call(gateway, "get_entity")
            await asyncio.sleep(0.01)  # the shorter of the two
            assert ((await call(gateway, "get_entity")).reason == "TOOL_OFF") == off


async def test_when_a_method_is_left_alone_and_for_how_long(
    configured: Configured, backend: FakeToolService
) -> None:
    backend.default("GetEntity", Script(status="INTERNAL"))
    for failures, seconds, calls in ((2, 60, 2), (4, 60, 4), (2, 0.001, 5)):
        seen = len(backend.ledger.calls)
        async with configured(breaker_failures=failures, breaker_seconds=seconds) as gateway:
            for _ in range(5):
                await call(gateway, "get_entity")
                await asyncio.sleep(0.01)  # longer than the shorter wait, doubled each time
        assert len(backend.ledger.calls) - seen == calls


async def test_a_silent_connection_is_noticed_as_soon_as_the_settings_say(
    configured: Configured, backend: FakeToolService
) -> None:
    backend.default("AppendOrgInboxText", HELD)
    for every, answer, noticed in ((0.2, 0.2, True), (0.2, 60, False), (60, 0.2, False)):
        async with TcpProxy("127.0.0.1", backend.port) as proxy:
            said = {"keepalive_seconds": every, "keepalive_timeout_seconds": answer, "max_seconds": 2}
            async with configured(address=f"127.0.0.1:{proxy.port}", **said) as gateway:
                arrived = len(backend.ledger.calls) + 1
                calling = asyncio.create_task(call(gateway, "append_org_inbox_text"))
                await backend.ledger.arrived(arrived)
                proxy.swallow()
                assert ((await calling).reason == "TOOL_UNAVAILABLE") == noticed


async def test_the_longest_call_of_what_is_described_and_how_long_that_is_known(
    loaded: Callable[..., Settings], backend: FakeToolService
) -> None:
    backend.default("DescribeTools", described(spec()))
    backend.default("InvokeTool", Script(events=(output(text="one"),), hold=True))
    settings = loaded(described_seconds=0.2, describe_seconds=1.5)
    limits = SpecLimits(settings.tools.described_seconds, settings.tools.max_result_bytes)
    async with ToolGateway(options_of(settings)) as gateway:
        source = Described(gateway, limits, ttl_seconds=settings.tools.describe_seconds)
        (tool,) = await source.offered(ANN)
        assert (await source.call(tool, {"n": 1}, context(), Told())).reason == "TOOL_TIMEOUT"
        await source.offered(ANN)
        assert len(backend.ledger.of("DescribeTools")) == 1
        await asyncio.sleep(1.6)
        await source.offered(ANN)
    assert len(backend.ledger.of("DescribeTools")) == 2


async def test_the_operators_verdicts(loaded: Callable[..., Settings], gateway: ToolGateway) -> None:
    said = '{"search_web": "allow", "search_documents": "deny", "delete_rss_feed": "allow"}'
    policy = {name: Verdict(said) for name, said in loaded(policy=said).tools.policy.items()}
    wanted = {"search_web": Verdict.ALLOW, "search_documents": Verdict.DENY, "delete_rss_feed": Verdict.ASK}
    for name, told in wanted.items():
        assert verdict(gateway.tool(name), PolicyContext(operator=policy)) is told


@pytest.mark.parametrize(
    "policy", ['{"search_web": "perhaps"}', '{"": "allow"}', '{"a b": "ask"}', '["search_web"]']
)
def test_a_policy_that_is_none_is_refused(loaded: Callable[..., Settings], policy: str) -> None:
    with pytest.raises(SettingsError, match="ORCHESTRATOR_TOOLS"):
        loaded(policy=policy)


async def test_the_file_of_mcp_servers(loaded: Callable[..., Settings], tmp_path: Path) -> None:
    file = tmp_path / "mcp.toml"
    file.write_text(
        f'[servers.small]\ncommand = ["{sys.executable}", "-m", "tests.fakes.mcp_server"]\n'
        f'cwd = "{ROOT}"\ntools = ["add"]\n'
    )
    assert loaded().tools.mcp_file is None
    settings = loaded(mcp_file=file)
    assert settings.tools.mcp_file is not None
    servers = read_servers(settings.tools.mcp_file, {})
    limits = McpLimits(settings.tools.described_seconds, settings.tools.max_result_bytes)
    async with McpServers(servers, {}, limits) as source:
        assert [tool.name for tool in await source.offered(ANN)] == ["small__add"]

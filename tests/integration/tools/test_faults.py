"""What can go wrong between us and the backend, and what the model is told then."""

import asyncio

import pytest

from tests.fakes.scripted_provider.addresses import silent_address
from tests.fakes.tool_service.process import tool_service_process
from tests.fakes.tool_service.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.proxy import TcpProxy
from tests.harness.tools import call, options
from tools.gateway.gateway import ToolGateway

SECRET = "canary-secret-71c"
UNSURE = " It is not known whether it has done what it was called for."
UNREACHABLE = "The tool cannot be reached now."


@pytest.mark.parametrize(
    "code", ["NOT_FOUND", "INVALID_ARGUMENT", "FAILED_PRECONDITION", "PERMISSION_DENIED"]
)
async def test_what_the_model_can_act_on_is_told_in_the_backends_words(
    backend: FakeToolService, gateway: ToolGateway, code: str
) -> None:
    backend.script("ToggleOrgInboxItem", Script(status=code, details="the line reads otherwise"))
    outcome = await call(gateway, "toggle_org_inbox_item")
    assert (outcome.ok, outcome.text) == (False, "the line reads otherwise")
    assert (outcome.reason, outcome.retryable) == (code, False)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("UNAVAILABLE", ("TOOL_UNAVAILABLE", UNREACHABLE, True)),
        ("RESOURCE_EXHAUSTED", ("TOOL_OVERLOADED", "The tool has too much to do now.", True)),
        ("DEADLINE_EXCEEDED", ("TOOL_TIMEOUT", "The tool did not answer in time.", True)),
        ("INTERNAL", ("TOOL_FAILED", "The tool failed.", False)),
        ("UNKNOWN", ("TOOL_FAILED", "The tool failed.", False)),
        ("DATA_LOSS", ("TOOL_FAILED", "The tool failed.", False)),
        ("UNAUTHENTICATED", ("TOOL_FAILED", "The tool failed.", False)),
        ("ABORTED", ("TOOL_FAILED", "The tool failed.", False)),
        ("ALREADY_EXISTS", ("TOOL_FAILED", "The tool failed.", False)),
        ("OUT_OF_RANGE", ("TOOL_FAILED", "The tool failed.", False)),
        ("CANCELLED", ("TOOL_FAILED", "The tool failed.", False)),
    ],
)
async def test_what_the_backend_says_of_its_own_problems_goes_no_further(
    backend: FakeToolService, gateway: ToolGateway, code: str, told: tuple[str, str, bool]
) -> None:
    for rpc in ("SearchDocuments", "AppendOrgInboxText"):
        backend.default(rpc, Script(status=code, details=f"password={SECRET}"))
    read = await call(gateway, "search_documents")
    assert (read.ok, read.reason, read.text, read.retryable) == (False, *told)
    written = await call(gateway, "append_org_inbox_text")
    assert written.text.startswith(told[1])
    assert SECRET not in f"{read}{written}"


async def test_a_long_text_of_the_backend_is_cut(backend: FakeToolService, gateway: ToolGateway) -> None:
    backend.script("GetDocument", Script(status="NOT_FOUND", details="x" * 5000))
    outcome = await call(gateway, "get_document")
    assert len(outcome.text) <= 2048
    assert "[cut: " in outcome.text


async def test_a_status_without_a_text_has_one_of_ours(
    backend: FakeToolService, gateway: ToolGateway
) -> None:
    backend.script("GetDocument", Script(status="NOT_FOUND", details=""))
    assert (await call(gateway, "get_document")).text == "The tool has found nothing of this kind."


@pytest.mark.parametrize("name", ["search_documents", "append_org_inbox_text"])
async def test_bytes_that_are_no_answer_are_a_failure(
    backend: FakeToolService, gateway: ToolGateway, name: str
) -> None:
    rpc = "SearchDocuments" if name == "search_documents" else "AppendOrgInboxText"
    backend.script(rpc, Script(garbage=True))
    outcome = await call(gateway, name)
    assert (outcome.ok, outcome.reason, outcome.retryable) == (False, "TOOL_GARBLED", False)
    assert (UNSURE in outcome.text) == (name != "search_documents")


async def test_an_answer_larger_than_we_receive_is_a_failure_that_says_so(backend: FakeToolService) -> None:
    backend.script("GetDocumentContent", Script(padding=6 << 20), Script(padding=6 << 20))
    async with ToolGateway(options(backend.address, max_receive_bytes=5 << 20)) as gateway:
        outcome = await call(gateway, "get_document_content")
    assert (outcome.reason, outcome.text) == (
        "RESULT_TOO_LARGE",
        "The tool's answer is too large. Ask for less.",
    )
    async with ToolGateway(options(backend.address, max_receive_bytes=7 << 20)) as gateway:
        assert (await call(gateway, "get_document_content")).truncated


async def test_a_slow_backend_is_left_and_told_so(backend: FakeToolService) -> None:
    backend.script("AppendOrgInboxText", Script(hold=True))
    async with ToolGateway(options(backend.address, max_seconds=0.2)) as gateway:
        outcome = await call(gateway, "append_org_inbox_text")
    assert outcome.reason == "TOOL_TIMEOUT"
    assert outcome.text == "The tool did not answer in time." + UNSURE
    assert not outcome.retryable
    assert await backend.ledger.ended(1) == "cancelled"


async def test_a_backend_that_is_not_there_is_a_failure() -> None:
    async with ToolGateway(options("127.0.0.1:1")) as gateway:
        outcome = await call(gateway, "search_documents")
    assert (outcome.reason, outcome.text, outcome.retryable) == ("TOOL_UNAVAILABLE", UNREACHABLE, True)


async def test_a_backend_that_takes_no_connection_is_left_in_time() -> None:
    with silent_address() as address:
        async with ToolGateway(options(address, max_seconds=0.3)) as gateway:
            outcome = await call(gateway, "search_documents")
    assert outcome.reason == "TOOL_TIMEOUT"


async def test_a_backend_that_is_killed_is_a_failure_and_one_that_is_back_answers() -> None:
    async with tool_service_process() as first:
        port = int(first.address.rpartition(":")[2])
        async with ToolGateway(options(first.address, max_retries=100, retry_seconds=0.05)) as gateway:
            assert (await call(gateway, "search_documents")).ok
            await first.kill()
            written = await call(gateway, "append_org_inbox_text")
            assert written.text == UNREACHABLE + UNSURE
            async with tool_service_process(port):
                assert (await call(gateway, "search_documents")).ok


async def test_a_connection_cut_after_the_effect_leaves_the_model_knowing_that_it_may_have_happened(
    backend: FakeToolService,
) -> None:
    backend.script("AppendOrgInboxText", Script(hold=True))
    async with (
        TcpProxy("127.0.0.1", backend.port) as proxy,
        ToolGateway(options(f"127.0.0.1:{proxy.port}")) as gateway,
    ):
        calling = asyncio.create_task(call(gateway, "append_org_inbox_text"))
        await backend.ledger.arrived(1)
        await proxy.cut()
        outcome = await calling
    assert outcome.text == UNREACHABLE + UNSURE
    assert not outcome.retryable
    assert len(backend.ledger.calls) == 1


async def test_a_connection_that_goes_silent_is_noticed_by_pings(backend: FakeToolService) -> None:
    backend.script("SearchDocuments", Script(hold=True))
    async with TcpProxy("127.0.0.1", backend.port) as proxy:
        quick = options(
            f"127.0.0.1:{proxy.port}", keepalive_seconds=0.2, keepalive_timeout_seconds=0.2, max_retries=0
        )
        async with ToolGateway(quick) as gateway:
            calling = asyncio.create_task(call(gateway, "search_documents"))
            await backend.ledger.arrived(1)
            proxy.swallow()
            outcome = await calling
    assert outcome.reason == "TOOL_UNAVAILABLE"


async def test_a_call_that_is_cancelled_is_cancelled_at_the_backend(
    backend: FakeToolService, gateway: ToolGateway
) -> None:
    backend.script("SearchDocuments", Script(hold=True))
    calling = asyncio.create_task(call(gateway, "search_documents"))
    await backend.ledger.arrived(1)
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert await backend.ledger.ended(1) == "cancelled"


async def test_the_run_that_ends_sooner_than_the_tool_shortens_the_call(
    backend: FakeToolService, gateway: ToolGateway
) -> None:
    backend.script("SearchDocuments", Script(hold=True))
    outcome = await call(gateway, "search_documents", seconds=0.3)
    assert (outcome.reason, outcome.text) == ("DEADLINE_EXCEEDED", "There was no time left for this call.")
    seconds_left = backend.ledger.calls[0].seconds_left
    assert seconds_left is not None
    assert 0 < seconds_left <= 0.31
    late = await call(gateway, "search_documents", seconds=-1.0)
    assert (late.reason, len(backend.ledger.calls)) == ("DEADLINE_EXCEEDED", 1)

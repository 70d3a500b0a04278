"""`orchestrator` as people run it: on a terminal, and in a pipe."""

import json
import signal
from collections.abc import AsyncIterator

import pytest

from llm_orchestrator_client.cli.main import main
from tests.client.processes import ORCHESTRATOR, ended, finished, on_terminal, started
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.retention import value
from tests.harness.service import Service
from tests.harness.tooled import ADDS_MILK, DONE, MILK, tooled

THREE = ("one", " two", " three")
HELD = Script(tokens=THREE, hold_after=1)


def at(service: Service) -> dict[str, str]:
    """The environment that names the service."""
    return {"ORCHESTRATOR_TARGET": f"127.0.0.1:{service.port}"}


async def test_on_a_pipe_the_answer_is_plain_text_and_nothing_else(service: Service) -> None:
    service.provider.default = Script(tokens=THREE)
    asked = await finished(*ORCHESTRATOR, "chat", stdin="hello\n", **at(service))
    assert asked == (0, "one two three\n", "")
    said = [call.body["messages"][-1]["content"] for call in service.provider.ledger]
    assert said == ["hello"]


async def test_events_come_as_lines_of_json_as_they_happen(service: Service) -> None:
    service.provider.enqueue(HELD)
    process = await started(*ORCHESTRATOR, "chat", "hello", "--json", **at(service))
    assert process.stdout is not None
    lines = [json.loads(await process.stdout.readline())]
    while lines[-1]["kind"] != "content":
        lines.append(json.loads(await process.stdout.readline()))
    assert lines[-1]["content"]["text"] == "one"
    service.provider.release()
    code, output, errors = await ended(process)
    assert (code, errors) == (0, "")
    lines += map(json.loads, output.splitlines())
    assert lines[-1]["complete"]["final_text"] == "one two three"
    assert [int(line["sequence"]) for line in lines] == list(range(1, len(lines) + 1))


async def test_on_a_terminal_tokens_appear_while_the_model_still_speaks(service: Service) -> None:
    service.provider.enqueue(HELD)
    async with on_terminal(*ORCHESTRATOR, "chat", "hello", **at(service)) as terminal:
        await terminal.shows("one")
        assert "two" not in terminal.screen
        service.provider.release()
        await terminal.shows("one two three")
        assert await terminal.exit_code() == 0
    assert "\x1b[" in terminal.screen  # colours, and a line that is taken back


async def test_ctrl_c_cancels_the_run(service: Service) -> None:
    service.provider.enqueue(HELD)
    async with on_terminal(*ORCHESTRATOR, "chat", "hello", **at(service)) as terminal:
        await terminal.shows("one")
        terminal.type("\x03")
        assert await terminal.exit_code() == 130
    assert "Traceback" not in terminal.screen
    assert await value(service.dsn, "SELECT state FROM runs") in ("cancelling", "cancelled")


async def test_an_interrupt_cancels_the_run_of_a_pipe_as_well(service: Service) -> None:
    service.provider.enqueue(HELD)
    process = await started(*ORCHESTRATOR, "chat", "hello", **at(service))
    await (await service.provider.call(1)).sent(1)
    process.send_signal(signal.SIGINT)
    assert (await ended(process))[0] == 130
    assert await value(service.dsn, "SELECT state FROM runs") in ("cancelling", "cancelled")


async def test_a_conversation_on_a_terminal_remembers(service: Service) -> None:
    service.provider.default = Script(tokens=THREE)
    async with on_terminal(*ORCHESTRATOR, "chat", **at(service)) as terminal:
        await terminal.shows("you> ")
        terminal.type("first\n")
        await terminal.shows("one two three")
        await (await service.provider.call(1)).ended()
        terminal.type("second\n\n")
        assert await terminal.exit_code() == 0
    said = [m["content"] for m in service.provider.ledger[1].body["messages"][1:]]
    assert said == ["first", "one two three", "second"]


async def test_a_task_is_begun_and_watched_from_scripts(service: Service) -> None:
    service.provider.default = Script(tokens=THREE)
    code, task_id, errors = await finished(*ORCHESTRATOR, "task", "do it", **at(service))
    assert (code, errors) == (0, "")
    watched = await finished(*ORCHESTRATOR, "watch", task_id.strip(), **at(service))
    assert watched == (0, "one two three\n", "")


async def test_what_fails_says_why_and_its_exit_code_tells(service: Service) -> None:
    service.provider.enqueue(Script(status=500))
    code, output, errors = await finished(*ORCHESTRATOR, "chat", "hello", **at(service))
    assert (code, output) == (1, "")
    assert errors.startswith("PROVIDER_UNAVAILABLE: ")
    assert errors.count("\n") == 1
    code, output, errors = await finished(*ORCHESTRATOR, "watch", "unknown", **at(service))
    assert (code, output) == (1, "")
    assert errors.startswith("NOT_FOUND: ")
    assert errors.count("\n") == 1


def test_who_cannot_be_reached_and_what_is_wrongly_asked_have_exit_codes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["health"], {"ORCHESTRATOR_TARGET": "127.0.0.1:1", "ORCHESTRATOR_USER": "ann"}) == 1
    assert capsys.readouterr().err.startswith("UNAVAILABLE: ")
    with pytest.raises(SystemExit) as ended:
        main(["nonsense"], {})
    assert ended.value.code == 2
    capsys.readouterr()
    assert main(["health"], {"ORCHESTRATOR_TARGET": "10.0.0.1:1", "ORCHESTRATOR_TOKEN": "secret"}) == 2
    said = capsys.readouterr().err
    assert "plain text" in said
    assert "secret" not in said


async def test_health_tells_of_server_and_providers(service: Service) -> None:
    code, output, errors = await finished(*ORCHESTRATOR, "health", **at(service))
    assert (code, errors) == (0, "")
    assert output.startswith("healthy ")
    assert "scripted: available" in output


@pytest.fixture
async def asking(dsn: str, provider: ScriptedProvider) -> AsyncIterator[Service]:
    """A service that asks before it writes."""
    async with FakeToolService() as backend, tooled(dsn, provider, backend) as service:
        provider.enqueue(ADDS_MILK, DONE)
        yield service


@pytest.mark.parametrize(
    ("options", "state"),
    [(["--deny", "--reason", "no"], "denied"), (["--edit", json.dumps(MILK)], "approved")],
)
async def test_a_permission_is_asked_for_listed_and_decided(
    asking: Service, options: list[str], state: str
) -> None:
    chat = ("chat", "--agent", "org_inbox", "note: milk")
    code, _, errors = await finished(*ORCHESTRATOR, *chat, **at(asking))
    assert code == 4
    permission_id = errors.split()[0]
    code, output, _ = await finished(*ORCHESTRATOR, "approve", **at(asking))
    assert code == 0
    assert output.startswith(f"{permission_id}  add_org_inbox_item ")
    code, output, _ = await finished(*ORCHESTRATOR, "approve", permission_id, *options, **at(asking))
    assert (code, output.split()[0]) == (0, state)
    run_id = await value(asking.dsn, "SELECT run_id FROM runs")
    code, output, _ = await finished(*ORCHESTRATOR, "watch", run_id.hex, **at(asking))
    assert (code, output.endswith("Done.\n")) == (0, True)

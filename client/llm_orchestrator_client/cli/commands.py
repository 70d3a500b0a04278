"""What the commands of `orchestrator` do. Each gives its exit code."""

import argparse
import asyncio
import json
import sys

from llm_orchestrator_client.cli.screen import display_for, say
from llm_orchestrator_client.client import OrchestratorClient
from llm_orchestrator_client.events import Completion, PermissionRequested
from llm_orchestrator_client.streaming import RunStream
from llm_orchestrator_client.values import FinishReason, Permission, PermissionScope

DONE, FAILED, WAITS = 0, 1, 4


async def chat(client: OrchestratorClient, given: argparse.Namespace) -> int:
    """One question, or as many as are typed; all in one conversation."""
    if given.query is None and sys.stdin.isatty():
        return await _converse(client, given)
    query = given.query if given.query is not None else sys.stdin.read().strip()
    return (await _ask(client, given, query, given.conversation))[0]


async def task(client: OrchestratorClient, given: argparse.Namespace) -> int:
    """Begin it; its id is the output."""
    started = await client.tasks.start(
        given.query, conversation_id=given.conversation, agent_type=given.agent
    )
    if not given.watch:
        say(started.task_id, "bold")
        return DONE
    sys.stderr.write(f"{started.task_id}\n")
    return await _follow(client.tasks.watch(started.task_id), as_json=given.json)


async def watch(client: OrchestratorClient, given: argparse.Namespace) -> int:
    """Follow it, live or as it was."""
    stream = client.tasks.watch(given.task, after_sequence=given.after)
    return await _follow(stream, as_json=given.json)


async def approve(client: OrchestratorClient, given: argparse.Namespace) -> int:
    """Decide one, or list those that wait."""
    if given.permission is None:
        async for permission in client.permissions.list():
            say(_line(permission), "yellow")
        return DONE
    if given.deny:
        decision = await client.permissions.deny(given.permission, reason=given.reason)
    else:
        decision = await client.permissions.approve(
            given.permission,
            scope=PermissionScope[given.scope.upper()],
            edited_arguments=json.loads(given.edit) if given.edit else None,
            reason=given.reason,
        )
    say(f"{decision.state.name.lower()} {decision.permission_id}: the run {decision.run_id} goes on", "green")
    return DONE


async def health(client: OrchestratorClient, given: argparse.Namespace) -> int:
    """The server, and the providers behind it."""
    del given
    server = await client.health()
    say(f"{server.status} {server.version}", "green" if server.status == "healthy" else "bold red")
    for part, state in sorted(server.details.items()):
        say(f"  {part}: {state}")
    providers = await client.providers()
    say(f"line: {providers.queued} waiting, {providers.running} running")
    for provider in providers.providers:
        say(f"  {provider.name}: {provider.state.name.lower()}, {provider.in_flight} in flight")
    return DONE if server.status == "healthy" else FAILED


async def _converse(client: OrchestratorClient, given: argparse.Namespace) -> int:
    conversation_id, code = given.conversation, DONE
    while query := (await asyncio.to_thread(input, "you> ")).strip():
        code, conversation_id = await _ask(client, given, query, conversation_id)
    return code


async def _ask(
    client: OrchestratorClient, given: argparse.Namespace, query: str, conversation_id: str
) -> tuple[int, str]:
    stream = client.chat(
        query, conversation_id=conversation_id, agent_type=given.agent, seconds=given.seconds
    )
    code = await _follow(stream, as_json=given.json)
    return code, stream.conversation_id


async def _follow(stream: RunStream, *, as_json: bool) -> int:
    """Show a run to its end. A permission that it waits for is named where the answer is not."""
    display, code = display_for(sys.stdout, as_json=as_json), DONE
    try:
        async with stream:
            async for event in stream:
                display.show(event, stream.transcript)
                if isinstance(event, PermissionRequested) and not sys.stdout.isatty():
                    sys.stderr.write(_line(event.permission) + "\n")
                if (
                    isinstance(event, Completion)
                    and event.finish_reason is FinishReason.WAITING_FOR_PERMISSION
                ):
                    code = WAITS
    finally:
        display.end(stream.transcript)
    return code


def _line(permission: Permission) -> str:
    arguments = json.dumps(permission.arguments, ensure_ascii=False)
    return f"{permission.permission_id}  {permission.tool_name} {arguments}  {permission.reasoning}"

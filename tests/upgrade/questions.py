"""Tasks that ask before they act."""

import asyncio

from llm_orchestrator_client import OrchestratorClient
from llm_orchestrator_client.values import Permission
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.tooled import ADDS_MILK

WISH = "Note: buy milk."
_SECONDS = 20.0


async def adding(client: OrchestratorClient, provider: ScriptedProvider) -> tuple[str, Permission]:
    """A task of ann's that has asked; its id, and what it asks."""
    provider.enqueue(ADDS_MILK)
    task = await client.tasks.start(WISH, user_id="ann", agent_type="org_inbox")
    return task.task_id, await _asked(client, task.task_id)


async def _asked(client: OrchestratorClient, task_id: str) -> Permission:
    async with asyncio.timeout(_SECONDS):
        while True:
            async for permission in client.permissions.list(user_id="ann", run_id=task_id):
                return permission
            await asyncio.sleep(0.05)

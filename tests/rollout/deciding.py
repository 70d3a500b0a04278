"""A process that says which of some users go to the orchestrator, with the flags of its environment."""

import asyncio
import json
import os
import sys

from prometheus_client import CollectorRegistry

from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.rollout.conversations import MemoryConversations
from llm_orchestrator_client.rollout.decision import Decider
from llm_orchestrator_client.rollout.flags import Refusals
from llm_orchestrator_client.rollout.halt import MemoryHalt
from llm_orchestrator_client.rollout.loading import flag_source, opened_flags
from llm_orchestrator_client.rollout.metrics import RolloutMetrics


async def _decide(users: int) -> list[str]:
    refusals = Refusals(RolloutMetrics(CollectorRegistry()).flag_refused)
    with opened_flags(flag_source(os.environ, refusals), refusals) as flags:
        decider = Decider(flags, MemoryConversations(), MemoryHalt().cause, salt="s")
        requests = (pb.ChatRequest(user_id=f"user-{number}") for number in range(users))
        return [(await decider.decide(request)).path.value for request in requests]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(_decide(int(sys.argv[1])))))

"""The peer that takes an afternoon: what the documentation of LangGraph adds up to behind grpc.aio.

`python -m bench.peers.afternoon_server` in the environment of afternoon.txt, with DATABASE_URL,
OPENAI_BASE_URL and OPENAI_API_KEY. It speaks our contract, so that one client asks both.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from typing import Any
from uuid import uuid4

import grpc
from grpc_health.v1 import health_pb2_grpc
from grpc_health.v1.health import aio as health
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from bench.peers.graph import builder
from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc


class Servicer(rpc.OrchestratorServiceServicer):
    """Streams what the graph's model says."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph

    async def StreamChat(self, request: pb.ChatRequest, context: Any) -> AsyncGenerator[pb.ChatChunk]:
        del context
        config = {"configurable": {"thread_id": request.conversation_id or uuid4().hex}}
        asked = {"messages": [HumanMessage(request.query)]}
        async for message, _ in self._graph.astream(asked, config, stream_mode="messages"):
            if message.content:
                yield pb.ChatChunk(content=pb.ContentDelta(text=message.content))
        yield pb.ChatChunk(complete=pb.Completion(finish_reason=pb.FINISH_REASON_STOP))


async def serve() -> None:
    """Until the process is told to end."""
    # What the saver's documentation asks for.
    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    url = os.environ["DATABASE_URL"]
    async with AsyncConnectionPool(url, min_size=4, max_size=20, open=False, kwargs=options) as pool:
        saver = AsyncPostgresSaver(pool)  # type: ignore[arg-type]
        await saver.setup()
        server = grpc.aio.server()
        rpc.add_OrchestratorServiceServicer_to_server(Servicer(builder.compile(checkpointer=saver)), server)
        health_pb2_grpc.add_HealthServicer_to_server(health.HealthServicer(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        print(f"listening on 127.0.0.1:{port}", flush=True)
        await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(serve())

"""Talk to a running orchestrator in the terminal: `python -m deploy.chat ["one question"]`."""

import asyncio
import sys

import grpc

from deploy.address import service_address
from deploy.channel import metadata, opened_async, user
from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc


async def ask(stub: "rpc.OrchestratorServiceAsyncStub", query: str, conversation_id: str) -> str:
    """Print one answer as it comes; return the conversation's id."""
    request = pb.ChatRequest(user_id=user(), query=query, conversation_id=conversation_id)
    async for chunk in stub.StreamChat(request, metadata=metadata()):
        conversation_id = chunk.metadata.get("conversation_id", conversation_id)
        print(chunk.content.text, end="", flush=True)
    print()
    return conversation_id


async def talk(question: str | None) -> None:
    """One question, or as many as are typed; all in one conversation."""
    conversation_id = ""
    async with opened_async(service_address()) as channel:
        stub: rpc.OrchestratorServiceAsyncStub = rpc.OrchestratorServiceStub(channel)
        if question is not None:
            await ask(stub, question, conversation_id)
            return
        while query := (await asyncio.to_thread(input, "you> ")).strip():
            conversation_id = await ask(stub, query, conversation_id)


def main() -> int:
    """Exit codes: 0 answered, 1 the call failed."""
    try:
        asyncio.run(talk(sys.argv[1] if len(sys.argv) > 1 else None))
    except grpc.aio.AioRpcError as error:
        print(f"\n{error.code().name}: {error.details()}", file=sys.stderr)
        return 1
    except (EOFError, KeyboardInterrupt):
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())

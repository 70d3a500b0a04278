"""A caller in a process of its own, which a test may kill. Arguments: port, disconnect behaviour.

It opens StreamChat, prints the run and payload of each chunk as it comes, and reads on for ever.
"""

import asyncio
import sys

import grpc

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc


async def main(port: str, policy: str) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: rpc.OrchestratorServiceAsyncStub = rpc.OrchestratorServiceStub(channel)
        options = pb.RunOptions(on_disconnect=pb.DisconnectBehavior.Value(policy))
        async for chunk in stub.StreamChat(pb.ChatRequest(user_id="ann", query="hello", run_options=options)):
            sys.stdout.write(f"{chunk.run_id} {chunk.WhichOneof('payload')}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

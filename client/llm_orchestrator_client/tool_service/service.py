"""ToolService as something that a gRPC server serves."""

from contextlib import aclosing
from functools import partial
from typing import Any, cast

import grpc

from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service.call import call_of
from llm_orchestrator_client.tool_service.dispatch import Dispatch, parsed
from llm_orchestrator_client.tool_service.edge import Admitted, Context, Edge
from llm_orchestrator_client.tool_service.rpcs import INVOKE, SERVICE


class ToolService(grpc.GenericRpcHandler):
    """All RPCs of the contract, for `add_generic_rpc_handlers` of a grpc.aio server.

    Requests come as bytes, so that what cannot be parsed is refused here and not by gRPC.
    """

    def __init__(self, dispatch: Dispatch, edge: Edge) -> None:
        self._dispatch = dispatch
        self._edge = edge
        prefix = f"/{SERVICE.full_name}/"
        self._methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            prefix + rpc: (
                grpc.unary_stream_rpc_method_handler(self._invoke)
                if rpc == INVOKE
                else grpc.unary_unary_rpc_method_handler(partial(self._reply, rpc))
            )
            for rpc in SERVICE.methods_by_name
        }

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        return self._methods.get(handler_call_details.method)

    async def _reply(self, rpc: str, data: bytes, context: Context) -> bytes:
        async def work(admitted: Admitted) -> bytes:
            request = parsed(rpc, data)
            call = call_of(request, admitted.metadata, caller=admitted.caller, deadline=admitted.deadline)
            return await self._dispatch.answer(rpc, call, request)

        return await self._edge.run(rpc, context, work)

    async def _invoke(self, data: bytes, context: Context) -> None:
        async def work(admitted: Admitted) -> None:
            request = cast(pb.InvokeToolRequest, parsed(INVOKE, data))
            call = call_of(request, admitted.metadata, caller=admitted.caller, deadline=admitted.deadline)
            async with aclosing(self._dispatch.invoke(call, request)) as events:
                async for event in events:
                    await context.write(event)

        await self._edge.run(INVOKE, context, work)

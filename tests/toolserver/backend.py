"""A backend built on the package: every handler is written, and keeps what it was called with."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service import Call, Owned, Owner, ServerOptions, ToolHandlers
from tools.table.row import snake_case

SERVICE = pb.DESCRIPTOR.services_by_name["ToolService"]
TYPED = [rpc for rpc in SERVICE.methods_by_name if rpc not in ("DescribeTools", "InvokeTool")]
ANYWHERE = ServerOptions(address="127.0.0.1:0", grace_seconds=5.0)
TOKEN = "correct-horse-battery"
WITH_AN_OWNER = ("get_document", "get_document_content", "get_entity", "search_conversation_cache")

Answer = Callable[[Call, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Seen:
    """One call of a handler."""

    name: str
    call: Call
    request: Any


class Recording(ToolHandlers):
    """Answers everything; what it has belongs to `owner`. `answers` replace those of single handlers."""

    def __init__(self, owner: Owner = "ann", **answers: Answer) -> None:
        self.owner: Any = owner
        self.seen: list[Seen] = []
        self.arrived = asyncio.Event()
        self.answers = answers

    async def find_feeds(self, call: Call, *, feed_id: str, feed_name: str) -> Sequence[Owned[str]]:
        return [Owned(self.owner, feed_id or f"id of {feed_name}")]


def _handler(rpc: str) -> Any:
    name = snake_case(rpc)

    async def handle(self: Recording, call: Call, request: Message) -> Any:
        self.seen.append(Seen(name, call, request))
        self.arrived.set()
        if name in self.answers:
            return await self.answers[name](call, request)
        response = empty_answer(rpc)
        return Owned(self.owner, response) if name in WITH_AN_OWNER else response

    return handle


for _rpc in TYPED:
    setattr(Recording, snake_case(_rpc), _handler(_rpc))


def empty_answer(rpc: str) -> Any:
    """A response that says success where it can, and nothing else."""
    response: Any = GetMessageClass(SERVICE.methods_by_name[rpc].output_type)()
    if "success" in response.DESCRIPTOR.fields_by_name:
        response.success = True
    return response


def request_of(rpc: str, user: str = "ann", **fields: Any) -> Any:
    """A request of a user. Every field that says which one it is about says `it`."""
    request: Any = GetMessageClass(SERVICE.methods_by_name[rpc].input_type)()
    request.user_id = user
    for field in ids_of(rpc):
        setattr(request, field, "it")
    for name, value in fields.items():
        setattr(request, name, value)
    return request


def ids_of(rpc: str) -> list[str]:
    """The fields of a request that name something by id, which might be another user's."""
    about_the_call = {"user_id", "tool_call_id", "run_id", "permission_id"}
    fields = SERVICE.methods_by_name[rpc].input_type.fields
    return [field.name for field in fields if field.name.endswith("_id") and field.name not in about_the_call]

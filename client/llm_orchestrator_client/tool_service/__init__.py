"""The backend's side of ToolService: write the lookups, the rest is here.

class Tools(ToolHandlers):
    async def search_documents(self, call, request): ...

async with ToolServiceServer(Tools(), ServerOptions(), authenticator=BearerTokens.of(token)) as server:
    ...
"""

from llm_orchestrator_client.tool_service.auth import Authenticator, BearerTokens, Credentials
from llm_orchestrator_client.tool_service.call import Call
from llm_orchestrator_client.tool_service.described.arguments import (
    Arguments,
    ModelArguments,
    SchemaArguments,
)
from llm_orchestrator_client.tool_service.described.description import Hints, ToolDescriptionError
from llm_orchestrator_client.tool_service.described.tools import DescribedTools, Output, Progress, Steps
from llm_orchestrator_client.tool_service.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    NotFoundError,
    OverloadedError,
    PermissionDeniedError,
    ToolServiceError,
    TooSlowError,
    UnauthenticatedError,
    UnavailableError,
    UnimplementedError,
)
from llm_orchestrator_client.tool_service.handlers.all import ToolHandlers
from llm_orchestrator_client.tool_service.idempotency import Answer, CallKey, CallStore, MemoryCallStore
from llm_orchestrator_client.tool_service.options import (
    ServerOptions,
    TLSFileError,
    TLSFiles,
    UnsafeAddressError,
)
from llm_orchestrator_client.tool_service.ownership import EVERYONE, Owned, Owner
from llm_orchestrator_client.tool_service.server import AddressInUseError, ToolServiceServer

__all__ = [
    "EVERYONE",
    "AddressInUseError",
    "Answer",
    "Arguments",
    "Authenticator",
    "BearerTokens",
    "Call",
    "CallKey",
    "CallStore",
    "Credentials",
    "DescribedTools",
    "FailedPreconditionError",
    "Hints",
    "InvalidArgumentError",
    "MemoryCallStore",
    "ModelArguments",
    "NotFoundError",
    "Output",
    "OverloadedError",
    "Owned",
    "Owner",
    "PermissionDeniedError",
    "Progress",
    "SchemaArguments",
    "ServerOptions",
    "Steps",
    "TLSFileError",
    "TLSFiles",
    "TooSlowError",
    "ToolDescriptionError",
    "ToolHandlers",
    "ToolServiceError",
    "ToolServiceServer",
    "UnauthenticatedError",
    "UnavailableError",
    "UnimplementedError",
    "UnsafeAddressError",
]

"""The tools that a backend describes itself: a function and its schema make one.

`DescribeTools` tells of them, `InvokeTool` calls them.
"""

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service.call import Call
from llm_orchestrator_client.tool_service.described.arguments import (
    Arguments,
    Model,
    ModelArguments,
    SchemaArguments,
)
from llm_orchestrator_client.tool_service.described.description import (
    MOST_TOOLS,
    Hints,
    ToolDescriptionError,
    duration,
    spec_of,
)
from llm_orchestrator_client.tool_service.errors import NotFoundError

A = TypeVar("A")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a tool is: a text for people, and 0..1 if known."""

    text: str
    share: float | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """What a tool has found or done. `text` is for the model; without it the model reads `data`.

    `untrusted`: it holds text of third parties. `truncated`: something was left out. `is_error`: it could not
    be done, and `text` tells the model why.
    """

    text: str = ""
    data: Mapping[str, Any] | None = None
    untrusted: bool = False
    truncated: bool = False
    is_error: bool = False


Steps = AsyncGenerator[Progress | Output, None]
"""Any number of Progress, then one Output."""

Function = Callable[[Call, A], Awaitable[Output | str]] | Callable[[Call, A], Steps]
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class DescribedTool:
    """A function, what it takes, and what is said of it."""

    spec: pb.ToolSpec
    arguments: Arguments[Any]
    function: Function[Any]
    hints: Hints

    def offered_to(self, user: str) -> bool:
        return self.hints.offered_to is None or self.hints.offered_to(user)


class DescribedTools:
    """A backend's own tools. `ttl_seconds`: how long the orchestrator keeps the list; 0 = its own time.

    None may be added once the server serves.
    """

    def __init__(self, *, ttl_seconds: float = 0.0) -> None:
        self._ttl_seconds = ttl_seconds
        self._tools: dict[str, DescribedTool] = {}

    def __len__(self) -> int:
        return len(self._tools)

    def tool(
        self,
        description: str,
        arguments: type[Model] | Mapping[str, Any],
        hints: Hints = Hints(),  # noqa: B008 - it is frozen
        *,
        name: str = "",
    ) -> Callable[[_F], _F]:
        """Make a tool of the function below; its name is the function's unless said.

        The function takes a Call and the arguments: an instance of the pydantic model, or a dict that fits
        the JSON Schema. It is async and returns an Output or a text, or it is an async generator of Steps.

        Raises:
            ToolDescriptionError: The orchestrator would leave the tool out.
            ValueError: The schema is none.
        """
        taken: Arguments[Any] = (
            SchemaArguments(arguments) if isinstance(arguments, Mapping) else ModelArguments(arguments)
        )

        def add(function: _F) -> _F:
            self.add(name or function.__name__, description, taken, function, hints)
            return function

        return add

    def add(
        self,
        name: str,
        description: str,
        arguments: Arguments[A],
        function: Function[A],
        hints: Hints = Hints(),  # noqa: B008
    ) -> None:
        """The same without a decorator, for a bound method or arguments of another kind.

        Raises:
            ToolDescriptionError: The orchestrator would leave the tool out.
        """
        if name in self._tools:
            raise ToolDescriptionError(f"there are two tools named {name}")
        if len(self._tools) >= MOST_TOOLS:
            raise ToolDescriptionError(f"there are more than {MOST_TOOLS} tools")
        spec = spec_of(name, description, arguments.schema(), hints)
        self._tools[name] = DescribedTool(spec, arguments, function, hints)

    def found(self, name: str, user: str) -> DescribedTool:
        """Raises: NotFoundError: This user has no such tool."""
        tool = self._tools.get(name)
        if tool is None or not tool.offered_to(user):
            raise NotFoundError("There is no such tool.", reason="TOOL_NOT_FOUND")
        return tool

    def answer(self, call: Call, request: pb.DescribeToolsRequest) -> pb.DescribeToolsResponse:
        """What `call.user` may use, or that it is what is known already."""
        specs = [tool.spec for tool in self._tools.values() if tool.offered_to(call.user)]
        digest = hashlib.sha256()
        for spec in specs:
            digest.update(spec.SerializeToString(deterministic=True))
        response = pb.DescribeToolsResponse(revision=digest.hexdigest()[:32])
        if self._ttl_seconds > 0:
            response.ttl.CopyFrom(duration(self._ttl_seconds))
        if request.known_revision == response.revision:
            response.not_modified = True
        else:
            response.tools.extend(specs)
        return response

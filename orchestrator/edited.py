"""Arguments that a person wants instead of those that were shown: checked again, as the model's were."""

from collections.abc import Mapping
from typing import Any

from agents.judge import GRAPH_QUESTION
from orchestrator.turn_work import ToolSupplier
from state.errors import InvalidRequestError
from state.models import Owner
from state.violations import FieldViolation
from tools.arguments import ArgumentError, canonical, digest, fitting

_FIELD = "edited_arguments"


class EditedArguments:
    """Knows the tools that a user may be offered now."""

    def __init__(self, tools: ToolSupplier) -> None:
        self._tools = tools

    async def __call__(self, owner: Owner, tool_name: str, arguments: Mapping[str, Any]) -> tuple[bytes, str]:
        """As `orchestrator.permissions.ArgumentCheck`. What a graph asks may be edited freely."""
        if tool_name == GRAPH_QUESTION:
            return _any(arguments)
        offer = (await self._tools.offered(owner, [tool_name])).get(tool_name)
        if offer is None:
            raise InvalidRequestError(FieldViolation(_FIELD, "the tool is off at present"))
        try:
            fitting(offer.tool, arguments)
        except ArgumentError as error:
            raise InvalidRequestError(FieldViolation(_FIELD, str(error))) from error
        return canonical(arguments), digest(arguments)


def _any(arguments: Mapping[str, Any]) -> tuple[bytes, str]:
    try:
        return canonical(arguments), digest(arguments)
    except ArgumentError as error:
        raise InvalidRequestError(FieldViolation(_FIELD, str(error))) from error

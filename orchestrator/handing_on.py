"""What a run has done elsewhere: the part of it that another service does, and its end."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from agents.elsewhere import Elsewhere
from agents.remote.requests import HOPS, Brief
from agents.spec import AgentSpec
from agents.variables import check_variables
from orchestrator.assignment import Assignment
from providers.pool.admission import Admitted
from state.errors import InvalidRequestError
from state.models import ConversationId, Owner, RunId
from state.usage import Usage
from state.violations import FieldViolation

_NO_TOOLS = ("none",)
_HOPS_DIGITS = 4


class RemoteSupplier(Protocol):
    """The services where runs may go on."""

    def run(
        self, name: str, brief: Brief, admitted: Admitted, currency: str, account: Callable[[Usage], None]
    ) -> AbstractAsyncContextManager[Elsewhere]:
        """One attempt of a run, as far as it is done there.

        Raises:
            InvalidRequestError: There is no such service, or the request was handed on too often.
        """
        ...

    async def cancel(self, name: str, owner: Owner, run_id: RunId) -> None: ...


class HandingOn:
    """Hands one run on, if that is its agent's shape."""

    def __init__(
        self, remotes: RemoteSupplier, assignment: Assignment, run_id: RunId, conversation: ConversationId
    ) -> None:
        self._remotes = remotes
        self._assignment = assignment
        self._run_id = run_id
        self._conversation = conversation
        self._run: Elsewhere | None = None

    @asynccontextmanager
    async def begun(
        self, spec: AgentSpec, admitted: Admitted, currency: str, account: Callable[[Usage], None]
    ) -> AsyncIterator[Elsewhere | None]:
        """The part that is done elsewhere, inside the block; None where everything is done here.

        Raises:
            InvalidRequestError: A variable is missing, or the count of hops is none or too high.
        """
        if spec.remote is None:
            yield None
            return
        brief = self._brief(spec, spec.remote.agent_type, currency)
        async with self._remotes.run(spec.remote.service, brief, admitted, currency, account) as run:
            self._run = run
            yield run

    async def ended(self) -> None:
        """The run has ended, and not well: let it end there too."""
        if self._run is not None and self._run.failed is None:
            await self._run.cancel()

    def _brief(self, spec: AgentSpec, agent_type: str, currency: str) -> Brief:
        assignment, turn = self._assignment, self._assignment.turn
        check_variables(spec.name, spec.variables, turn.hints)
        caps = assignment.caps
        return Brief(
            owner=assignment.owner,
            run_id=self._run_id,
            conversation=self._conversation,
            agent_type=agent_type,
            turn=turn,
            hints={name: turn.hints[name] for name in spec.variables},
            hops=_hops(turn.hints.get(HOPS, "0")),
            # Only what the request and the agent's file say: the same in each attempt.
            caps=caps.lowered(type(caps)(max_steps=spec.max_steps, max_tool_calls=spec.max_tool_calls)),
            currency=currency,
            no_tools=assignment.allowed_tools == _NO_TOOLS,
            permission_seconds=assignment.permission_seconds,
            branched=bool(assignment.base_checkpoint_id),
        )


def _hops(said: str) -> int:
    if not (said.isascii() and said.isdigit() and len(said) <= _HOPS_DIGITS):
        raise InvalidRequestError(FieldViolation(f"metadata.{HOPS}", "must be a whole number"))
    return int(said)

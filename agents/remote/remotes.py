"""All remotes of the configuration, and the runs of ours that go on there."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Self

from agents.remote.requests import Brief
from agents.remote.run import RemoteRun, cancel_there
from agents.remote.service import RemoteOptions, RemoteService
from providers.gate.base import Gate
from providers.pool.admission import Admitted
from state.errors import InvalidRequestError
from state.models import Owner, RunId
from state.usage import Usage
from state.violations import FieldViolation


class Remotes:
    """Open inside its context. Nothing is connected to before the first call."""

    def __init__(self, options: Mapping[str, RemoteOptions], *, max_hops: int) -> None:
        self._options = options
        self._max_hops = max_hops
        self._services: dict[str, RemoteService] = {}

    async def __aenter__(self) -> Self:
        self._services = {name: RemoteService(name, options) for name, options in self._options.items()}
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for service in self._services.values():
            await service.close()

    def gate(self, name: str) -> Gate | None:
        """What stands before a remote; None: there is none of this name."""
        service = self._services.get(name)
        return service.gate if service else None

    @asynccontextmanager
    async def run(
        self, name: str, brief: Brief, admitted: Admitted, currency: str, account: Callable[[Usage], None]
    ) -> AsyncIterator[RemoteRun]:
        """One attempt of a run of ours, as far as it is done there.

        Raises:
            InvalidRequestError: There is no such remote any more, or the request was handed on too often.
        """
        service = self._services.get(name)
        if service is None:
            raise InvalidRequestError(FieldViolation("agent_type", "the agent's remote is not configured"))
        if brief.hops >= self._max_hops:
            often = f"was handed on {brief.hops} times, which is as often as it may be"
            raise InvalidRequestError(FieldViolation("query", often))
        permit = admitted.take() if admitted.remote == name else None
        run = RemoteRun(service, brief, permit, currency=currency, account=account)
        try:
            yield run
        finally:
            run.close()

    async def cancel(self, name: str, owner: Owner, run_id: RunId) -> None:
        """Let what a run of ours has begun there end, as far as they can be told."""
        if (service := self._services.get(name)) is not None:
            await cancel_there(service, owner, run_id)

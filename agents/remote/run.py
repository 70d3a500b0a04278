"""One run at a remote, followed to its end: what is lost on the way is read again, nothing is begun twice."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

import grpc

from agents.elsewhere import EndedThere, FailedThere, Heard, Listen, LostThere, TextHeard
from agents.remote import chunks
from agents.remote.failures import UNREACHABLE, of_status
from agents.remote.requests import Brief, chat_request, reader
from agents.remote.service import RemoteService, Stream, parsed
from protos import orchestrator_pb2 as pb
from providers.base import CallAccepted
from providers.gate.base import Permit, Saturated, Unavailable
from providers.pool.admission import error_of
from state.errors import (
    DeadlineExceededError,
    OrchestratorError,
    ProviderBrokenError,
    ProviderError,
    ProviderSaturatedError,
    ProviderUnavailableError,
)
from state.usage import Usage

logger = logging.getLogger(__name__)

_ID_CHARACTERS = 256
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_BEATS = 3
"""So many heartbeats are asked for in the time after which silence counts as a lost connection."""
_TOO_LATE = (
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
)


class RemoteRun:
    """Implements `agents.elsewhere.Elsewhere`. `permit`: what was admitted for it, if anything was.

    Whoever has one calls `close` in the end.
    """

    def __init__(
        self,
        service: RemoteService,
        brief: Brief,
        permit: Permit | None,
        *,
        currency: str,
        account: Callable[[Usage], None],
    ) -> None:
        self.failed: OrchestratorError | None = None
        self.run_id = ""
        self._service = service
        self._brief = brief
        self._permit = permit
        self._currency = currency
        self._account = account
        self._wanted = Listen(0, "", 0)
        self._position = self._given = self._given_before = 0
        self._heard: deque[Heard] = deque()
        self._stream: Stream | None = None
        self._listens = self._called = False
        self._away_until: float | None = None
        self._pause = _FIRST_PAUSE_SECONDS

    @property
    def name(self) -> str:
        return chunks.provider_of(self._service.name)

    @property
    def place(self) -> str:
        return f"{self._service.name} {self._brief.agent_type}"

    @property
    def branched(self) -> bool:
        return self._brief.branched

    def listen(self, wanted: Listen) -> None:
        same = self._listens and (wanted.round, wanted.run_id) == (self._wanted.round, self.run_id)
        if same and wanted.after == self._given:
            return
        self._wanted, self.run_id = wanted, wanted.run_id
        self._position = self._given = self._given_before = wanted.after
        self._heard.clear()
        self._drop()
        self._listens = True

    def back(self, heard: Heard) -> None:
        self._heard.appendleft(heard)
        self._given = self._given_before

    async def next(self) -> Heard:
        while not self._heard:
            chunk = await self._chunk()
            self.run_id = (chunk.complete.task_id or chunk.run_id)[:_ID_CHARACTERS] or self.run_id
            if chunk.sequence and chunk.sequence <= self._position:
                continue
            self._heard.extend(self._told(chunk))
            self._position = chunk.sequence or self._position
        heard = self._heard.popleft()
        self._given_before, self._given = self._given, heard.sequence or self._given
        return heard

    async def decide(self, permission_id: str, digest: str, *, approved: bool, reason: str) -> None:
        approval = pb.PermissionApproval(
            user_id=self._brief.owner,
            permission_id=permission_id,
            approval_decision="approved" if approved else "denied",
            arguments_digest=digest,
            reason=reason[:1000],
        )
        until = asyncio.get_running_loop().time() + self._service.options.reconnect_seconds
        while True:
            try:
                await self._service.call("ApprovePermission", approval, pb.ApprovalResponse)
                return
            except grpc.aio.AioRpcError as error:
                if error.code() in _TOO_LATE:
                    return
                failure, now = of_status(error), asyncio.get_running_loop().time()
                if not isinstance(failure, ProviderUnavailableError) or now + self._pause >= until:
                    raise failure from error
            await self._rest()

    async def cancel(self) -> None:
        number = self._wanted.round
        await cancel_there(self._service, self._brief.owner, self._brief.request_id(number))

    def used(self, usage: Usage) -> None:
        self._account(usage)

    def close(self) -> None:
        """Hear nothing more. What was said of the remote stands; else nothing is known of it."""
        self._drop()
        if self._permit is not None:
            self._permit.abandoned()

    def _told(self, chunk: pb.ChatChunk) -> list[Heard]:
        permit = self._permit
        assert permit is not None, "chunks come under a permit"
        permit.accepted(CallAccepted())
        try:
            heard = chunks.heard(chunk, self._service.name, self._currency)
        except ProviderBrokenError as error:
            permit.failed(error)
            raise
        if any(isinstance(one, TextHeard) for one in heard):
            permit.first_token()
        for one in heard:
            if isinstance(one, FailedThere) and isinstance(one.error, ProviderSaturatedError):
                permit.failed(one.error)
            elif isinstance(one, EndedThere | FailedThere):
                permit.succeeded(None)  # the remote has done its part, whatever came of the run
        gap = chunk.sequence > self._position + 1
        return [LostThere(0), *heard] if gap else heard

    async def _chunk(self) -> pb.ChatChunk:
        while True:
            chunk = await self._read()
            if isinstance(chunk, pb.ChatChunk):
                self._away_until, self._pause, self._called = None, _FIRST_PAUSE_SECONDS, True
                return chunk
            await self._reconnect(chunk)

    async def _read(self) -> pb.ChatChunk | ProviderError:
        """The next chunk, or why there is none."""
        if self._stream is None:
            self._stream = self._open()
        limit, ours = self._patience()
        try:
            async with asyncio.timeout_at(limit) as scope:
                data = await self._stream.read()
        except grpc.aio.AioRpcError as error:
            return of_status(error)
        except TimeoutError as error:
            if not scope.expired():
                raise
            if ours:
                raise DeadlineExceededError("the caller's deadline has passed") from error
            return ProviderUnavailableError(UNREACHABLE)
        if not isinstance(data, bytes):
            return ProviderUnavailableError(UNREACHABLE)  # the stream ends, and not the run
        try:
            return parsed(pb.ChatChunk, data)
        except ProviderBrokenError as error:
            return error

    def _open(self) -> Stream:
        self._admit()
        beat = self._service.options.silence_seconds / _BEATS
        if not self.run_id:
            return self._service.stream("StreamChat", chat_request(self._brief, self._wanted, beat))
        request = pb.ResumeStreamRequest(
            user_id=self._brief.owner,
            run_id=self.run_id,
            after_sequence=self._position,
            stream_options=reader(beat),
        )
        return self._service.stream("ResumeStream", request)

    def _admit(self) -> None:
        if self._permit is None:
            answer = self._service.gate.admit()
            if isinstance(answer, Saturated | Unavailable):
                raise error_of(answer)
            self._permit = answer

    def _patience(self) -> tuple[float, bool]:
        """Until when the next chunk may take, and whether it is the caller's own time."""
        options, now = self._service.options, asyncio.get_running_loop().time()
        until = now + (options.silence_seconds if self._called else options.first_seconds)
        deadline = self._brief.turn.deadline
        return (deadline, True) if deadline is not None and deadline < until else (until, False)

    async def _reconnect(self, failure: ProviderError) -> None:
        """Return when the run is to be looked for again.

        Raises:
            ProviderError: It is not: it was not begun, is lost, or was looked for long enough.
        """
        self._drop()
        now = asyncio.get_running_loop().time()
        if self.run_id and isinstance(failure, ProviderUnavailableError):
            if self._away_until is None:
                self._away_until = now + self._service.options.reconnect_seconds
            if now + self._pause < self._away_until:
                await self._rest()
                return
        if self._permit is not None:
            self._permit.failed(failure)
        raise failure

    async def _rest(self) -> None:
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)

    def _drop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.cancel()


async def cancel_there(service: RemoteService, owner: str, request_id: str) -> None:
    """Cancel what a request has begun there. Who cannot be told ends by limits of its own."""
    request = pb.CancelTaskRequest(user_id=owner, request_id=request_id, reason="cancelled by the caller")
    try:
        await service.call("CancelTask", request, pb.CancelTaskResponse)
    except (grpc.aio.AioRpcError, ProviderBrokenError):
        logger.info("a run elsewhere could not be cancelled", extra={"remote": service.name})

"""Reading a run's log again: from any position, on any replica, during the run and after it."""

from contextlib import aclosing, suppress
from dataclasses import dataclass

from orchestrator.reading import Reading, RunReader
from state.errors import DatabaseUnavailableError, SequenceOutOfRangeError
from state.event_log import EventLog
from state.models import ConversationId, Owner, Record, Run, RunId
from state.ports import RunStore


@dataclass(frozen=True, slots=True)
class ResumeCommand:
    """Which log to read, and after which sequence. Without a `run_id`, the newest of the conversation."""

    owner: Owner
    run_id: RunId
    conversation_id: ConversationId
    after: int
    heartbeat_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Resumed:
    """A run and what follows of its log; None when a heartbeat is due.

    `records` raises NotFoundError when the run has been deleted. `seen_end` is the log's last record when the
    caller has seen it already, and nothing follows.
    """

    run: Run
    records: Reading
    seen_end: Record | None = None


class ResumeService:
    """Reads logs for callers who come back. `heartbeat_seconds` as in `ChatService`."""

    def __init__(self, runs: RunStore, log: EventLog, reader: RunReader, *, heartbeat_seconds: float) -> None:
        self._runs = runs
        self._log = log
        self._reader = reader
        self._heartbeat_seconds = heartbeat_seconds

    async def resume(self, command: ResumeCommand) -> Resumed:
        """Find the run; the reading begins when `records` is iterated.

        Raises:
            NotFoundError: No such run or conversation of this owner.
            SequenceOutOfRangeError: The log does not reach that far.
        """
        run = await self._find(command)
        if command.after > run.last_sequence:
            raise SequenceOutOfRangeError(
                f"the run's log reaches to {run.last_sequence}",
                metadata={"last_sequence": str(run.last_sequence)},
            )
        records = self._read(run, command.after, command.heartbeat_seconds or self._heartbeat_seconds)
        if run.state.is_terminal and command.after == run.last_sequence:
            return Resumed(run, records, await self._last(run))
        return Resumed(run, records)

    async def _read(self, run: Run, after: int, idle_seconds: float) -> Reading:
        log = self._reader.read(run, after, idle_seconds=idle_seconds, ended=run.state.is_terminal)
        async with aclosing(log) as records:
            async for record in records:
                if record is None:
                    await self._check_existence(run)
                yield record

    async def _check_existence(self, run: Run) -> None:
        """A log that is silent may have been deleted with its run."""
        with suppress(DatabaseUnavailableError):
            await self._runs.get(run.owner, run.run_id)

    async def _last(self, run: Run) -> Record | None:
        last = self._log.read(run.owner, run.run_id, run.last_sequence - 1, ended=True)
        async with aclosing(last) as records:
            return await anext(records)

    async def _find(self, command: ResumeCommand) -> Run:
        if command.run_id:
            return await self._runs.get(command.owner, command.run_id)
        return await self._runs.latest(command.owner, command.conversation_id)

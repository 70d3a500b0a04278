"""The stored log of every run: one writer for all runs of this process, and reading from any position."""

from collections.abc import Callable, Iterable, Sequence
from time import monotonic

from state.errors import DatabaseUnavailableError
from state.group_commit import Group
from state.models import Attempt, Owner, Record, RunId
from state.postgres.database import Database
from state.postgres.fence import lost, parse_run_id
from state.postgres.patience import Patience
from state.sealing import PLAIN, Sealing, of_record

# The rows are locked in one order, so that two processes which write for the same runs cannot wait for
# each other. What is there stays: a batch may be written again when nobody knows whether it was committed.
_APPEND = """
WITH writers AS (
    SELECT * FROM unnest(string_to_array($1, ',')::uuid[], $2::text[], string_to_array($3, ',')::integer[])
        WITH ORDINALITY AS w (run_id, owner, attempt, writer)
), fence AS (
    SELECT writer, runs.run_id, runs.owner FROM runs JOIN writers USING (run_id, owner, attempt)
    WHERE runs.state IN ('running', 'cancelling')
    ORDER BY runs.run_id FOR SHARE OF runs
), written AS (
    INSERT INTO run_events (run_id, sequence, owner, payload)
    SELECT fence.run_id, e.sequence, fence.owner, e.payload
    FROM unnest(string_to_array($4, ',')::bigint[], string_to_array($5, ',')::bigint[], $6::bytea[])
        AS e (writer, sequence, payload)
    JOIN fence USING (writer)
    ON CONFLICT (run_id, sequence) DO NOTHING
), told AS (
    SELECT pg_notify('run_events', string_agg(left(fence.run_id::text, 8), ' ')) FROM fence
)
SELECT writer FROM fence, told
"""

_READ = """
SELECT sequence, payload, terminal FROM run_events
WHERE owner = $1 AND run_id = $2 AND sequence > $3
ORDER BY sequence LIMIT $4
"""

Flushed = Callable[[int, float], None]
Append = tuple[Attempt, Sequence[Record]]

_PACE_SECONDS = 0.01
"""A hundred commits a second, however many runs write; what is urgent does not wait for the next one."""


class PostgresEventStore:
    """Implements `state.ports.EventStore`. Appends of many runs share statements: `state.group_commit`.

    What is to be appended waits for a database that is away; who reads is told at once. `flushed` is told how
    many records each statement wrote, and in how many seconds. Who reads does so by way of `callers`.
    """

    def __init__(
        self,
        database: Database,
        patience: Patience | None = None,
        *,
        flushed: Flushed | None = None,
        callers: Database | None = None,
        sealing: Sealing = PLAIN,
    ) -> None:
        self._sealing = sealing
        self._callers = callers or database
        self._flushed = flushed
        self._writes = database.keep()
        self._patience = patience or Patience(0.0)
        self._appends: Group[Append] = Group(
            self._write_patiently, common=DatabaseUnavailableError, pace_seconds=_PACE_SECONDS
        )

    async def append(self, attempt: Attempt, records: Sequence[Record], *, urgent: bool = False) -> None:
        await self._appends.commit((attempt, records), urgent=urgent)

    async def read(self, owner: Owner, run_id: RunId, after: int, limit: int) -> Sequence[Record]:
        found, opened = parse_run_id(run_id), self._sealing.open
        rows = await self._callers.asked(_READ, owner, found, after, limit)
        known = RunId(found.hex)
        return [
            Record(number, opened(of_record(owner, known, number), payload), terminal)
            for number, payload, terminal in rows
        ]

    async def _write_patiently(self, batch: Sequence[Append]) -> Sequence[Exception | None]:
        return await self._patience(lambda: self._write(batch))

    async def _write(self, batch: Sequence[Append]) -> Sequence[Exception | None]:
        attempts = [attempt for attempt, _ in batch]
        events = [(writer, record) for writer, (_, records) in enumerate(batch, 1) for record in records]
        began = monotonic()
        rows = await self._writes.fetch(
            _APPEND,
            _listed(attempt.run_id for attempt in attempts),
            [attempt.owner for attempt in attempts],
            _listed(attempt.number for attempt in attempts),
            _listed(writer for writer, _ in events),
            _listed(record.sequence for _, record in events),
            self._payloads(batch),
        )
        if self._flushed is not None:
            self._flushed(len(events), monotonic() - began)
        owned = {row["writer"] for row in rows}
        return [None if writer in owned else lost(attempt) for writer, attempt in enumerate(attempts, 1)]

    def _payloads(self, batch: Sequence[Append]) -> list[bytes]:
        if not self._sealing.on:
            return [record.payload for _, records in batch for record in records]
        seal = self._sealing.seal
        return [
            seal(of_record(attempt.owner, attempt.run_id, record.sequence), record.payload)
            for attempt, records in batch
            for record in records
        ]


def _listed(values: Iterable[object]) -> str:
    # As text: asyncpg asks two abstract base classes about each element of an array.
    return ",".join(map(str, values))

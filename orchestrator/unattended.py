"""How a run ends that nobody executes."""

from orchestrator.events import ChunkEncoder, ChunkHeader, RunFailed
from state.errors import OrchestratorError
from state.models import Record, RunOutcome, RunState, UnattendedRun

Ended = tuple[RunOutcome, Record]


def ended(run: UnattendedRun, state: RunState, error: OrchestratorError, encode: ChunkEncoder) -> Ended:
    """Its outcome, and the record that ends its log."""
    header = ChunkHeader.now(run.run_id, run.agent_name, run.last_sequence + 1)
    record = Record(header.sequence, encode(RunFailed(error, usage=run.usage), header), terminal=True)
    return RunOutcome(state, error_reason=error.reason), record

"""The caller's side of llm-orchestrator. `events` has what a run says, `errors` what goes wrong."""

from llm_orchestrator_client.client import OrchestratorClient
from llm_orchestrator_client.errors import OrchestratorError
from llm_orchestrator_client.events import Event, event_of
from llm_orchestrator_client.options import TLS, Options, Patience
from llm_orchestrator_client.streaming import RunStream
from llm_orchestrator_client.tasks import TaskSnapshot
from llm_orchestrator_client.transcript import Transcript

__all__ = [
    "TLS",
    "Event",
    "Options",
    "OrchestratorClient",
    "OrchestratorError",
    "Patience",
    "RunStream",
    "TaskSnapshot",
    "Transcript",
    "event_of",
]

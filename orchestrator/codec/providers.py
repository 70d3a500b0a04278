"""Providers as the wire shows them."""

from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp

from protos import orchestrator_pb2 as pb
from providers.gate.base import GateState
from providers.pool.status import PoolStatus, ProviderState
from state.tasks import LineLoad

_STATES = {state: pb.ProviderState.Value(f"PROVIDER_STATE_{state.name}") for state in GateState}


def response(
    status: PoolStatus, line: LineLoad, *, running: int, capacity: int
) -> pb.GetProviderStatusResponse:
    return pb.GetProviderStatusResponse(
        providers=[_provider(provider) for provider in status.providers],
        queued_tasks=line.queued,
        accepting_tasks=not line.refusing,
        queue_capacity=capacity,
        running_runs=running,
        model_classes={name: _STATES[state] for name, state in status.classes.items()},
    )


def _provider(provider: ProviderState) -> pb.ProviderStatus:
    gates = [model.gate for model in provider.models]
    latencies = [gate.latency_p50 for gate in gates if gate.latency_p50 is not None]
    message = pb.ProviderStatus(
        name=provider.name,
        models=[model.name for model in provider.models],
        state=_STATES[provider.state],
        in_flight=provider.in_flight,
        concurrency_limit=provider.concurrency_limit,
        error_rate=max(gate.error_rate for gate in gates),
        model_status=[
            pb.ModelStatus(
                model=model.name,
                state=_STATES[model.gate.state],
                in_flight=model.gate.in_flight,
                concurrency_limit=model.gate.concurrency_limit,
                retry_time=_in(model.gate.retry_after),
            )
            for model in provider.models
        ],
        retry_time=_in(min((g.retry_after for g in gates if g.retry_after is not None), default=None)),
    )
    if latencies:
        message.latency_p50.FromNanoseconds(int(min(latencies) * 1e9))
    return message


def _in(seconds: float | None) -> Timestamp | None:
    if seconds is None:
        return None
    moment = Timestamp()
    moment.FromDatetime(datetime.now(UTC) + timedelta(seconds=seconds))
    return moment

"""All that watches one service, put together."""

from dataclasses import dataclass

from telemetry.calls import CallInstrument
from telemetry.models import ModelInstrument
from telemetry.registry import Known, Registry
from telemetry.runs import RunInstrument
from telemetry.spans import Spans
from telemetry.tools import ToolInstrument
from telemetry.waiting import FlushInstrument, LineInstrument, PermissionInstrument


@dataclass(frozen=True, slots=True)
class Instruments:
    """One for each part that is watched."""

    registry: Registry
    spans: Spans
    calls: CallInstrument
    runs: RunInstrument
    models: ModelInstrument
    tools: ToolInstrument
    line: LineInstrument
    permissions: PermissionInstrument
    log: FlushInstrument


def instruments(
    registry: Registry, spans: Spans, *, agents: Known, models: Known, tools: Known
) -> Instruments:
    """Instruments that count in `registry`. `agents`, `models`, `tools`: the names that may be labels."""
    return Instruments(
        registry,
        spans,
        CallInstrument(registry, spans),
        RunInstrument(registry, spans, agents, models),
        ModelInstrument(registry, spans, models),
        ToolInstrument(registry, spans, tools),
        LineInstrument(registry),
        PermissionInstrument(registry),
        FlushInstrument(registry),
    )

"""Steps of the graph as spans."""

from typing import Any

from langgraph.errors import GraphBubbleUp
from langgraph.runtime import Runtime

from agents.graphs.state import Context, State
from agents.graphs.titling import Step
from telemetry.attributes import STEP
from telemetry.scope import scope
from telemetry.spans import Spans, spanning

_CALM = (GraphBubbleUp,)
"""How LangGraph stops for a person."""


def stepped(name: str, step: Step, spans: Spans) -> Step:
    """A step as a span below the run's; as it was where no spans are kept."""
    if not spans.on:
        return step

    async def run(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
        span = spans.begin(f"step {name}", parent=scope().traceparent, attributes={STEP: name})
        with spanning(span, calm=_CALM):
            return await step(state, runtime)

    return run

"""The one graph of all agents: each turn takes the way of its agent's shape.

One graph, so that a conversation may go on with an agent of another shape, and its checkpoints mean the same
to all of them.
"""

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from agents.graphs import react
from agents.graphs.direct import answer
from agents.graphs.state import Context, State
from agents.spec import Shape

Graph = CompiledStateGraph[State, Context, State, State]

_FIRST_STEP = {Shape.DIRECT: "answer", Shape.REACT: "open"}


def build(checkpointer: BaseCheckpointSaver[str]) -> Graph:
    """Compile the graph; one instance serves every agent."""
    graph = StateGraph(State, context_schema=Context)
    graph.add_node("answer", answer)
    graph.add_node("open", react.open_turn)
    graph.add_node("model", react.model)
    graph.add_node("decide", react.decide)
    graph.add_node("ask", react.ask)
    graph.add_node("act", react.act)
    graph.add_conditional_edges(START, _by_shape, [*_FIRST_STEP.values(), "model"])
    graph.add_edge("open", "model")
    graph.add_conditional_edges("model", react.after_model, ["decide", END])
    graph.add_conditional_edges("decide", react.after_decide, ["ask", "act"])
    graph.add_edge("ask", "act")
    graph.add_conditional_edges("act", react.after_act, ["ask", "model", END])
    return graph.compile(checkpointer=checkpointer)


async def _by_shape(state: State, runtime: Runtime[Context]) -> str:
    context, work = runtime.context, state.get("work")
    if work and work["run_id"] == context.run_id and context.spec.shape is Shape.REACT:
        return "model"  # taken over from a run before
    return _FIRST_STEP[context.spec.shape]

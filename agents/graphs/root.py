"""The one graph of all agents: each turn takes the way of its agent's shape.

One graph, so that a conversation may go on with an agent of another shape, and its checkpoints mean the same
to all of them.
"""

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from agents.graphs import calling, edit, elsewhere, form, own, react, research
from agents.graphs.direct import answer
from agents.graphs.state import Context, State
from agents.graphs.stepping import stepped
from agents.graphs.titling import Step, titled
from agents.graphs.turns import open_turn
from agents.own.loading import GraphLibrary
from agents.spec import Shape
from state.threads import RUN_THREAD_KEY
from telemetry.spans import NoSpans, Spans

Graph = CompiledStateGraph[State, Context, State, State]

SHAPE_KEY = "__shape"
"""Where `configurable` holds the agent's `Shape`; the dunder keeps it out of stored metadata."""

_STEP = {
    Shape.REACT: "model",
    Shape.EDIT: "edit",
    Shape.RESEARCH: "research",
    Shape.FORM: "form",
    Shape.REMOTE: "remote",
    Shape.OWN: "own",
}
"""Where a turn of several steps begins its work, and takes it up again."""


def build(checkpointer: BaseCheckpointSaver[str], library: GraphLibrary, spans: Spans | None = None) -> Graph:
    """Compile the graph; one instance serves every agent. Each step becomes one of the `spans`."""
    graph = StateGraph(State, context_schema=Context)
    for name, step in _steps(own.OwnGraphs(library, checkpointer)).items():
        graph.add_node(name, stepped(name, step, spans or NoSpans()))
    graph.add_conditional_edges(START, _Begin(), ["answer", "open", *_STEP.values()])
    graph.add_conditional_edges("open", _by_shape, [*_STEP.values()])
    graph.add_conditional_edges("model", calling.wished, ["decide", END])
    graph.add_conditional_edges("edit", edit.again, ["edit", END])
    graph.add_conditional_edges("research", research.after_look, ["decide", "write", END])
    graph.add_edge("write", END)
    graph.add_conditional_edges("form", form.after_collect, ["decide", END])
    graph.add_conditional_edges("remote", elsewhere.after_follow, ["remote", "confer", END])
    graph.add_edge("confer", "remote")
    graph.add_conditional_edges("own", own.after_play, ["consult", END])
    graph.add_edge("consult", "own")
    graph.add_conditional_edges("decide", calling.after_decide, ["ask", "act"])
    graph.add_edge("ask", "act")
    graph.add_conditional_edges("act", calling.after_act, ["ask", "model", "research", "form", END])
    return graph.compile(checkpointer=checkpointer)


def _steps(own_graphs: own.OwnGraphs) -> dict[str, Step]:
    return {
        "answer": answer,
        "open": open_turn,
        "model": titled(react.model),
        "edit": titled(edit.propose),
        "research": titled(research.look),
        "write": titled(research.write),
        "form": titled(form.collect),
        "remote": titled(elsewhere.follow),
        "confer": elsewhere.consult,
        "own": titled(own_graphs.play),
        "consult": own_graphs.consult,
        "decide": calling.decide,
        "ask": calling.ask,
        "act": calling.act,
    }


class _Begin(Runnable[State, str]):
    """The first step of a turn.

    Not a function: LangGraph makes a task and a traced run of each that it is given.
    """

    name = "begin"

    def invoke(self, input: State, config: RunnableConfig | None = None, **_: object) -> str:
        """As `RunnableConfig.configurable` and the work under way say."""
        assert config is not None, "LangGraph gives one to every step"
        shape: Shape = config["configurable"][SHAPE_KEY]
        if not shape.in_steps:
            return "answer"
        work, thread = input.get("work"), config["configurable"][RUN_THREAD_KEY]
        return _STEP[shape] if work and work["run_id"] == thread.run_id else "open"

    async def ainvoke(self, input: State, config: RunnableConfig | None = None, **_: object) -> str:
        """The same; it waits for nothing."""
        return self.invoke(input, config)


async def _by_shape(state: State, runtime: Runtime[Context]) -> str:
    return _STEP[runtime.context.spec.shape]

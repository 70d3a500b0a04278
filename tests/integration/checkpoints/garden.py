"""A graph with all that a checkpoint can hold: delta channels, subgraphs, sends, an interrupt."""

import operator
from collections.abc import Sequence
from typing import Annotated, Any, TypedDict

from langgraph.channels.delta import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Send, interrupt


def joined(value: list[str], writes: Sequence[list[str]]) -> list[str]:
    """A delta channel's reducer; where the order of writes is wrong, so is the list."""
    return [*value, *(word for write in writes for word in write)]


class Visit(TypedDict, total=False):
    word: str
    steps: Annotated[list[str], operator.add]
    visits: list[str]


class Garden(TypedDict, total=False):
    word: str
    said: Annotated[list[str], operator.add]
    log: Annotated[list[str], DeltaChannel(joined, snapshot_frequency=3)]
    visits: Annotated[list[str], operator.add]
    height: float


class Seed(TypedDict):
    number: int


Graph = CompiledStateGraph[Garden, None, Garden, Garden]


def build(saver: BaseCheckpointSaver[str]) -> Graph:
    """One turn: plant three seeds at once, visit, ask, note the answer."""
    graph = StateGraph(Garden)
    graph.add_node("begin", begin)
    # A Send brings a value of its own, not the state.
    graph.add_node("plant", plant)  # type: ignore[arg-type]
    graph.add_node("visit", _visitor(remembers=False))
    graph.add_node("revisit", _visitor(remembers=True))
    graph.add_node("ask", ask)
    graph.add_edge(START, "begin")
    graph.add_conditional_edges("begin", seeds, ["plant"])
    graph.add_edge("plant", "visit")
    graph.add_edge("visit", "revisit")
    graph.add_edge("revisit", "ask")
    graph.add_edge("ask", END)
    return graph.compile(checkpointer=saver)


def begin(state: Garden) -> dict[str, Any]:
    return {"said": [f"begin {state['word']}"], "log": [f"begin {state['word']}"], "height": 1.5}


def seeds(state: Garden) -> list[Send]:
    return [Send("plant", Seed(number=number)) for number in range(3)]


def plant(seed: Seed) -> dict[str, Any]:
    return {"log": [f"seed {seed['number']}"]}


def look(state: Visit) -> dict[str, Any]:
    return {"steps": [f"look at {state['word']}"]}


def leave(state: Visit) -> dict[str, Any]:
    return {"visits": [", ".join(state["steps"])]}


def ask(state: Garden) -> dict[str, Any]:
    answer = interrupt({"question": f"water {state['word']}?"})
    return {"said": [f"answer {answer}"], "log": [f"answer {answer}"]}


def _visitor(*, remembers: bool) -> CompiledStateGraph[Visit, None, Visit, Visit]:
    graph = StateGraph(Visit)
    graph.add_node("look", look)
    graph.add_node("leave", leave)
    graph.add_edge(START, "look")
    graph.add_edge("look", "leave")
    graph.add_edge("leave", END)
    return graph.compile(checkpointer=True) if remembers else graph.compile()

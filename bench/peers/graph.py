"""The graph of those peers that have one, loaded in their own environments: one node that calls the model."""

from typing import Any

from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph

_model = ChatOpenAI(model="scripted", max_retries=0)


async def _answer(state: MessagesState) -> dict[str, Any]:
    return {"messages": [await _model.ainvoke(state["messages"])]}


builder = StateGraph(MessagesState)
builder.add_node("answer", _answer)
builder.add_edge(START, "answer")

graph = builder.compile()
"""For a server that brings its own saver."""

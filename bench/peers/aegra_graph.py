"""The graph that aegra serves, by aegra in its own environment: one node that calls the model."""

from typing import Any

from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph

_model = ChatOpenAI(model="scripted", max_retries=0)


async def answer(state: MessagesState) -> dict[str, Any]:
    """What the model says to all messages so far."""
    return {"messages": [await _model.ainvoke(state["messages"])]}


_builder = StateGraph(MessagesState)
_builder.add_node("answer", answer)
_builder.add_edge(START, "answer")
graph = _builder.compile()

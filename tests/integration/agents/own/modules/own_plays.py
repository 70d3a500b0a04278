"""Graphs as callers write them, for the tests."""

import asyncio
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypedDict

from langchain_core.messages import AnyMessage, HumanMessage, ToolMessage
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import RetryPolicy, interrupt
from pydantic import BaseModel

from agents.own.context import TurnContext

CANARY = "canary-own-71c"


class Letter(TypedDict, total=False):
    question: str
    draft: str
    answer: str
    log: Annotated[list[str], operator.add]
    messages: Annotated[list[AnyMessage], add_messages]
    kept: Any


Builder = StateGraph[Letter, TurnContext, Letter, Letter]


def _chain(*nodes: Any) -> Builder:
    graph = StateGraph(Letter, context_schema=TurnContext)
    names = [node.__name__ for node in nodes]
    for name, node in zip(names, nodes, strict=True):
        graph.add_node(name, node)
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    return graph


async def draft(state: Letter, runtime: Runtime[TurnContext]) -> Letter:
    said = await runtime.context.model.ainvoke([HumanMessage(f"draft: {state['question']}")])
    return {"draft": said.text, "log": [f"{runtime.context.user_id} asked {state['question']}"]}


async def polish(state: Letter, runtime: Runtime[TurnContext]) -> Letter:
    pieces = [
        p.text async for p in runtime.context.model.astream([HumanMessage(f"polish: {state['draft']}")])
    ]
    return {"answer": "".join(pieces)}


async def remember(state: Letter, runtime: Runtime[TurnContext]) -> Letter:
    get_stream_writer()({"text": f"turn {len(state['log'])}: "})
    get_stream_writer()({"text": "; ".join(state["log"])})
    get_stream_writer()({"progress": 1})
    return {}


async def confirm(state: Letter) -> Letter:
    answer = interrupt({"reason": "May this go out?", "text": state["draft"]})
    return {"answer": f"{answer['state']}: {answer['value']['text']} ({answer['reason']})"}


async def confirm_twice(state: Letter) -> Letter:
    return {"answer": " and ".join(interrupt("Sure?")["state"] for _ in range(2))}


async def note(state: Letter, runtime: Runtime[TurnContext]) -> Letter:
    [tool] = [tool for tool in runtime.context.tools if tool.name == "add_org_inbox_item"]
    return {"answer": await tool.ainvoke({"text": state["question"], "kind": "todo"})}


async def fail(state: Letter) -> Letter:
    raise RuntimeError(f"{CANARY}: {state}")


async def fail_quietly(state: Letter, runtime: Runtime[TurnContext]) -> Letter:
    try:
        await runtime.context.model.ainvoke([HumanMessage("hello")])
    except Exception as error:
        raise RuntimeError(CANARY) from error
    return {}


@dataclass
class Custom:
    text: str = CANARY


async def keep_an_object(state: Letter) -> Letter:
    return {"kept": [Custom()]}


async def sleep(state: Letter) -> Letter:
    get_stream_writer()({"text": "Still here."})
    await asyncio.Event().wait()
    return {}


class Judgement(BaseModel):
    """What comes of it."""

    good: bool
    why: str


async def judge(state: Letter, runtime: Runtime[TurnContext]) -> Letter:
    model = runtime.context.model.with_structured_output(Judgement).with_config(tags=["nostream"])
    judged = await model.ainvoke(state["question"])
    assert isinstance(judged, Judgement)
    return {"answer": f"{judged.good}: {judged.why}"}


two_nodes = _chain(draft, polish).compile()
remembers = _chain(draft, remember)
asks = _chain(draft, confirm)
asks_twice = _chain(confirm_twice)
asks_late = _chain(draft, polish, confirm)
inner = _chain(confirm).compile()


async def finish(state: Letter) -> Letter:
    return {"answer": f"{state['answer']}."}


def _nested() -> Builder:
    graph = StateGraph(Letter, context_schema=TurnContext)
    graph.add_node("draft", draft)
    graph.add_node("inner", inner)
    graph.add_node("finish", finish)
    for before, after in ((START, "draft"), ("draft", "inner"), ("inner", "finish"), ("finish", END)):
        graph.add_edge(before, after)
    return graph


nested = _nested()
notes = _chain(note)
failing = StateGraph(Letter, context_schema=TurnContext)
failing.add_node("fail", fail, retry_policy=RetryPolicy(0.01, max_attempts=2, retry_on=RuntimeError))
failing.add_edge(START, "fail")
wrapping = _chain(fail_quietly)
odd = _chain(keep_an_object)
sleeping = _chain(sleep)
judging = _chain(judge)
number = 7
half = StateGraph(Letter, context_schema=TurnContext)


class Other(TypedDict):
    other: str


async def nothing(state: Other) -> Other:
    return state


deaf = StateGraph(Other).add_node("nothing", nothing).add_edge(START, "nothing")


def react(context: TurnContext) -> Builder:
    """The model and its tools in turns, made for each turn."""
    by_name = {tool.name: tool for tool in context.tools}
    model = context.model.bind_tools(context.tools) if context.tools else context.model

    async def ask(state: Letter) -> Letter:
        return {"messages": [await model.ainvoke(state["messages"])]}

    async def act(state: Letter) -> Letter:
        calls = getattr(state["messages"][-1], "tool_calls", [])
        results = await asyncio.gather(*(by_name[c["name"]].ainvoke(c["args"]) for c in calls))
        told: list[AnyMessage] = [
            ToolMessage(text, tool_call_id=c["id"]) for c, text in zip(calls, results, strict=True)
        ]
        return {"messages": told}

    def wished(state: Letter) -> str:
        return "act" if getattr(state["messages"][-1], "tool_calls", []) else END

    graph = StateGraph(Letter, context_schema=TurnContext)
    graph.add_node("ask", ask)
    graph.add_node("act", act)
    graph.add_edge(START, "ask")
    graph.add_conditional_edges("ask", wished, ["act", END])
    graph.add_edge("act", "ask")
    return graph


def _circle() -> Builder:
    async def again(state: Letter) -> Letter:
        return {}

    graph = StateGraph(Letter, context_schema=TurnContext)
    graph.add_node("again", again)
    graph.add_edge(START, "again")
    graph.add_edge("again", "again")
    return graph


circling = _circle()


def breaking(context: TurnContext) -> Builder:
    raise RuntimeError(CANARY)


def _speaker(word: str) -> Any:
    async def speaks(state: Letter, runtime: Runtime[TurnContext]) -> Letter:
        await runtime.context.model.ainvoke([HumanMessage(word)])
        return {}

    return speaks


def _fan() -> CompiledStateGraph[Letter, TurnContext, Letter, Letter]:
    graph = StateGraph(Letter, context_schema=TurnContext)
    words: Sequence[str] = ("one", "two", "three")
    for word in words:
        graph.add_node(word, _speaker(word))
        graph.add_edge(START, word)
    return graph.compile()


fan = _fan()

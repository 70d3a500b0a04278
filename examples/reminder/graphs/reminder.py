"""A reminder: the model words it, a person reads it and may change it, then it goes into the inbox."""

from typing import TypedDict

from langchain_core.messages import HumanMessage
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from agents.own.context import TurnContext


class Reminder(TypedDict, total=False):
    """The service sets `question`, and says `answer` at the end of the turn. All of it is kept."""

    question: str
    text: str
    answer: str
    sent: list[str]


async def draft(state: Reminder, runtime: Runtime[TurnContext]) -> Reminder:
    """The model's words go to the caller as they come."""
    earlier = "\n".join(state.get("sent", [])) or "none"
    asked = f"Earlier reminders:\n{earlier}\n\nWord this one in a sentence: {state['question']}"
    worded = await runtime.context.model.ainvoke([HumanMessage(asked)])
    return {"text": str(worded.text)}


async def send(state: Reminder, runtime: Runtime[TurnContext]) -> Reminder:
    """This step is run again once a person has decided, so nothing is done before the interrupt."""
    decision = interrupt({"reason": "May this go into your inbox?", "text": state["text"]})
    if not decision["approved"]:
        return {"answer": "Nothing was written down."}
    text = decision["value"]["text"]
    inbox = next((tool for tool in runtime.context.tools if tool.name == "add_org_inbox_item"), None)
    if inbox is None:
        return {"answer": "The inbox is off at present."}
    await inbox.ainvoke({"text": text, "kind": "todo"})
    return {"answer": f"In your inbox: {text}", "sent": [*state.get("sent", []), text]}


graph = (
    StateGraph(Reminder, context_schema=TurnContext)
    .add_node("draft", draft)
    .add_node("send", send)
    .add_edge(START, "draft")
    .add_edge("draft", "send")
    .add_edge("send", END)
)

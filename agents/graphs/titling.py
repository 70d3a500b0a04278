"""A conversation's title: asked for when its first turn begins, given when that is over."""

from typing import Any, Protocol

from langgraph.runtime import Runtime

from agents.graphs.state import Context, State


class Step(Protocol):
    """A node of the graph."""

    async def __call__(self, state: State, runtime: Runtime[Context]) -> dict[str, Any]: ...


def first(state: State, context: Context) -> bool:
    """Whether nobody has asked anything before, here or where the caller brings the conversation from."""
    before = [*(m["role"] for m in state["messages"]), *(m.role for m in context.turn.history)]
    return "user" not in before


async def title_for(state: State, context: Context) -> str:
    """The title that the turn gives, once its answer is there; empty where it gives none."""
    return await context.aside.title(context.turn.question) if first(state, context) else ""


def with_title(ended: dict[str, Any], context: Context, title: str) -> dict[str, Any]:
    """The end of a turn, with the title and what it has cost."""
    if not title:
        return ended
    answer = {**ended["answer"], "title": title, "usage": context.usage().plain()}
    return {**ended, "answer": answer, "title": title}


def titled(step: Step) -> Step:
    """A step that may end a turn, and then gives the conversation its title if it has none."""

    async def run(state: State, runtime: Runtime[Context]) -> dict[str, Any]:
        changed = await step(state, runtime)
        if "answer" not in changed:
            return changed
        context = runtime.context
        return with_title(changed, context, await title_for(state, context))

    return run

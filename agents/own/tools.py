"""The tools of an agent's file as tools of LangChain: nothing is done that consent does not cover."""

import asyncio
import hashlib
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

import orjson
from langchain_core.tools import BaseTool
from langgraph.runtime import get_runtime
from langgraph.types import interrupt
from pydantic import ConfigDict, PrivateAttr

from agents.calls import Call
from agents.hands import Hands
from agents.judge import Judge
from agents.own.record import TurnRecord
from providers.base import ToolSpec
from providers.pool.run_budget import LimitReachedError
from state.errors import AgentFailedError

CALL = "__llm_orchestrator_call__"
"""In the value of an interrupt: it is a call of ours, not a question of the graph's own."""


class RunTools:
    """Makes the calls of one attempt. Leaving the context waits for those that are under way."""

    def __init__(self, judge: Judge, hands: Hands, record: TurnRecord, turn_id: str) -> None:
        self._judge = judge
        self._hands = hands
        self._record = record
        self._turn_id = turn_id
        self._open = True
        self._under_way: set[asyncio.Task[Call]] = set()

    @property
    def tools(self) -> list[BaseTool]:
        return [RunTool(spec, self) for spec in self._hands.specs]

    async def close(self, *, cut: bool) -> None:
        """Begin no more calls, and return when none is under way; `cut` cancels them.

        A step that has stopped for a person may have left others of its calls behind.
        """
        self._open = False
        while tasks := list(self._under_way):
            if cut:
                for task in tasks:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def call(self, name: str, arguments: dict[str, Any]) -> str:
        """What the tool says, or why it was not called. Stops the graph where a person has to decide."""
        raw = orjson.dumps(arguments).decode()
        call_id = self._id(name, raw)
        known = self._record.decided.get(call_id)
        if known is None:
            wish = Call(id=call_id, name=name, arguments=raw, state="wished")
            [call] = await self._judge.ruled([wish], tainted=self._record.tainted)
        else:
            # The step is done again from its beginning: each question was one of its interrupts.
            for _ in range(known.times):
                interrupt(None)
            call = known.call
        if call["state"] == "allowed":
            call = await self._made(call)
        if call["state"] == "asked":
            interrupt({CALL: call})
            raise AgentFailedError("the graph went on without a decision")
        return call.get("text", "")

    async def _made(self, call: Call) -> Call:
        try:
            self._hands.count([call])
        except LimitReachedError as reached:
            self._record.reached = reached
            raise
        made = await self._task(self._hands.call(call), call["id"])
        if made.get("made") and made["name"] not in self._record.tools_used:
            self._record.tools_used.append(made["name"])
        self._record.tainted = self._record.tainted or made.get("untrusted", False)
        return made

    async def _task(self, work: Coroutine[Any, Any, Call], name: str) -> Call:
        if not self._open:
            work.close()
            raise AgentFailedError("the graph has stopped")
        task = asyncio.create_task(work, name=f"tool:{name}")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await task

    def _id(self, name: str, arguments: str) -> str:
        """The same for the same call of the same step, however often the step is done again."""
        step = get_runtime().execution_info
        if step is None:
            raise AgentFailedError("a tool was called outside of the graph's steps")
        key = (step.checkpoint_ns, step.node_attempt, f"{name} {arguments}")
        number = self._record.calls[key] = self._record.calls.get(key, -1) + 1
        digest = hashlib.sha256("\0".join((self._turn_id, key[0], key[2], str(number))).encode())
        return UUID(bytes=digest.digest()[:16], version=4).hex


class RunTool(BaseTool):
    """One tool. Its arguments are checked by the judge, not here."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    _tools: RunTools = PrivateAttr()

    def __init__(self, spec: ToolSpec, tools: RunTools) -> None:
        super().__init__(
            name=spec.name, description=spec.description or spec.name, args_schema=dict(spec.parameters)
        )
        self._tools = tools

    def _run(self, *args: object, **kwargs: object) -> str:
        raise NotImplementedError("this tool is asynchronous: use ainvoke")

    async def _arun(self, **kwargs: object) -> str:
        return await self._tools.call(self.name, kwargs)

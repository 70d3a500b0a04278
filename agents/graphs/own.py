"""A caller's own graph as the step of a turn: it runs until it ends, or until a person has to decide.

It runs in a namespace of the turn, step by step, with checkpoints of its own; the conversation's checkpoint
takes over its state once the turn is whole.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.errors import GraphRecursionError
from langgraph.graph import END
from langgraph.runtime import Runtime
from langgraph.types import Command, StateSnapshot, interrupt

from agents.graphs.state import Context, Kept, OwnWork, State, Work
from agents.graphs.turns import BETWEEN, whole, work_of
from agents.images import StoredMessage
from agents.own.asking import answer_of, asked_of
from agents.own.context import TurnContext
from agents.own.failures import translated
from agents.own.loading import Graph, GraphLibrary
from agents.own.record import TurnRecord
from agents.own.saver import TurnSaver
from agents.own.tools import RunTools
from agents.own.turns import ANSWER, config_of, given_to, input_of, last_words, record_of, voice_of
from agents.own.voice import Voice
from providers.base import ModelFinished
from providers.pool.run_budget import Limit, LimitReachedError
from state.models import FinishReason

_TEXT = "text"


@dataclass(frozen=True, slots=True)
class _Play:
    """One attempt at a turn of a graph."""

    graph: Graph
    config: RunnableConfig
    given: TurnContext
    saver: TurnSaver
    voice: Voice
    record: TurnRecord


class OwnGraphs:
    """The steps `own` and `consult` of the graph of all agents."""

    def __init__(self, library: GraphLibrary, checkpointer: BaseCheckpointSaver[str]) -> None:
        self._library = library
        self._checkpointer = checkpointer

    async def play(self, state: State, runtime: Runtime[Context]) -> dict[str, Any]:
        """Run the agent's graph on, from wherever this turn has come to.

        Raises:
            AgentFailedError: Its own code failed, or its state cannot be kept.
        """
        context, work = runtime.context, work_of(state)
        own = work.get("own") or OwnWork(asked=[], answers={}, calls={})
        if own["answers"]:
            await context.go_on()
        saver = self._saver(state, runtime)
        inner = config_of(context)
        noted = await saver.noted(inner)
        voice, record = voice_of(context, work, noted), record_of(work, own, noted)
        saver.hear(voice, record)
        tools = RunTools(context.judge, context.hands, record, context.run_id)
        given = given_to(context, tools, voice, record)
        try:
            graph = await self._library.graph(context.spec.graph, given, context.spec.name)
            graph = graph.copy({"checkpointer": saver, "cache": None})
            play = _Play(graph, inner, given, saver, voice, record)
            snapshot = await _played(play, state, context, own, begun=noted is not None)
        except LimitReachedError as reached:
            await tools.close(cut=True)
            return _ended(_said(work, voice.texts, record), context, record, reached)
        except BaseException:
            await tools.close(cut=True)
            raise
        await tools.close(cut=False)
        work = _said(work, voice.texts, record)
        if interrupts := [one for task in snapshot.tasks for one in task.interrupts]:
            asked = asked_of(interrupts, context.judge)
            return {"work": {**work, "own": OwnWork(**{**own, "asked": asked})}}
        return await self._whole(state, context, work, play, snapshot)

    async def consult(self, state: State, runtime: Runtime[Context]) -> dict[str, Any]:
        """Stop for a person. Run again with the decisions, it keeps them for the graph."""
        work = work_of(state)
        own = work["own"]
        decisions = interrupt([one["question"] for one in own["asked"]])
        answers, calls = dict[str, Any](), dict(own["calls"])
        for one in own["asked"]:
            decision = decisions[one["question"]["permission_id"]]
            if (call := one["call"]) is None:
                answers[one["interrupt_id"]] = answer_of(one, decision)
            else:
                before = calls[call["id"]]["times"] if call["id"] in calls else 0
                decided = runtime.context.judge.decided(call, decision)
                calls[call["id"]] = {"call": decided, "times": before + 1}
                answers[one["interrupt_id"]] = True
        return {"work": {**work, "own": OwnWork(asked=[], answers=answers, calls=calls)}}

    def _saver(self, state: State, runtime: Runtime[Context]) -> TurnSaver:
        context, step = runtime.context, runtime.execution_info
        kept = (state.get("own") or {}).get(context.spec.name)
        base = kept["checkpoint"] if kept and kept["graph"] == context.spec.graph else None
        return TurnSaver(
            self._checkpointer,
            f"own:{context.run_id}",
            base,
            outer=step.checkpoint_id if step else "",
            agent=context.spec.name,
        )

    async def _whole(
        self, state: State, context: Context, work: Work, play: _Play, snapshot: StateSnapshot
    ) -> dict[str, Any]:
        found = await play.saver.aget_tuple(play.config)
        assert found is not None, "a graph that has ended has a checkpoint"
        if text := last_words(
            snapshot.values, work["texts"], new=play.saver.is_new(ANSWER, found.checkpoint)
        ):
            play.voice.write("", text)
            work = _said(work, play.voice.texts, play.record)
        kept = Kept(graph=context.spec.graph, checkpoint=found.checkpoint)
        own = {**(state.get("own") or {}), context.spec.name: kept}
        return {**_ended(work, context, play.record, play.record.reached), "own": own}


# LangGraph calls what is not async in a thread of its own.
async def after_play(state: State) -> str:
    """Whether a person is to be asked; without work the turn is over."""
    return "consult" if state.get("work") else END


async def _played(play: _Play, state: State, context: Context, own: OwnWork, *, begun: bool) -> StateSnapshot:
    """Where the graph stands once it has ended or stopped."""
    start: Any
    if begun:
        start, goes_on = _left_off(await play.graph.aget_state(play.config), own)
    else:
        start, goes_on = input_of(play.graph, state, context), True
    if goes_on:
        await _run(play, context, start)
    return await play.graph.aget_state(play.config)


def _left_off(snapshot: StateSnapshot, own: OwnWork) -> tuple[Command[Any] | None, bool]:
    """What the graph is started with, and whether there is anything left to do without asking."""
    interrupts = [one.id for task in snapshot.tasks for one in task.interrupts]
    answers = {name: own["answers"][name] for name in interrupts if name in own["answers"]}
    if answers:
        return Command(resume=answers), True
    # Not `next`: that leaves out a step that is done, but whose checkpoint is not written.
    return None, bool(snapshot.tasks) and not interrupts


async def _run(play: _Play, context: Context, start: object) -> None:
    try:
        async with asyncio.timeout_at(context.ends_at) as limit:
            writes = play.graph.astream(
                start,
                play.config,
                context=play.given,
                stream_mode="custom",
                subgraphs=True,
                durability="sync",
            )
            async with aclosing(cast(AsyncGenerator[tuple[tuple[str, ...], object]], writes)) as stream:
                async for namespace, written in stream:
                    if isinstance(written, dict) and isinstance(text := written.get(_TEXT), str) and text:
                        play.voice.write("|".join(namespace), text)
    except GraphRecursionError as error:
        raise LimitReachedError(Limit.STEPS) from error
    except Exception as error:  # noqa: BLE001 - the graph's own code raises what it likes
        if isinstance(error, TimeoutError) and limit.expired():
            raise LimitReachedError(Limit.DURATION) from None
        raise translated(error, context.spec.name) from None


def _said(work: Work, texts: list[str], record: TurnRecord) -> Work:
    return {**work, "texts": texts, "tainted": record.tainted, "tools_used": record.tools_used}


def _ended(
    work: Work, context: Context, record: TurnRecord, reached: LimitReachedError | None
) -> dict[str, Any]:
    info = context.model.info
    finished = record.finished or ModelFinished(FinishReason.STOP, "", info.provider, info.model)
    reason = FinishReason.LIMIT if reached else FinishReason.STOP
    finished = ModelFinished(reason, finished.generation_id, finished.provider, finished.model)
    answer = BETWEEN.join(filter(None, work["texts"]))
    last = StoredMessage(role="assistant", content=answer)
    limit = reached.limit.value if reached else ""
    return whole(work, context, finished, [work["messages"][0], last], limit)

"""A turn of an agent of the catalogue, played through gRPC and looked at from all sides."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.spec import AgentSpec
from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.script import Script
from tests.fakes.tool_service.script import Script as Answer
from tests.fakes.tool_service.service import FakeToolService
from tests.harness.catalogue import agent_named
from tests.harness.service import Service, text_of
from tests.harness.tooled import decide, kinds, pending, rest, told, wish, wishing
from tests.integration.tools.describing import output, spec
from tools.builtins.source import Builtins
from tools.table.typed import TABLE

RPCS = {row.name: row.rpc for row in TABLE}
CONVERSATION = "c1"


@dataclass(frozen=True, slots=True)
class Step:
    """One wish of the model, and what comes of it.

    `answer` is that of the backend; of a described tool its data. `asked`: a person is asked first.
    """

    tool: str
    arguments: Mapping[str, Any]
    answer: Mapping[str, Any] = field(default_factory=dict)
    asked: bool = False

    @property
    def rpc(self) -> str:
        """The backend's method; empty where the tool is our own."""
        return RPCS.get(self.tool, "" if self.tool in Builtins().names else "InvokeTool")


@dataclass(frozen=True, slots=True)
class Scene:
    """What a user says to an agent, and how the turn goes.

    `describes`: tools that the backend describes. `says`: the model's answers, where they are not one wish
    for each step and then the answer. `log`: the chunks of the log, where the shape has some of its own.
    """

    agent: str
    query: str
    answer: str
    steps: Sequence[Step] = ()
    describes: Sequence[Mapping[str, Any]] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    says: Sequence[Script] = ()
    log: Sequence[str] = ()

    @property
    def spec(self) -> AgentSpec:
        return agent_named(self.agent)

    @property
    def answers(self) -> Sequence[Script]:
        """What the model says, in order."""
        wishes = (wishing(wish(step.tool, step.arguments)) for step in self.steps)
        return self.says or (*wishes, Script(tokens=(self.answer[:5], self.answer[5:])))

    @property
    def kinds(self) -> list[str]:
        """The chunks of the log."""
        if self.log:
            return list(self.log)
        asking = ["permission_requested", "status", "permission_resolved", "status"]
        steps = [[*(asking if step.asked else ()), "tool_call", "tool_result"] for step in self.steps]
        return ["status", "agent_update", *(kind for step in steps for kind in step), "content", "complete"]


def describing(name: str, properties: Mapping[str, Any], **says: Any) -> dict[str, Any]:
    """A tool that a backend describes, with all its arguments required."""
    schema = {"type": "object", "properties": dict(properties), "required": list(properties)}
    return spec(name, input_schema=schema, **says)


async def play(service: Service, backend: FakeToolService, scene: Scene) -> list[pb.ChatChunk]:
    """The log of a scene that is played, and a second turn after it.

    Looks at the route, what the model is offered and told, the calls and their order, what a person is asked,
    the chunks, the answer, and what stays of it.
    """
    _prepare(service, backend, scene)
    chunks = await _to_the_end(service, backend, scene)
    _right_route(chunks, scene)
    assert kinds(chunks) == scene.kinds
    assert [c.sequence for c in chunks] == list(range(1, len(chunks) + 1))
    _right_calls(backend, scene, chunks)
    _right_answer(chunks, scene)
    _right_requests(service, backend, scene)
    assert kinds(await rest(service, chunks[0].run_id)) == scene.kinds
    await _remembered(service, scene)
    return chunks


def _prepare(service: Service, backend: FakeToolService, scene: Scene) -> None:
    if scene.describes:
        backend.default("DescribeTools", Answer(answer={"tools": [dict(one) for one in scene.describes]}))
    for step in scene.steps:
        if step.rpc == "InvokeTool":
            backend.script("InvokeTool", Answer(events=(output(data=dict(step.answer)),)))
        elif step.rpc:
            backend.script(step.rpc, Answer(answer=dict(step.answer)))
    service.provider.enqueue(*scene.answers)


async def _to_the_end(service: Service, backend: FakeToolService, scene: Scene) -> list[pb.ChatChunk]:
    """The log of the turn. Whatever asks for it is allowed, and had done nothing until then."""
    chunks = await service.chat(
        scene.query, agent_type=f"{scene.agent}_agent", conversation_id=CONVERSATION, **scene.fields
    )
    for number, step in enumerate(scene.steps):
        if not step.asked:
            continue
        if not chunks[-1].sequence:
            del chunks[-1]  # the stream has ended, and the log has not
        await service.run_is(chunks[0].run_id, "waiting_for_permission")
        [permission] = await pending(service)
        assert permission.tool_name == step.tool
        assert dict(permission.arguments) == dict(step.arguments)
        assert len(_calls(backend)) == sum(bool(earlier.rpc) for earlier in scene.steps[:number])
        await decide(service, permission)
        if not any(later.asked for later in scene.steps[number + 1 :]):
            chunks += await rest(service, chunks[0].run_id, chunks[-1].sequence)
    return chunks


def _right_route(chunks: Sequence[pb.ChatChunk], scene: Scene) -> None:
    assert {chunk.agent_name for chunk in chunks} == {scene.agent}
    [update] = [c.agent_update for c in chunks if c.HasField("agent_update")]
    assert (update.agent_name, update.routing_reason) == (scene.agent, "explicit")
    assert update.agent_version == scene.spec.version


def _calls(backend: FakeToolService) -> list[Any]:
    return [call for call in backend.ledger.calls if call.method != "DescribeTools"]


def _right_calls(backend: FakeToolService, scene: Scene, chunks: Sequence[pb.ChatChunk]) -> None:
    called = [c.tool_call for c in chunks if c.HasField("tool_call")]
    assert [call.tool_name for call in called] == [step.tool for step in scene.steps]
    assert all(c.tool_result.ok for c in chunks if c.HasField("tool_result"))
    steps = [step for step in scene.steps if step.rpc]
    calls = _calls(backend)
    if (
        not scene.spec.offers_tools
    ):  # the shape makes several at once: their order is that of the chunks above
        steps, calls = sorted(steps, key=lambda s: s.rpc), sorted(calls, key=lambda c: str(c.method))
    assert [call.method for call in calls] == [step.rpc for step in steps]
    for call, step in zip(calls, steps, strict=True):
        got = call.request["arguments"] if step.rpc == "InvokeTool" else call.request
        assert {name: got[name] for name in step.arguments} == dict(step.arguments)
        assert call.request["user_id"] == "ann"
        assert call.metadata["x-run-id"] == chunks[0].run_id


def _right_answer(chunks: Sequence[pb.ChatChunk], scene: Scene) -> None:
    end = chunks[-1]
    assert text_of(chunks) == end.complete.final_text == scene.answer
    assert end.complete.finish_reason == pb.FINISH_REASON_STOP
    assert list(end.tools_used) == list(dict.fromkeys(step.tool for step in scene.steps))


def _right_requests(service: Service, backend: FakeToolService, scene: Scene) -> None:
    first = service.provider.ledger[0].body
    assert first["messages"][0]["content"].startswith(scene.spec.prompt.split("{")[0])
    offered = {tool["function"]["name"] for tool in first.get("tools", ())}
    entries = scene.spec.tools if scene.spec.offers_tools else ()
    assert offered == {entry.rpartition(":")[2] for entry in entries}
    assert len(service.provider.ledger) == len(scene.answers)
    if not scene.spec.offers_tools:
        return
    for text, step in zip(told(service.provider, len(scene.answers)), scene.steps, strict=True):
        assert text.startswith("[data ")
        assert all(leaf in text for leaf in _leaves(step.answer))


async def _remembered(service: Service, scene: Scene) -> None:
    """Another agent goes on with what was said."""
    await service.chat("and now?", agent_type="chat", conversation_id=CONVERSATION)
    _, asked, *answered, last = service.provider.ledger[-1].body["messages"]
    assert (asked["role"], asked["content"], last["content"]) == ("user", scene.query, "and now?")
    assert {message["role"] for message in answered} == {"assistant"}
    assert "\n\n".join(message["content"] for message in answered) == scene.answer


def _leaves(value: object) -> list[str]:
    """The texts in a JSON value."""
    if isinstance(value, Mapping):
        return [leaf for one in value.values() for leaf in _leaves(one)]
    if isinstance(value, list):
        return [leaf for one in value for leaf in _leaves(one)]
    return [value] if isinstance(value, str) else []

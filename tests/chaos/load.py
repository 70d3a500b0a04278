"""People who chat, start tasks, cancel, decide and try again, and put down all that they are told."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager, suppress
from random import Random
from typing import Any

from llm_orchestrator_client import Event, OrchestratorClient, RunStream
from llm_orchestrator_client.errors import OrchestratorError, UnavailableError
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.values import Permission
from tests.chaos.history import History

CHATTERS, STARTERS, ASKERS = 4, 3, 2
WAIT = pb.RunOptions(on_busy=pb.BUSY_BEHAVIOR_WAIT)
_PATIENT_TRIES = 60
_WAYS = {"yes": 8, "yes twice": 3, "yes and no": 3, "no": 2, "yes and cancel": 2, "edits": 2}


class Load:
    """Some dozen callers, each one thing after the other. An operation has a label, which its query shows."""

    def __init__(self, client: OrchestratorClient, history: History, random: Random) -> None:
        self._client = client
        self._history = history
        self._random = random
        self._numbers = 0
        self._stopped = asyncio.Event()
        self._watching: set[asyncio.Task[None]] = set()
        self._decided: set[str] = set()

    async def run(self) -> None:
        """Until `stop`; returns once everybody has got the answer to the last thing."""
        async with asyncio.TaskGroup() as callers:
            for number in range(CHATTERS):
                callers.create_task(self._again_and_again(self._chat, f"chatter-{number}"))
            for number in range(STARTERS):
                callers.create_task(self._again_and_again(self._task, f"starter-{number}"))
            for number in range(ASKERS):
                callers.create_task(self._again_and_again(self._ask, f"asker-{number}"))
        if self._watching:
            await asyncio.wait(self._watching)

    async def attend(self) -> None:
        """Decide what is asked, until cancelled: a run may ask once more whose watcher was cut off."""
        async with asyncio.TaskGroup() as group:
            for number in range(ASKERS):
                group.create_task(self._attend(f"asker-{number}", group))

    def stop(self) -> None:
        """Nothing new is begun from now on."""
        self._stopped.set()

    async def look_at_conversations(self) -> None:
        """Put down what the conversations of those who chat have kept: texts, the oldest first."""
        for number in range(CHATTERS):
            user = f"chatter-{number}"
            try:
                found = [c async for c in self._client.conversations.checkpoints("c", user_id=user)]
            except OrchestratorError as error:
                self._failed("", user, "look", error)
                continue
            by_id = {checkpoint.checkpoint_id: checkpoint for checkpoint in found}
            chain = [checkpoint for checkpoint in found if checkpoint.head]
            while chain and chain[-1].parent_checkpoint_id:
                chain.append(by_id[chain[-1].parent_checkpoint_id])
            self._history.note("kept", user=user, turns=[[c.run_id, c.preview] for c in reversed(chain)])

    async def _again_and_again(self, step: Any, user: str) -> None:
        while not self._stopped.is_set():
            await step(user)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), self._random.uniform(0.05, 0.4))

    def _label(self, kind: str) -> str:
        self._numbers += 1
        return f"{kind}{self._numbers}"

    # What callers do

    async def _chat(self, user: str) -> None:
        label = self._label("r" if self._random.random() < 0.15 else "c")
        agent = "org_inbox" if label[0] == "r" else "chat"
        request = pb.ChatRequest(query=f"[{label}] tell me", run_options=WAIT)
        conversation = "c" if agent == "chat" else f"of {label}"
        leaves = self._random.random() < 0.07
        async with self._operation(label, user, "chat") as done:
            stream = self._client.chat(
                request, user_id=user, conversation_id=conversation, agent_type=agent, seconds=60
            )
            async with stream:
                await self._read(label, user, stream, leaves=leaves)
            done["run_id"], done["text"] = stream.run_id, stream.transcript.final_text
            done["left"] = stream.transcript.final_text is None

    async def _task(self, user: str) -> None:
        label = self._label("t")
        task_id = await self._start(label, user, f"[{label}] work", "chat")
        if not task_id:
            return
        way = self._random.random()
        if way < 0.15:
            await asyncio.sleep(self._random.uniform(0.0, 0.5))
            await self._told(label, user, "cancel", self._client.tasks.cancel(task_id, user_id=user))
        if way < 0.6:
            await self._watch(label, user, task_id)
            status = await self._told(label, user, "status", self._client.tasks.status(task_id, user_id=user))
            if status is not None and status.state.name in ("FAILED", "CANCELLED"):
                await self._told(label, user, "retry", self._client.tasks.retry(task_id, user_id=user))

    async def _ask(self, user: str) -> None:
        label = self._label("p")
        task_id = await self._start(label, user, f"[{label}] add it", "org_inbox")
        if task_id:
            watching = asyncio.create_task(self._watch(label, user, task_id), name=f"watch {label}")
            self._watching.add(watching)
            watching.add_done_callback(self._watching.discard)
            await asyncio.sleep(self._random.uniform(0.0, 1.0))

    async def _start(self, label: str, user: str, query: str, agent: str) -> str:
        """The id of a task, asked for until somebody says yes or no; sometimes by two at once."""
        task_id = ""
        async with self._operation(label, user, "start") as done:
            callers = 2 if self._random.random() < 0.2 else 1
            starting = (self._accepted(label, user, query, agent) for _ in range(callers))
            ids = await asyncio.gather(*starting)
            done["task_ids"], task_id = ids, ids[0]
        return task_id

    async def _accepted(self, label: str, user: str, query: str, agent: str) -> str:
        for _ in range(_PATIENT_TRIES):
            try:
                started = await self._client.tasks.start(
                    query, user_id=user, agent_type=agent, request_id=f"request {label}"
                )
            except OrchestratorError as error:
                self._failed(label, user, "try", error)
                if not isinstance(error, UnavailableError) and error.reason:
                    raise
                await asyncio.sleep(self._random.uniform(0.1, 0.5))
            else:
                return started.task_id
        raise UnavailableError("nobody took the task")

    async def _watch(self, label: str, user: str, task_id: str) -> None:
        async with self._operation(label, user, "watch") as done:
            stream = self._client.tasks.watch(task_id, user_id=user)
            async with stream:
                try:
                    await self._read(label, user, stream, leaves=False)
                finally:
                    done["run_id"] = task_id

    async def _read(self, label: str, user: str, stream: RunStream, *, leaves: bool) -> None:
        reader = self._label("reader")
        async for event in stream:
            self._saw(label, user, reader, event)
            if leaves and event.sequence > 3:
                return

    # Those who decide

    async def _attend(self, user: str, group: asyncio.TaskGroup) -> None:
        while True:
            with suppress(OrchestratorError):
                async for permission in self._client.permissions.list(user_id=user):
                    self._history.note("shown", user=user, text=str(permission.arguments))
                    if permission.permission_id not in self._decided:
                        self._decided.add(permission.permission_id)
                        group.create_task(self._decide(user, permission))
            await asyncio.sleep(0.2)

    async def _decide(self, user: str, permission: Permission) -> None:
        way = self._random.choices(list(_WAYS), list(_WAYS.values()))[0]
        permissions, label = self._client.permissions, permission.permission_id
        steps: list[Coroutine[Any, Any, Any]] = []
        if way == "edits":
            edited = {"text": f"edited {label}", "kind": "todo"}
            steps.append(permissions.approve(permission, edited_arguments=edited, user_id=user))
        elif way == "no":
            steps.append(permissions.deny(permission, user_id=user))
        else:
            steps.append(permissions.approve(permission, user_id=user))
        if way == "yes twice":
            steps.append(permissions.approve(permission, user_id=user))
        elif way == "yes and no":
            steps.append(permissions.deny(permission, user_id=user))
        elif way == "yes and cancel":
            steps.append(self._client.tasks.cancel(permission.run_id, user_id=user))
        self._random.shuffle(steps)
        await asyncio.gather(*(self._told(label, user, "decide", step) for step in steps))
        self._decided.discard(label)  # one that nobody heard is still asked

    # What is put down

    @asynccontextmanager
    async def _operation(self, label: str, user: str, kind: str) -> AsyncGenerator[dict[str, Any]]:
        """Note that it began, and how it ended: as `done` says, or with the error, which goes no further."""
        done: dict[str, Any] = {}
        self._history.note("invoke", op=label, user=user, kind=kind)
        try:
            yield done
        except OrchestratorError as error:
            self._failed(label, user, kind, error, **done)
        else:
            self._history.note("ok", op=label, user=user, kind=kind, **done)

    async def _told(self, label: str, user: str, kind: str, call: Coroutine[Any, Any, Any]) -> Any:
        """What a call answers; None if it failed."""
        answer = None
        async with self._operation(label, user, kind) as done:
            answer = await call
            if kind == "decide" and hasattr(answer, "already_decided"):
                done["first"] = not answer.already_decided
            if kind == "retry":
                done["task_ids"] = [answer.task_id]
        return answer

    def _failed(self, label: str, user: str, kind: str, error: OrchestratorError, **done: Any) -> None:
        after = error.retry_after
        self._history.note(
            "fail",
            op=label,
            user=user,
            kind=kind,
            code=error.code.name,
            reason=error.reason,
            message=error.message,
            retryable=error.retryable,
            retry_after=None if after is None else after.total_seconds(),
            **done,
        )

    def _saw(self, label: str, user: str, reader: str, event: Event) -> None:
        if event.chunk is not None and event.sequence:
            chunk = b64encode(event.chunk.SerializeToString()).decode()
            self._history.note("saw", op=label, user=user, reader=reader, run_id=event.run_id, chunk=chunk)

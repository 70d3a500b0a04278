"""The real local model in its real child process."""

import asyncio
import hashlib
import json
import os
import select
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from providers.base import CallAccepted, ChatModel, Delta, ModelFinished, ModelRequest, TextDelta
from providers.http.timeouts import ProviderTimeouts
from providers.local.model import CONNECTION_HEADERS, LocalModel
from providers.local.server import LOG_NAME, LocalModelServer, LocalModelState
from providers.local.weights import LocalModelError, installed_weights
from providers.openai_compatible.model import OpenAICompatibleModel
from state.errors import ProviderBrokenError, ProviderRejectedError, ProviderUnavailableError
from state.models import FinishReason, Message

pytestmark = [pytest.mark.model, pytest.mark.asyncio(loop_scope="module")]

ROOT = Path(__file__).resolve().parents[2]
QUESTION = "Write a short story about a lighthouse keeper."
CONTEXT_TOKENS = 512

# A service in miniature: it starts the model, says which child answers, and waits to be killed.
PARENT = """
import asyncio, json, pathlib, sys
from providers.local.server import LocalModelServer

async def main():
    async with LocalModelServer(pathlib.Path(sys.argv[1]), context_tokens=512) as server:
        await server.ready()
        print(json.dumps({"child": server.pid, "base_url": server.base_url}), flush=True)
        await server.died()

asyncio.run(main())
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[LocalModelServer]:
    folder = tmp_path_factory.mktemp("local-model")
    async with LocalModelServer(folder, context_tokens=CONTEXT_TOKENS) as server:
        await asyncio.wait_for(server.ready(), 30)
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http() -> AsyncGenerator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(headers=CONNECTION_HEADERS) as session:
        yield session


def connected(http: aiohttp.ClientSession, base_url: str) -> ChatModel:
    return OpenAICompatibleModel(
        http,
        provider="local",
        base_url=base_url,
        model="smollm2-135m-instruct",
        api_key=None,
        context_tokens=CONTEXT_TOKENS,
        timeouts=ProviderTimeouts(connect=2, first_token=20, between_tokens=20, total=60),
    )


def request(tokens: int, question: str = QUESTION) -> ModelRequest:
    return ModelRequest((Message("user", question),), max_output_tokens=tokens, temperature=0.0, seed=1)


async def events(http: aiohttp.ClientSession, base_url: str, tokens: int) -> list[dict[str, Any]]:
    body = {
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    async with http.post(f"{base_url}/chat/completions", json=body) as response:
        assert response.status == 200
        lines = [line.strip().removeprefix(b"data: ") async for line in response.content if line.strip()]
    assert lines[-1] == b"[DONE]"
    return [json.loads(line) for line in lines[:-1]]


async def gone(pid_descriptor: int, seconds: float) -> None:
    """Return once the process of a pidfd has ended, whoever its parent is; raise after `seconds`."""
    poll = select.poll()
    poll.register(pid_descriptor, select.POLLIN)
    ended = await asyncio.to_thread(poll.poll, seconds * 1000)
    os.close(pid_descriptor)
    assert ended, f"the process still runs after {seconds} s"


def held(server: LocalModelServer) -> int:
    assert server.pid is not None
    return os.pidfd_open(server.pid)


async def test_streams_an_answer_in_many_pieces(
    server: LocalModelServer, http: aiohttp.ClientSession
) -> None:
    received = await events(http, server.base_url, 24)
    deltas = [choice["delta"] for event in received for choice in event["choices"]]
    pieces = [delta["content"] for delta in deltas if delta.get("content")]
    assert len(pieces) >= 16
    assert received[-1]["usage"]["completion_tokens"] == 24
    assert {event["model"] for event in received} == {"smollm2-135m-instruct"}


async def test_answers_as_a_chat_model_again_and_again(
    server: LocalModelServer, http: aiohttp.ClientSession
) -> None:
    model = LocalModel(server, partial(connected, http), context_tokens=CONTEXT_TOKENS)
    await model.probe()
    # Without a pause: llama.cpp closes each connection shortly after its answer.
    for _ in range(5):
        deltas = [delta async for delta in model.stream(request(8))]
        accepted, *pieces, end = deltas
        assert accepted == CallAccepted()
        assert [type(piece) for piece in pieces] == [TextDelta] * len(pieces)
        assert isinstance(end, ModelFinished)
        assert (end.finish_reason, end.provider, end.model) == (
            FinishReason.LENGTH,
            "local",
            model.info.model,
        )
        assert end.tokens is not None
        assert end.tokens.output_tokens == 8


async def test_a_prompt_longer_than_the_context_is_refused(
    server: LocalModelServer, http: aiohttp.ClientSession
) -> None:
    model = LocalModel(server, partial(connected, http), context_tokens=CONTEXT_TOKENS)
    with pytest.raises(ProviderRejectedError):
        await anext(model.stream(request(8, "word " * CONTEXT_TOKENS)))


async def test_answers_again_after_kill_9(server: LocalModelServer, http: aiohttp.ClientSession) -> None:
    model = LocalModel(server, partial(connected, http), context_tokens=CONTEXT_TOKENS)
    first, child = server.pid, held(server)
    async with aclosing(model.stream(request(400))) as answer:
        assert await anext(answer) == CallAccepted()
        assert isinstance(await anext(answer), TextDelta)
        os.kill(first or 0, signal.SIGKILL)
        with pytest.raises(ProviderBrokenError):
            [delta async for delta in answer]
    await gone(child, 2)
    deltas = await asyncio.wait_for(answered(model), 20)
    assert isinstance(deltas[-1], ModelFinished)
    assert server.state is LocalModelState.READY
    assert server.pid not in (None, first)


async def test_waits_for_the_child_and_takes_it_along(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    async with LocalModelServer(tmp_path, context_tokens=CONTEXT_TOKENS) as server:
        assert server.state is LocalModelState.STARTING
        connect = partial(connected, http)
        hurried = LocalModel(server, connect, context_tokens=CONTEXT_TOKENS, ready_seconds=0.0)
        with pytest.raises(ProviderUnavailableError, match="the local model is starting"):
            await anext(hurried.stream(request(1)))
        with pytest.raises(ProviderUnavailableError, match="the local model is starting"):
            await hurried.probe()
        patient = LocalModel(server, connect, context_tokens=CONTEXT_TOKENS, ready_seconds=30.0)
        assert len([delta async for delta in patient.stream(request(4))]) >= 2
        child = held(server)
    await gone(child, 2)
    await server.died()
    with pytest.raises(LocalModelError, match="was stopped"):
        await server.ready()


async def test_dies_within_2_s_of_its_parents_kill_9(tmp_path: Path, http: aiohttp.ClientSession) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, str(tmp_path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    said = json.loads(await asyncio.wait_for(parent.stdout.readline(), 30))
    child = os.pidfd_open(said["child"])
    assert await events(http, said["base_url"], 1)
    parent.kill()
    await gone(child, 2)
    await parent.wait()
    assert await parent.stdout.read() == b""


@pytest.mark.parametrize("ending", ["end of stdin", "SIGTERM"])
async def test_the_child_says_one_line_and_ends_at(ending: str) -> None:
    command = ("-m", "providers.local.child", "--model", str(installed_weights()), "--context", "256")
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    line = await asyncio.wait_for(child.stdout.readline(), 30)
    assert list(json.loads(line)) == ["port"]
    if ending == "SIGTERM":
        child.terminate()
    else:
        child.stdin.close()
    rest, errors = await asyncio.wait_for(child.communicate(), 5)
    assert (rest, errors) == (b"", b"")
    assert child.returncode == (-signal.SIGTERM if ending == "SIGTERM" else 0)


async def test_damaged_weights_end_the_supervision_with_a_clear_error(tmp_path: Path) -> None:
    damaged = tmp_path / "truncated.gguf"
    with installed_weights().open("rb") as whole:
        damaged.write_bytes(whole.read(1 << 20))
    async with LocalModelServer(tmp_path, weights=damaged) as server:
        with pytest.raises(LocalModelError, match=r"^the local model's file is damaged: reinstall with"):
            await server.ready()
        with pytest.raises(LocalModelError, match="is damaged"):
            await server.died()
        assert server.state is LocalModelState.FAILED


async def test_absent_weights_end_the_supervision_with_a_clear_error(tmp_path: Path) -> None:
    async with LocalModelServer(tmp_path, weights=tmp_path / "absent.gguf") as server:
        with pytest.raises(LocalModelError, match=r"^the local model is not installed: run `make model`"):
            await server.died()
        with pytest.raises(ProviderUnavailableError, match="the local model is failed"):
            _ = server.base_url


async def test_a_child_that_never_starts_is_given_up(tmp_path: Path) -> None:
    content = b"GGUF, but only by its first bytes"
    weights = tmp_path / "unreadable.gguf"
    weights.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    async with LocalModelServer(tmp_path, weights=weights, sha256=sha256) as server:
        with pytest.raises(LocalModelError, match=f"does not start: see {LOG_NAME}"):
            await asyncio.wait_for(server.died(), 20)
    assert "unreadable.gguf" in (tmp_path / LOG_NAME).read_text()


async def test_a_child_that_is_too_slow_is_given_up(tmp_path: Path) -> None:
    async with LocalModelServer(tmp_path, start_seconds=0.0) as server:
        with pytest.raises(LocalModelError, match="does not start"):
            await asyncio.wait_for(server.ready(), 20)
    assert server.pid is None


async def answered(model: LocalModel) -> list[Delta]:
    """The first answer after a restart, asking as a client would until there is one."""
    while True:
        try:
            return [delta async for delta in model.stream(request(4))]
        except ProviderUnavailableError as error:
            # The dead child's port refuses connections until its end is noticed; from then on a call waits.
            if "restarting" in error.message:
                raise
            await asyncio.sleep(0)

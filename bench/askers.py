"""The two ways to an answer: over HTTP as OpenAI gives it, and over gRPC by our contract."""

from itertools import count
from time import monotonic
from typing import Any, Protocol
from uuid import uuid4

import aiohttp
import orjson

from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc

CALL_SECONDS = 30.0
USERS = 64
"""Who ask in turn, so that the service's limit of one user's streams is nobody's."""


class Timing:
    """The moments of one call, on the clock that the provider's ledger shares.

    `arrivals`: when text came, and how many characters.
    """

    __slots__ = ("answer", "arrivals", "began", "first_chunk", "first_token", "question")

    def __init__(self, question: str) -> None:
        self.question = question
        self.answer = ""
        self.arrivals: list[tuple[float, int]] = []
        self.first_chunk = self.first_token = 0.0
        self.began = monotonic()

    def take(self, text: str) -> None:
        """A chunk has come; `text` is what it adds to the answer."""
        now = monotonic()
        self.first_chunk = self.first_chunk or now
        if text:
            self.first_token = self.first_token or now
            self.answer += text
            self.arrivals.append((now, len(text)))

    def ended(self) -> "Timing":
        """Raises: RuntimeError: There was no answer to measure."""
        if not self.first_token:
            raise RuntimeError(f"no text came back for {self.question!r}")
        return self


class AskInto(Protocol):
    """Asks, and writes what comes into `timing` while it comes, for those who may leave before the end."""

    async def __call__(self, question: str, timing: Timing | None = None) -> Timing: ...


class DirectAsker:
    """Asks the provider, or what speaks its protocol, as any client does.

    One that `remembers` sends the conversation so far.
    """

    def __init__(self, session: aiohttp.ClientSession, base_url: str, *, remembers: bool = False) -> None:
        self._session = session
        self._url = f"{base_url}/chat/completions"
        self._remembers = remembers
        self._said: list[dict[str, str]] = []

    async def __call__(self, question: str, timing: Timing | None = None) -> Timing:
        timing = timing or Timing(question)
        messages = [*self._said, {"role": "user", "content": question}]
        body = {"model": "scripted", "messages": messages, "stream": True}
        async with self._session.post(self._url, data=orjson.dumps(body)) as response:
            response.raise_for_status()
            async for line in response.content:
                if line.startswith(b"data: {"):
                    timing.take(_text(orjson.loads(line[6:])))
        if self._remembers:
            self._said = [*messages, {"role": "assistant", "content": timing.answer}]
        return timing.ended()


class ServiceAsker:
    """Asks the service, or what speaks its contract.

    One that `remembers` stays in one conversation, the others begin one each time.
    """

    def __init__(self, stub: "rpc.OrchestratorServiceAsyncStub", *, remembers: bool = False) -> None:
        self._stub = stub
        self._conversation_id = uuid4().hex if remembers else ""
        self._numbers = count()

    async def __call__(self, question: str, timing: Timing | None = None) -> Timing:
        timing = timing or Timing(question)
        user = "bench" if self._conversation_id else f"bench-{next(self._numbers) % USERS}"
        request = pb.ChatRequest(user_id=user, query=question, conversation_id=self._conversation_id)
        async for chunk in self._stub.StreamChat(request, timeout=CALL_SECONDS):
            timing.take(chunk.content.text)
        return timing.ended()


def _text(chunk: dict[str, Any]) -> str:
    choices = chunk["choices"]
    return str(choices[0]["delta"].get("content") or "") if choices else ""

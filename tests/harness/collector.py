"""A collector of traces: rotel, as operators run one, which passes all on to where tests can read it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as pb
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as rpc

from tests.fakes.scripted_provider.ledger import Changes
from tests.harness.metrics import free_address

_START_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Seen:
    """A span as it came, its ids in hex. `links`: (trace, span) of each; `service`: what its process is."""

    name: str
    trace: str
    span: str
    parent: str
    links: tuple[tuple[str, str], ...]
    attributes: Mapping[str, Any]
    failed: bool
    service: str
    instance: str


@dataclass
class Collected:
    """The spans that came through, and their bytes, whatever they hold. `endpoint` takes more."""

    endpoint: str = ""
    spans: list[Seen] = field(default_factory=list)
    raw: bytes = b""
    changes: Changes = field(default_factory=Changes)

    def named(self, name: str) -> list[Seen]:
        return [span for span in self.spans if span.name == name]

    async def until(self, condition: Callable[[], bool], what: str = "spans", within: float = 20.0) -> None:
        """Raises: TimeoutError: It did not become true."""
        await self.changes.until(condition, what, within)

    async def has(self, *names: str) -> None:
        """Return when there is a span of each name."""
        await self.until(lambda: all(map(self.named, names)), f"spans {names}")


class _Sink(rpc.TraceServiceServicer):
    def __init__(self, collected: Collected) -> None:
        self._collected = collected

    async def Export(self, request: pb.ExportTraceServiceRequest, context: object) -> Any:
        del context
        self._collected.raw += request.SerializeToString()
        for of_process in request.resource_spans:
            about = _plain(of_process.resource.attributes)
            for scope in of_process.scope_spans:
                self._collected.spans += [_seen(span, about) for span in scope.spans]
        self._collected.changes.notify()
        return pb.ExportTraceServiceResponse()


@asynccontextmanager
async def sink() -> AsyncIterator[Collected]:
    """An OTLP server of our own, which only keeps what it gets."""
    collected = Collected()
    server = grpc.aio.server()
    rpc.add_TraceServiceServicer_to_server(_Sink(collected), server)  # type: ignore[no-untyped-call]
    collected.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield collected
    finally:
        await server.stop(0)


@asynccontextmanager
async def rotel(folder: Path) -> AsyncIterator[Collected]:
    """Rotel in a process of its own, in front of such a server."""
    async with sink() as collected:
        address = free_address()
        process = await asyncio.create_subprocess_exec(
            str(resources.files("rotel") / "rotel-agent"),
            "start",
            *("--otlp-grpc-endpoint", address, "--otlp-http-endpoint", free_address(), "--disable-batching"),
            *("--exporter", "otlp", "--otlp-exporter-endpoint", collected.endpoint),
            *("--otlp-exporter-protocol", "grpc", "--pid-file", str(folder / "rotel.pid")),
            env={"PATH": os.environ["PATH"]},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with grpc.aio.insecure_channel(address) as channel, asyncio.timeout(_START_SECONDS):
                await channel.channel_ready()
            collected.endpoint = f"http://{address}"
            yield collected
        finally:
            process.kill()
            await process.wait()


def _seen(span: Any, about: Mapping[str, Any]) -> Seen:
    return Seen(
        name=span.name,
        trace=span.trace_id.hex(),
        span=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
        attributes=_plain(span.attributes),
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        service=about.get("service.name", ""),
        instance=about.get("service.instance.id", ""),
    )


def _plain(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, str(pair.value.WhichOneof("value"))) for pair in attributes}

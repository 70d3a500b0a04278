"""A TCP proxy that a test may cut, turn into a black hole, or let hold what goes through it."""

import asyncio
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit, urlunsplit


class TcpProxy:
    """Forwards 127.0.0.1:`port` to a server, until `cut`; after `restore` again.

    `connections`: how many it has taken so far.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._to_server, self._to_client = _Direction(), _Direction()
        self.port = 0
        self.dsn = ""
        self.connections = 0

    @classmethod
    def to(cls, dsn: str) -> Self:
        """A proxy in front of a database; its `dsn` goes through it."""
        parts = urlsplit(dsn)
        assert parts.hostname is not None
        assert parts.port is not None
        proxy = cls(parts.hostname, parts.port)
        proxy.dsn = dsn
        return proxy

    async def __aenter__(self) -> Self:
        await self.restore()
        if self.dsn:
            parts = urlsplit(self.dsn)
            user = parts.netloc.rpartition("@")[0]
            self.dsn = urlunsplit(parts._replace(netloc=f"{user}@127.0.0.1:{self.port}"))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.cut()

    async def cut(self) -> None:
        """Refuse connections and reset those that are open."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for pipe in list(self._pipes):
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def restore(self) -> None:
        """Forward again, on the same port."""
        self.swallow(to_server=False, to_client=False)
        self.release()
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def swallow(self, *, to_server: bool = True, to_client: bool = True) -> None:
        """From now on drop what goes in these directions, also the news that a side has closed."""
        self._to_server.swallows, self._to_client.swallows = to_server, to_client

    def hold(self) -> None:
        """Until `release` keep what goes to the server, also the news that the client has closed.

        So a server gets a statement whose client has given it up long ago.
        """
        self._to_server.flows.clear()

    def release(self) -> None:
        """Let through what was held, and everything after it."""
        self._to_server.flows.set()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        taken_by = self._server
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        if taken_by is not self._server or taken_by is None or not taken_by.is_serving():
            # It was cut while this connection was being made.
            writer.transport.abort()
            there_writer.transport.abort()
            return
        self._writers |= {writer, there_writer}
        for source, sink, direction in (
            (reader, there_writer, self._to_server),
            (there_reader, writer, self._to_client),
        ):
            pipe = asyncio.create_task(_pipe(source, sink, direction), name="proxy-pipe")
            self._pipes.add(pipe)
            pipe.add_done_callback(self._pipes.discard)


class _Direction:
    """One way through the proxy, for all connections."""

    def __init__(self) -> None:
        self.swallows = False
        self.flows = asyncio.Event()
        self.flows.set()


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter, direction: _Direction) -> None:
    try:
        while data := await source.read(65536):
            await direction.flows.wait()
            if not direction.swallows:
                sink.write(data)
                await sink.drain()
    except OSError:
        pass
    finally:
        if not direction.swallows:
            sink.close()

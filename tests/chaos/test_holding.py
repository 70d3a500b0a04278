"""What a proxy holds arrives later, although whoever sent it has gone."""

import asyncio

from tests.harness.proxy import TcpProxy

WITHIN = 10.0


async def test_what_was_held_arrives_after_its_client_has_closed() -> None:
    got: list[bytes] = []
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"ready")
        while data := await reader.read(100):
            got.append(data)
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, TcpProxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await reader.readexactly(5) == b"ready"
        proxy.hold()
        writer.write(b"a statement")
        writer.close()
        await writer.wait_closed()
        # Another connection made and answered meanwhile: what was not held would have come by now.
        other, its_writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await other.readexactly(5) == b"ready"
        assert got == []
        proxy.release()
        async with asyncio.timeout(WITHIN):
            await ended.wait()
        assert got == [b"a statement"]
        its_writer.close()
        await its_writer.wait_closed()

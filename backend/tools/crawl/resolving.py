"""The connection is made to exactly the addresses that were looked up and judged, once, for it.

A name whose answers change between a check and a connection (DNS rebinding) gains nothing: there is one
look-up, and its answers are what is connected to.
"""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Protocol

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from backend.tools.crawl.addresses import Guard, address_of
from backend.tools.crawl.errors import AddressRefusedError, UnreachableError

_NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class Names(Protocol):
    """Looks names up."""

    async def addresses(self, host: str) -> Sequence[str]:
        """Its IPv4 and IPv6 addresses, as texts.

        Raises:
            OSError: There are none, or nobody can tell.
        """
        ...


class SystemNames:
    """As the operating system looks them up."""

    async def addresses(self, host: str) -> Sequence[str]:
        infos = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return [str(address[0]) for _, _, _, _, address in infos]


class CheckedResolver(AbstractResolver):
    """Gives an HTTP client only addresses that the guard permits.

    One that it does not permit among several makes the whole name refused: it is a trick or a mistake.
    """

    def __init__(self, names: Names, guard: Guard) -> None:
        self._names = names
        self._guard = guard

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        try:
            texts = await self._names.addresses(host)
        except (OSError, UnicodeError) as error:
            raise UnreachableError("there is no such host") from error
        found = [self._result(host, port, text) for text in dict.fromkeys(texts)]
        usable = [one for one in found if family in (socket.AF_UNSPEC, one["family"])]
        if not usable:
            raise UnreachableError("there is no such host")
        return usable

    def _result(self, host: str, port: int, text: str) -> ResolveResult:
        address = address_of(text)
        if address is None or "%" in text or not self._guard.permits(address, port):
            raise AddressRefusedError("must be a public address")
        family = socket.AF_INET if isinstance(address, IPv4Address) else socket.AF_INET6
        return ResolveResult(
            hostname=host, host=str(address), port=port, family=family, proto=0, flags=_NUMERIC
        )

    async def close(self) -> None:
        pass


class NotPermittedError(OSError):
    """A socket was about to be connected to what the guard does not permit."""


def connector(names: Names, guard: Guard, *, connections: int) -> aiohttp.TCPConnector:
    """Connects to what the guard permits, to nothing else, and looks each name up anew."""

    def checked_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, (host, port, *_) = info
        # The last place before the connection: whatever the client did with the URL, this is where it goes.
        address = address_of(str(host))
        if address is None or not guard.permits(address, int(port)):
            raise NotPermittedError("not permitted")
        return socket.socket(family, kind, protocol)

    return aiohttp.TCPConnector(
        resolver=CheckedResolver(names, guard),
        use_dns_cache=False,
        limit=connections,
        force_close=True,  # a kept connection would outlive the look-up that it rests on
        socket_factory=checked_socket,
    )

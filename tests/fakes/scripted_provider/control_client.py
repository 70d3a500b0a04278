"""The client side of the control interface, for tests whose provider is another process."""

from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from pydantic import TypeAdapter

from tests.fakes.scripted_provider.ledger import PATIENCE_SECONDS, CallReport
from tests.fakes.scripted_provider.script import Script

_REPORTS: TypeAdapter[list[CallReport]] = TypeAdapter(list[CallReport])


class ControlClient:
    """Steers the provider at `address`, as "http://127.0.0.1:4000"."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._session: aiohttp.ClientSession | None = None

    @property
    def base_url(self) -> str:
        """What an adapter is configured with."""
        return f"{self._address}/v1"

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(self._address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def enqueue(self, *scripts: Script) -> None:
        await self._request("POST", "/control/scripts", {"scripts": scripts})

    async def set_default(self, script: Script) -> None:
        await self._request("POST", "/control/scripts", {"default": script})

    async def set_capacity(self, capacity: int | None) -> None:
        await self._request("POST", "/control/scripts", {"capacity": capacity})

    async def release(self, call: int | None = None) -> None:
        await self._request("POST", "/control/release", query={} if call is None else {"call": call})

    async def reset(self) -> None:
        await self._request("POST", "/control/reset")

    async def ledger(
        self, *, arrived: int = 0, ended: int = 0, within: float = PATIENCE_SECONDS
    ) -> list[CallReport]:
        """All calls, once so many have arrived and ended. Raises: TimeoutError: They have not."""
        report = await self._request(
            "GET", "/control/ledger", query={"arrived": arrived, "ended": ended, "within": within}
        )
        return _REPORTS.validate_python(report["calls"])

    async def sent(self, call: int, tokens: int, *, within: float = PATIENCE_SECONDS) -> CallReport:
        """Call number `call`, once it has sent so many tokens. Raises: TimeoutError: It has not."""
        report = await self._request(
            "GET", "/control/ledger", query={"call": call, "sent": tokens, "within": within}
        )
        return _REPORTS.validate_python(report["calls"])[call - 1]

    async def _request(
        self, method: str, path: str, body: Any = None, query: dict[str, float] | None = None
    ) -> Any:
        assert self._session is not None, "enter the client's context first"
        data = None if body is None else orjson.dumps(body)
        async with self._session.request(method, path, data=data, params=query) as response:
            content = await response.read()
            if response.status == 408:
                raise TimeoutError(content.decode())
            if response.status >= 400:
                raise ValueError(content.decode())
            return orjson.loads(content) if content else None

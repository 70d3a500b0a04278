"""Fetch a JSON Web Key Set."""

import aiohttp

from orchestrator.identity.keys import KeySetUnavailableError

_SECONDS = 5.0
_MOST_BYTES = 256 << 10


async def fetch_key_set(url: str) -> bytes:
    """What stands at `url`, within five seconds and 256 KiB; redirects are not followed.

    Raises:
        KeySetUnavailableError: Nothing, or not that.
    """
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=False) as session,
            session.get(url, allow_redirects=False) as response,
        ):
            if response.status != 200:  # noqa: PLR2004
                raise KeySetUnavailableError(f"the server of the key set answered {response.status}")
            body = bytearray()
            async for piece in response.content.iter_chunked(_MOST_BYTES):
                body += piece
                if len(body) > _MOST_BYTES:
                    raise KeySetUnavailableError(f"the key set has more than {_MOST_BYTES} bytes")
    except (TimeoutError, aiohttp.ClientError, OSError) as error:
        raise KeySetUnavailableError("the server of the key set cannot be reached") from error
    return bytes(body)

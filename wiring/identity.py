"""Who may call: from the settings to what stands before the guard."""

import logging
from argparse import Namespace
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import grpc

from config.address import is_loopback
from config.command_line import say
from config.load import picked
from config.security import SecuritySettings
from config.settings import Settings
from orchestrator.authenticating import AuthenticatingInterceptor
from orchestrator.http.jwks import fetch_key_set
from orchestrator.identity.authenticator import Authenticator, JwtSubjects
from orchestrator.identity.file import Identities, parse_identities
from orchestrator.identity.jwts import JwtRules, key_set, secret_key, single_key
from orchestrator.identity.keys import FixedKeys, Keys, KeysInFile, RemoteKeys
from orchestrator.identity.making import new_token, token_line
from orchestrator.identity.reloading import ReloadedFiles
from orchestrator.observing import ObservingInterceptor
from orchestrator.server import Entrance
from orchestrator.tls import checked, server_credentials
from telemetry.instruments import Instruments
from wiring.deaths import Deaths

logger = logging.getLogger(__name__)


@asynccontextmanager
async def entrance_of(settings: Settings, made: Instruments | None) -> AsyncIterator[Entrance]:
    """What the settings say of TLS and of who may call; their files are looked at again inside the block.

    Raises:
        IdentityFileError: A file cannot be used.
    """
    security, deaths = settings.security, Deaths()
    first: list[grpc.aio.ServerInterceptor] = [ObservingInterceptor(made.calls)] if made else []
    _warn(settings.server.address, security)
    async with AsyncExitStack() as stack:
        if security.authenticates:
            authenticator = await _authenticator(security, stack, deaths)
            first.append(AuthenticatingInterceptor(authenticator))
        yield Entrance(first, await _credentials(security, stack, deaths), deaths)


async def _credentials(
    security: SecuritySettings, stack: AsyncExitStack, deaths: Deaths
) -> grpc.ServerCredentials | None:
    if security.certificate_file is None:
        return None
    named = (security.certificate_file, security.key_file, security.client_ca_file)
    paths = [path for path in named if path is not None]
    files = ReloadedFiles("TLS certificates", paths, checked, reload_seconds=security.reload_seconds)
    deaths["the TLS files"] = files.died
    return server_credentials(await stack.enter_async_context(files))


async def _authenticator(security: SecuritySettings, stack: AsyncExitStack, deaths: Deaths) -> Authenticator:
    jwts = None
    if security.jwt_issuer:
        rules = picked(
            JwtRules,
            security,
            issuer=security.jwt_issuer,
            audience=security.jwt_audience,
            leeway_seconds=security.jwt_leeway_seconds,
        )
        jwts = JwtSubjects(rules, await _keys(security, stack, deaths))
    if security.identities_file is None:
        nobody = Identities()
        return Authenticator(lambda: nobody, jwts)
    file = ReloadedFiles(
        "identities",
        [security.identities_file],
        lambda contents: parse_identities(contents[0]),
        reload_seconds=security.reload_seconds,
    )
    await stack.enter_async_context(file)
    deaths["the file of identities"] = file.died
    return Authenticator(lambda: file.current, jwts)


async def _keys(security: SecuritySettings, stack: AsyncExitStack, deaths: Deaths) -> Keys:
    if security.jwt_key is not None:
        return FixedKeys(secret_key(security.jwt_key.get_secret_value(), security.algorithms))
    if security.jwt_key_file is not None:
        file = ReloadedFiles(
            "JWT keys",
            [security.jwt_key_file],
            lambda contents: single_key(contents[0], security.algorithms),
            reload_seconds=security.reload_seconds,
        )
        await stack.enter_async_context(file)
        deaths["the file of JWT keys"] = file.died
        return KeysInFile(file)
    keys = RemoteKeys(
        partial(fetch_key_set, security.jwt_jwks_url),
        partial(key_set, algorithms=security.algorithms),
        refresh_seconds=security.jwks_refresh_seconds,
        retry_seconds=security.jwks_retry_seconds,
    )
    await stack.enter_async_context(keys)
    deaths["the key set"] = keys.died
    await keys.first()
    return keys


def _warn(address: str, security: SecuritySettings) -> None:
    """What the override allows is said at every start."""
    if is_loopback(address):
        return
    if not security.encrypts:
        logger.warning(
            "NO TLS on an address that is not loopback: who is on the way reads prompts, answers and tokens"
        )
    if not security.authenticates:
        logger.warning(
            "NO AUTHENTICATION on an address that is not loopback: whoever reaches it acts for every user"
        )


def make_token(parsed: Namespace) -> None:
    """Print a new token, this once, and the line for the file of identities."""
    token = new_token()
    line = token_line(parsed.name, token, user=parsed.user, users=parsed.users)
    say(f"token, shown this once:\n{token}\n\nline for [tokens] in the file of identities:\n{line}")

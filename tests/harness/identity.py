"""Services that want to know who calls, and what shows it: tokens, JWTs and their keys.

issuer = Issuer()
async with authenticated_service(dsn, provider, tmp_path, issuer) as service:
    ann = service.stub_of(issuer.token("ann"))            # a user's JWT
    backend = service.stub_of(service.tokens["backend"])  # a service's static token, for everybody
    await ann.GetUsage(pb.GetUsageRequest())
"""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import time
from typing import Any, cast

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from orchestrator.identity.making import new_token, token_line
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.service import Service, running_service

ISSUER = "https://issuer.test"
AUDIENCE = "llm-orchestrator"
SERVICES: dict[str, tuple[str, ...]] = {"backend": ("*",), "batch": ("ann", "bob")}
USERS = ("ann", "bob")


def part(content: object) -> str:
    """A part of a token."""
    return encoded(json.dumps(content).encode())


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


class Issuer:
    """Who makes JWTs. `kid` names its key; `alg` is ES256 or RS256."""

    def __init__(self, kid: str = "k1", alg: str = "ES256") -> None:
        self.kid = kid
        self.alg = alg
        self._key = (
            ec.generate_private_key(ec.SECP256R1())
            if alg.startswith("ES")
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )

    def claims(self, subject: str, **changes: object) -> dict[str, Any]:
        """Of a good token, good for five minutes; what is changed to None is left out."""
        claims = {"sub": subject, "iss": ISSUER, "aud": AUDIENCE, "exp": int(time()) + 300, **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, subject: str, *, headers: Mapping[str, Any] | None = None, **changes: Any) -> str:
        """A token for a user, whose id is its subject."""
        return self.signed({"kid": self.kid, **(headers or {})}, self.claims(subject, **changes))

    def signed(self, headers: Mapping[str, Any], claims: Mapping[str, Any]) -> str:
        """A token with just these headers and claims, which PyJWT might refuse to make."""
        parts = f"{part({'alg': self.alg, 'typ': 'JWT', **headers})}.{part(claims)}"
        algorithm = jwt.get_algorithm_by_name(self.alg)
        return f"{parts}.{encoded(algorithm.sign(parts.encode(), self._key))}"

    def public_pem(self) -> bytes:
        return self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def jwk(self) -> dict[str, Any]:
        """The public half, as a key set has it."""
        algorithm = jwt.get_algorithm_by_name(self.alg)
        return {**algorithm.to_jwk(self._key.public_key(), as_dict=True), "kid": self.kid, "use": "sig"}


@dataclass
class AuthenticatedService(Service):
    """`tokens` by name: of each service in SERVICES, and of each user in USERS."""

    tokens: Mapping[str, str]

    def stub_of(self, token: str) -> "rpc.OrchestratorServiceAsyncStub":
        """A stub that shows a token with each call; close to what a client does."""
        return stub_with(self.channel, (("authorization", f"Bearer {token}"),))


class _Showing:
    """A channel whose every call has the same metadata."""

    def __init__(self, channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...]) -> None:
        self._channel = channel
        self._metadata = metadata

    def __getattr__(self, kind: str) -> Any:
        make = getattr(self._channel, kind)

        def method(*arguments: Any, **named: Any) -> Any:
            call = make(*arguments, **named)
            return lambda *args, **kw: call(*args, **{"metadata": self._metadata, **kw})

        return method


def stub_with(
    channel: grpc.aio.Channel, metadata: tuple[tuple[str, str], ...]
) -> "rpc.OrchestratorServiceAsyncStub":
    """A stub whose every call has the same metadata."""
    stub: Any = rpc.OrchestratorServiceStub
    return cast("rpc.OrchestratorServiceAsyncStub", stub(_Showing(channel, metadata)))


def identities_file(folder: Path, more: str = "") -> tuple[Path, dict[str, str]]:
    """A file of identities with SERVICES and USERS, and their tokens by name."""
    tokens = {name: new_token() for name in (*SERVICES, *USERS)}
    lines = ["[tokens]"]
    lines += [token_line(name, tokens[name], users=users) for name, users in SERVICES.items()]
    lines += [token_line(name, tokens[name], user=name) for name in USERS]
    file = folder / "identities.toml"
    file.write_text("\n".join([*lines, more, ""]))
    return file, tokens


def security_with(
    folder: Path, issuer: Issuer, **changes: object
) -> tuple[dict[str, object], dict[str, str]]:
    """The settings `security` for JWTs of an issuer and for static tokens, and the latter by name."""
    file, tokens = identities_file(folder)
    key = folder / "jwt.pem"
    key.write_bytes(issuer.public_pem())
    settings: dict[str, object] = {
        "identities_file": file,
        "jwt_issuer": ISSUER,
        "jwt_audience": AUDIENCE,
        "jwt_algorithms": issuer.alg,
        "jwt_key_file": key,
        "reload_seconds": 0.05,
        **changes,
    }
    return {name: value for name, value in settings.items() if value is not None}, tokens


@asynccontextmanager
async def authenticated_service(
    dsn: str,
    provider: ScriptedProvider,
    folder: Path,
    issuer: Issuer,
    *,
    security: Mapping[str, object] | None = None,
    **more: Any,
) -> AsyncIterator[AuthenticatedService]:
    """As `running_service`, closed to whom it does not know. `security` changes these settings of it."""
    settings, tokens = security_with(folder, issuer, **(security or {}))
    async with running_service(dsn, provider, security=settings, **more) as service:
        yield AuthenticatedService(**vars(service), tokens=tokens)

"""A secret instead of a key, and what else is set of JWTs."""

from pathlib import Path
from time import time
from typing import Any

import jwt

from protos import orchestrator_pb2 as pb
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.identity import Issuer, authenticated_service
from tests.integration.identity.refusals import UNAUTHENTICATED, refused

SECRET = "s3cret-of-at-least-thirty-two-bytes"
LIST = pb.ListTasksRequest()


def token(issuer: Issuer, key: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = issuer.claims("ann", **{"iss": "https://other", "aud": "other", **changes})
    return jwt.encode(claims, key, algorithm=algorithm)


async def test_tokens_are_held_against_the_settings(
    dsn: str, provider: ScriptedProvider, tmp_path: Path, issuer: Issuer
) -> None:
    security = {
        "jwt_key_file": None,
        "jwt_algorithms": None,
        "jwt_key": SECRET,
        "jwt_issuer": "https://other",
        "jwt_audience": "other",
        "jwt_leeway_seconds": 0,
    }
    bad = {
        "another secret": token(issuer, "x" * 64),
        "another algorithm of the same secret": token(issuer, SECRET * 2, "HS512"),
        "the default issuer's": token(issuer, iss="https://issuer.test"),
        "the default audience's": token(issuer, aud="llm-orchestrator"),
        "expired for less than the default leeway": token(issuer, exp=int(time()) - 5),
        "signed by a key instead": issuer.token("ann", iss="https://other", aud="other"),
    }
    async with authenticated_service(dsn, provider, tmp_path, issuer, security=security) as service:
        await service.stub_of(token(issuer)).ListTasks(LIST)
        said = {name: await refused(service.stub_of(shown).ListTasks(LIST)) for name, shown in bad.items()}
    assert said == dict.fromkeys(bad, UNAUTHENTICATED)

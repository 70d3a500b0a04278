"""Whose a request is, for every RPC that has a user_id, as the descriptors say."""

from typing import Any

import grpc

from orchestrator.servicer import SERVICE
from protos import orchestrator_pb2 as pb
from tests.harness.identity import AuthenticatedService, Issuer
from tests.harness.service import Service
from tests.harness.statuses import violations
from tests.integration.identity.refusals import UNAUTHENTICATED, refused

OWNED = {m.name: m for m in SERVICE.methods if "user_id" in m.input_type.fields_by_name}
OTHERS = [m.name for m in SERVICE.methods if m.name not in OWNED]


def call(stub: Any, method: str, user_id: str) -> Any:
    """An RPC with nothing but a user, and what it asks when it is a chat."""
    kind = getattr(pb, SERVICE.methods_by_name[method].input_type.name)
    request = kind(user_id=user_id)
    if "query" in kind.DESCRIPTOR.fields_by_name:
        request.query = "hello"
    return getattr(stub, method)(request)


async def outcome(call: Any) -> str:
    """The code of a call, and whether it is the user_id that it complains of."""
    try:
        if hasattr(call, "__aiter__"):
            async for _ in call:
                return "OK"
        await call
    except grpc.aio.AioRpcError as error:
        return f"{error.code().name}{' user_id' if 'user_id' in violations(error) else ''}"
    return "OK"


def passes(outcome: str) -> bool:
    """Whether a call was let in: if it failed, then by something else than its user."""
    return (
        outcome.split(maxsplit=1)[0] not in ("UNAUTHENTICATED", "PERMISSION_DENIED")
        and "user_id" not in outcome
    )


ROWS: dict[str, tuple[str, str, str]] = {
    "a user's own id": ("ann", "ann", "in"),
    "a user and no id": ("ann", "", "in"),
    "a user and another's id": ("ann", "bob", "PERMISSION_DENIED"),
    "a user and an id of blanks": ("ann", " ", "PERMISSION_DENIED"),
    "a user's JWT and the own id": ("jwt", "ann", "in"),
    "a user's JWT and no id": ("jwt", "", "in"),
    "a user's JWT and another's id": ("jwt", "bob", "PERMISSION_DENIED"),
    "a service for all": ("backend", "carl", "in"),
    "a service for all that names nobody": ("backend", "", "INVALID_ARGUMENT user_id"),
    "a service for some, and one of them": ("batch", "bob", "in"),
    "a service for some, and another": ("batch", "carl", "PERMISSION_DENIED"),
    "a service for some that names nobody": ("batch", "", "INVALID_ARGUMENT user_id"),
    "nobody": ("", "ann", "UNAUTHENTICATED"),
    "nobody who names nobody": ("", "", "UNAUTHENTICATED"),
}
"""Whose token, the user_id of the request, and what comes of it."""


async def test_every_rpc_keeps_every_rule_of_user_ids(closed: AuthenticatedService, issuer: Issuer) -> None:
    tokens = {**closed.tokens, "jwt": issuer.token("ann")}
    said, expected = {}, {}
    for row, (who, user_id, wanted) in ROWS.items():
        stub = closed.stub_of(tokens[who]) if who else closed.stub
        for method in OWNED:
            found = await outcome(call(stub, method, user_id))
            said[method, row] = "in" if passes(found) else found
            expected[method, row] = wanted
    assert said == expected
    assert len(said) == len(OWNED) * len(ROWS) >= 13 * len(ROWS)


async def test_without_authentication_every_rpc_needs_a_user_id(service: Service) -> None:
    said = {method: await outcome(call(service.stub, method, "")) for method in OWNED}
    assert said == dict.fromkeys(OWNED, "INVALID_ARGUMENT user_id")


async def test_rpcs_of_nobodys_are_open_to_whoever_is_known(closed: AuthenticatedService) -> None:
    for method in OTHERS:
        request = getattr(pb, SERVICE.methods_by_name[method].input_type.name)()
        assert await refused(getattr(closed.stub, method)(request)) == UNAUTHENTICATED
        for token in closed.tokens.values():
            await getattr(closed.stub_of(token), method)(request)
    assert set(OTHERS) == {"HealthCheck", "GetServerInfo", "GetProviderStatus"}


async def test_what_a_user_begins_without_an_id_is_the_users(
    closed: AuthenticatedService, issuer: Issuer
) -> None:
    begun = await closed.stub_of(issuer.token("ann")).StartTask(pb.TaskRequest(query="hello"))
    for stub in (closed.stub_of(closed.tokens["ann"]), closed.stub_of(closed.tokens["batch"])):
        status = await stub.GetTaskStatus(pb.TaskStatusRequest(user_id="ann", task_id=begun.task_id))
        assert status.task_id == begun.task_id
    bob = closed.stub_of(closed.tokens["bob"])
    theirs = await refused(bob.GetTaskStatus(pb.TaskStatusRequest(task_id=begun.task_id)))
    assert theirs == ("NOT_FOUND", "NOT_FOUND")

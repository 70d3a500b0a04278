"""Making a case's call twice: with the ids that it must not find, and with others that never were."""

import base64
import json
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any
from uuid import UUID

import grpc
from google.protobuf.message import Message

from tests.isolation import requests
from tests.isolation.answers import Answer, answered, failed, stands_still
from tests.isolation.cases import Case, Whose
from tests.isolation.kinds import METHODS, Kind, ids_of
from tests.isolation.witness import Witness, witnessing
from tests.isolation.world import STRANGER, VICTIM, Ids, World, canary

Metadata = Sequence[tuple[str, str]]
Prove = Callable[[str], tuple[str, Metadata]]
"""The `user_id` in the requests of a user, and the metadata that prove it."""

_SECONDS = 10.0
_SHORTEST = 16
_BROKEN = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED}


class Asking:
    """Makes calls, and finds what is wrong with their answers.

    Whatever is called with an id that must not be found is called a second time with the id's shadow, always
    the same one. So both have the same history, and whatever differs tells of the other's thing.
    """

    def __init__(self, world: World, witness: Witness, stub: Any, prove: Prove) -> None:
        self.world = world
        self._stub = stub
        self._prove = prove
        self._witness = witness
        self._shadows: dict[str, str] = {}
        self._number = 0
        victim = world.belongings[VICTIM]
        self._runs = set(victim.has[Kind.RUN])
        shared = {*_values(world.belongings[STRANGER].has)}
        self._secrets = {canary(VICTIM), *_values(victim.has), *_values(victim.deleted)} - shared - {VICTIM}

    async def rows(self, user: str) -> object:
        """What stands for all that a user has."""
        return await self._witness.rows(user)

    async def wrong(self, case: Case) -> list[str]:
        """What the service does wrong in a case; nothing, if all is well."""
        self._number += 1
        before = await self._witness.rows(VICTIM)
        answer, echoed = await self.answer(case, shadowed=False)
        found = [f"{answer.code.name}: {answer.error}"] if answer.code in _BROKEN else []
        found += self._leaks(answer, echoed)
        if any(one.foreign for one in case.ids.values()) and not _is_nonsense(case, answer):
            twin, others = await self.answer(case, shadowed=True)
            ours, theirs = answer.as_told(echoed), twin.as_told(others)
            if ours != theirs:
                found.append(f"answered {ours}\nand what never was {theirs}")
        after = await self._witness.rows(VICTIM)
        if changed := [table for table in before if after[table] != before[table]]:
            found.append(f"the victim's rows have changed in {', '.join(changed)}")
        found += [f"woken: {payload}" for payload in self._witness.woken(self._runs)]
        return [f"{case}: {what}" for what in found]

    async def answer(self, case: Case, *, shadowed: bool) -> tuple[Answer, list[str]]:
        """The answer of one call, and all that the caller chose in it."""
        ids = {path: await self._value(case, path, shadowed=shadowed) for path in _filled(case)}
        user_id, metadata = self._prove(case.user)
        query = f"hello {self._number:08}"
        request = requests.request(case.method, user_id, ids, query=query, approval_decision=case.decision)
        answer = await self.call(case.method, request, metadata)
        if answer.ok:
            # What is named so is the caller's own from now on.
            self._secrets -= _named(self._secrets, ids.values())
        return answer, [*ids.values(), query]

    async def call(self, method: str, request: Message, metadata: Metadata = ()) -> Answer:
        """One call to its end."""
        call = getattr(self._stub, method)(request, timeout=_SECONDS, metadata=metadata)
        messages: list[Message] = []
        try:
            if METHODS[method].server_streaming:
                async for message in call:
                    messages.append(message)
                    if stands_still(messages):
                        call.cancel()
                        return answered(messages, await call.initial_metadata())
            else:
                messages.append(await call)
        except grpc.aio.AioRpcError as error:
            return failed(error, messages, await call.initial_metadata())
        return answered(messages, [*await call.initial_metadata(), *await call.trailing_metadata()])

    async def _value(self, case: Case, path: str, *, shadowed: bool) -> str:
        kind, one = ids_of(case.method)[path], case.ids.get(path)
        if one is None or one.whose is Whose.OWN:
            return await self.world.something(case.user, kind, case.method)
        if not (shadowed and one.foreign):
            return one.spelt(one.value)
        shadow = self.shadow(one.value)
        # What a spelling leaves as it is, another case may have used: then its shadow was used too.
        return shadow if one.spelt(one.value) == one.value else one.spelt(shadow)

    def shadow(self, value: str) -> str:
        """An id that never was, of the same form."""
        if value not in self._shadows:
            self._shadows[value] = _shadow(value)
        return self._shadows[value]

    def _leaks(self, answer: Answer, echoed: list[str]) -> list[str]:
        secrets = self._secrets - _named(self._secrets, echoed)
        found = [f"told {secret}" for secret in secrets if secret in answer.said]
        for body in self._witness.asked():
            found += [f"told the model {secret}" for secret in secrets if secret in body]
            if not answer.ok and echoed[-1] in body:
                found.append("a refused call has called the model")
        return found


def _named(secrets: set[str], names: Iterable[str]) -> set[str]:
    return {secret for secret in secrets for name in names if secret in name}


def _values(ids: Ids) -> list[str]:
    return [value for values in ids.values() for value in values]


def _filled(case: Case) -> list[str]:
    """The paths of the ids that the request has: the case's, and the one that it cannot do without."""
    needed, instead = requests.NEEDS.get(case.method, ("", frozenset()))
    if needed and needed not in case.ids and not instead & case.ids.keys():
        return [*case.ids, needed]
    return list(case.ids)


def _shadow(value: str) -> str:
    digest = sha256(value.encode()).hexdigest()
    for form in (_of_token, _of_uuid):
        try:
            return form(value, digest)
        except ValueError:
            continue
    return digest[: max(len(value), _SHORTEST)]


def _is_nonsense(case: Case, answer: Answer) -> bool:
    """It was refused for its form, and nothing was looked up."""
    malformed = any(one.whose is Whose.MALFORMED for one in case.ids.values())
    return malformed and answer.code is grpc.StatusCode.INVALID_ARGUMENT


def _of_token(value: str, digest: str) -> str:
    scope, position = json.loads(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)))
    token = json.dumps([digest[: len(scope)], position]).encode()
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def _of_uuid(value: str, digest: str) -> str:
    return str(UUID(digest[:32])) if value == str(UUID(value)) else digest[: len(UUID(value).hex)]


def says_so(user: str) -> tuple[str, Metadata]:
    """Who need not prove it: `user_id`, and nothing else."""
    return user, ()


@asynccontextmanager
async def open_asking(world: World) -> AsyncIterator[Asking]:
    """Of the world's own service, where who calls says who it is."""
    async with witnessing(world) as witness:
        yield Asking(world, witness, world.service.stub, says_so)

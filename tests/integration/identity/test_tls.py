"""TLS, whose certificates change under load, and certificates that callers show."""

import asyncio
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from llm_orchestrator_client import Options, OrchestratorClient
from llm_orchestrator_client.errors import UnavailableError
from protos import orchestrator_pb2 as pb
from protos import orchestrator_pb2_grpc as rpc
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.fakes.scripted_provider.script import Script
from tests.harness.certificates import Authority, Certificate, authority
from tests.harness.identity import Issuer, authenticated_service, identities_file, security_with
from tests.harness.service import chat_request, running_service, text_of
from tests.integration.identity.encrypted import TLSFiles, secure, serial, serial_of, shows
from tests.integration.identity.lines import problems_of
from tests.integration.identity.refusals import DENIED, UNAUTHENTICATED, refused

READERS = 4
LIST = pb.ListTasksRequest()


@pytest.fixture
def files(tmp_path: Path) -> TLSFiles:
    return TLSFiles(tmp_path)


def broken(files: TLSFiles, ca: Authority) -> dict[str, Certificate]:
    """Certificates that cannot be used, by what is wrong with them."""
    good, other = ca.issued(), ca.issued()
    return {
        "none in PEM": Certificate(b"nothing", good.key),
        "the key is none": Certificate(good.certificate, b"nothing"),
        "not that of the certificate": Certificate(good.certificate, other.key),
        "has expired": ca.issued(days=-0.5),
    }


async def answer(stub: "rpc.OrchestratorServiceAsyncStub") -> str:
    return text_of([chunk async for chunk in stub.StreamChat(chat_request())])


async def test_certificates_change_under_load_and_no_stream_is_dropped(
    dsn: str, provider: ScriptedProvider, issuer: Issuer, files: TLSFiles
) -> None:
    old, new = authority(), authority()
    first, second = old.issued(), new.issued()
    files.put(first)
    provider.enqueue(Script(tokens=("over", " all"), hold_after=1))
    closed = authenticated_service(dsn, provider, files.folder, issuer, security=files.settings())
    async with closed as service:
        async with secure(service, old, service.tokens["ann"]) as before:
            held = before.StreamChat(chat_request())
            await (await provider.call(1)).sent(1)
            provider.default = Script(tokens=("a",) * 10, token_interval=0.01)
            enough = asyncio.Event()

            async def read() -> list[str]:
                answers = []
                while not enough.is_set():
                    answers.append(await answer(before))
                return answers

            readers = [asyncio.create_task(read()) for _ in range(READERS)]
            with problems_of("orchestrator.identity.reloading") as problems:
                for problem, bad in broken(files, old).items():
                    files.put(bad)
                    await problems.heard(problem)
                    assert await serial(service.port) == serial_of(first)
            files.put(second)
            await shows(service.port, second)
            async with secure(service, new, service.tokens["ann"]) as after:
                assert await answer(after) == "a" * 10
            enough.set()
            answers = [answer for reader in readers for answer in await reader]
            provider.release()
            assert text_of([chunk async for chunk in held]) == "over all"
        async with secure(service, old, service.tokens["ann"]) as late:
            with pytest.raises(grpc.aio.AioRpcError) as raised:
                await late.ListTasks(LIST)
            assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    assert (len(answers) > READERS, set(answers)) == (True, {"a" * 10})


async def test_changed_files_are_in_force_as_soon_as_the_setting_says(
    dsn: str, provider: ScriptedProvider, issuer: Issuer, files: TLSFiles
) -> None:
    ca, other = authority(), Issuer(issuer.kid)
    first, second = ca.issued(), ca.issued()
    files.put(first)
    security, tokens = security_with(files.folder, issuer, **files.settings())
    later = {**security, "reload_seconds": 3600.0}
    async with (
        running_service(dsn, provider, security=later) as slow,
        running_service(dsn, provider, security=security) as quick,
    ):
        with problems_of("orchestrator.identity.reloading") as lines:
            (files.folder / "jwt.pem").write_bytes(other.public_pem())
            await lines.heard("in force")
            _, changed = identities_file(files.folder)
            await lines.heard("in force")
            files.put(second)
            await shows(quick.port, second)
        assert await serial(slow.port) == serial_of(first)
        old, new = (tokens["ann"], issuer.token("ann")), (changed["ann"], other.token("ann"))
        for service, good, bad in ((slow, old, new), (quick, new, old)):
            for token in good:
                async with secure(service, ca, token) as stub:
                    await stub.ListTasks(LIST)
            for token in bad:
                async with secure(service, ca, token) as stub:
                    assert await refused(stub.ListTasks(LIST)) == UNAUTHENTICATED


async def test_a_caller_without_a_certificate_of_the_right_ca_gets_no_connection(
    dsn: str, provider: ScriptedProvider, issuer: Issuer, files: TLSFiles
) -> None:
    ca, foreign = authority(), authority()
    files.put(ca.issued())
    security = files.settings(client_ca=ca.certificate)
    async with authenticated_service(dsn, provider, files.folder, issuer, security=security) as service:
        for shown in (None, foreign.issued("ann"), ca.issued("ann", days=-1)):
            async with secure(service, ca, service.tokens["ann"], shown) as stub:
                with pytest.raises(grpc.aio.AioRpcError) as raised:
                    await stub.ListTasks(LIST)
                assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        async with secure(service, ca, service.tokens["ann"], ca.issued("ann")) as stub:
            await stub.ListTasks(LIST)
    assert provider.ledger == []


async def test_the_client_shows_the_certificate_that_its_environment_names(
    dsn: str, provider: ScriptedProvider, issuer: Issuer, files: TLSFiles
) -> None:
    ca = authority()
    files.put(ca.issued())
    security = files.settings(client_ca=ca.certificate)  # which writes ca.crt
    own, folder = ca.issued("ann"), files.folder
    (folder / "own.crt").write_bytes(own.certificate)
    (folder / "own.key").write_bytes(own.key)
    async with authenticated_service(dsn, provider, folder, issuer, security=security) as service:
        environment = {
            "ORCHESTRATOR_TARGET": f"127.0.0.1:{service.port}",
            "ORCHESTRATOR_TOKEN": service.tokens["ann"],
            "ORCHESTRATOR_TLS_CA": str(folder / "ca.crt"),
        }
        pair = {
            "ORCHESTRATOR_TLS_CERTIFICATE": str(folder / "own.crt"),
            "ORCHESTRATOR_TLS_KEY": str(folder / "own.key"),
        }
        async with OrchestratorClient(Options.from_environment(environment | pair)) as client:
            assert [task async for task in client.tasks.list()] == []
        without = replace(Options.from_environment(environment), attempts=1)
        async with OrchestratorClient(without) as client:
            with pytest.raises(UnavailableError):
                assert [task async for task in client.tasks.list()]


CERTIFICATES = """
[certificates]
"spiffe://test/batch" = { service = "batch", users = ["ann"] }
"CN=bob" = { user = "bob" }
"""


async def test_a_certificate_stands_for_whom_the_file_says(
    dsn: str, provider: ScriptedProvider, issuer: Issuer, files: TLSFiles
) -> None:
    ca = authority()
    files.put(ca.issued())
    security = files.settings(client_ca=ca.certificate)
    async with authenticated_service(dsn, provider, files.folder, issuer, security=security) as service:
        file = files.folder / "identities.toml"
        with problems_of("orchestrator.identity.reloading") as lines:
            file.write_text(file.read_text() + CERTIFICATES)
            await lines.heard("in force")
        batch, bob = ca.issued("bob", uri="spiffe://test/batch"), ca.issued("bob")
        unknown = [ca.issued("spiffe://test/batch"), ca.issued("CN=bob"), ca.issued("Bob"), ca.issued()]
        unknown.append(ca.issued("eve", uri="CN=bob"))
        async with secure(service, ca, shown=batch) as stub:
            await stub.ListTasks(pb.ListTasksRequest(user_id="ann"))
            assert await refused(stub.ListTasks(pb.ListTasksRequest(user_id="bob"))) == DENIED
        async with secure(service, ca, shown=bob) as stub:
            await stub.ListTasks(LIST)
            assert await refused(stub.ListTasks(pb.ListTasksRequest(user_id="ann"))) == DENIED
        for shown in unknown:
            async with secure(service, ca, shown=shown) as stub:
                assert await refused(stub.ListTasks(LIST)) == UNAUTHENTICATED
        async with secure(service, ca, service.tokens["ann"], bob) as stub:  # the token decides
            await stub.ListTasks(pb.ListTasksRequest(user_id="ann"))
            assert await refused(stub.ListTasks(pb.ListTasksRequest(user_id="bob"))) == DENIED
        async with secure(service, ca, "wrong", bob) as stub:  # a bad one is not made up for
            assert await refused(stub.ListTasks(LIST)) == UNAUTHENTICATED

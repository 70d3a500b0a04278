"""Who may call, and for whom."""

import hashlib
from pathlib import Path

import grpc
import pytest

from llm_orchestrator_client.tool_service import (
    BearerTokens,
    Credentials,
    ServerOptions,
    TLSFileError,
    TLSFiles,
    ToolServiceServer,
    UnauthenticatedError,
    UnsafeAddressError,
)
from state.models import Owner
from tests.harness.certificates import Certificate, self_signed
from tests.harness.tools import call, options
from tests.toolserver.backend import ANYWHERE, SERVICE, TOKEN, Recording, request_of
from tests.toolserver.calling import AUTHORIZED, ask, invocation, refused
from tools.gateway.gateway import ToolGateway

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("rpc", SERVICE.methods_by_name)
@pytest.mark.parametrize(
    "metadata",
    [
        (),
        (("authorization", "Bearer wrong"),),
        (("authorization", "Bearer "),),
        (("authorization", TOKEN),),
        (("authorization", f"Basic {TOKEN}"),),
        (("authorization", "Bearer wrong"), AUTHORIZED),
        (("authorization", f"Bearer {TOKEN}x"),),
    ],
)
async def test_without_the_token_nothing_is_answered(
    channel: grpc.aio.Channel, backend: Recording, rpc: str, metadata: tuple[tuple[str, str], ...]
) -> None:
    ended = await refused(channel, rpc, None, *metadata, authorized=False)
    assert (ended.code, ended.reason) == (UNAUTHENTICATED, "UNAUTHENTICATED")
    assert TOKEN not in ended.everything
    assert backend.seen == []


async def test_the_scheme_is_written_as_one_likes(channel: grpc.aio.Channel) -> None:
    await ask(channel, "SearchWeb", None, ("authorization", f"bEARER {TOKEN}"), authorized=False)


async def test_one_token_may_follow_another_and_only_digests_are_kept(backend: Recording) -> None:
    digests = {name: hashlib.sha256(name.encode() * 4).hexdigest() for name in ("older", "newer")}
    tokens = BearerTokens(digests)
    assert "oldest" not in str(vars(BearerTokens.of("oldest" * 4)))
    async with (
        ToolServiceServer(backend, ANYWHERE, authenticator=tokens) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        for name in digests:
            shown = ("authorization", f"Bearer {name * 4}")
            await ask(channel, "SearchWeb", None, shown, authorized=False)
            assert backend.seen[-1].call.caller == name


@pytest.mark.parametrize("tokens", [(), ("short",), (TOKEN, "")])
def test_tokens_that_are_no_secret_are_refused(tokens: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="token"):
        BearerTokens.of(*tokens)


def test_a_digest_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        BearerTokens({"orchestrator": TOKEN})


@pytest.mark.parametrize("rpc", [rpc for rpc in SERVICE.methods_by_name if rpc != "InvokeTool"])
async def test_a_user_in_the_metadata_who_is_not_the_requests_is_refused(
    channel: grpc.aio.Channel, backend: Recording, rpc: str
) -> None:
    ended = await refused(channel, rpc, request_of(rpc), ("x-user-id", "bob"))
    assert (ended.code, ended.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "USER_MISMATCH")
    assert "bob" not in ended.everything
    assert backend.seen == []


@pytest.mark.parametrize(
    "name", [" ann ", "ann,bob", "j\u00fcrgen\n", "%61nn", "a" * 300, "\u20ac" * 800, '"ann"']
)
async def test_any_user_whom_the_gateway_names_is_that_user(
    gateway: ToolGateway, backend: Recording, name: str
) -> None:
    backend.owner = name
    assert (await call(gateway, "get_document", {"document_id": "it"}, owner=Owner(name))).ok
    assert backend.seen[0].call.user == name


async def test_two_users_in_the_metadata_are_refused_even_if_one_is_right(channel: grpc.aio.Channel) -> None:
    ended = await refused(channel, "SearchWeb", None, ("x-user-id", "ann"), ("x-user-id", "bob"))
    assert ended.code is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_percent_sign_in_a_user_id_is_no_way_to_be_somebody_else(channel: grpc.aio.Channel) -> None:
    ended = await refused(channel, "SearchWeb", request_of("SearchWeb", user="%61nn"), ("x-user-id", "%61nn"))
    assert ended.reason == "USER_MISMATCH"


@pytest.mark.parametrize(("key", "field"), [("x-tool-call-id", "tool_call_id"), ("x-run-id", "run_id")])
async def test_what_an_invocation_says_twice_must_be_the_same(
    channel: grpc.aio.Channel, key: str, field: str
) -> None:
    request = invocation("count")
    setattr(request, field, "one")
    ended = await refused(channel, "InvokeTool", request, (key, "two"))
    assert (ended.code, ended.field) == (grpc.StatusCode.INVALID_ARGUMENT, field)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Certificate, TLSFiles]:
    certificate = self_signed()
    found = TLSFiles(tmp_path / "certificate.pem", tmp_path / "key.pem")
    found.certificate.write_bytes(certificate.certificate)
    found.key.write_bytes(certificate.key)
    return certificate, found


async def test_the_gateway_reaches_it_through_tls(
    backend: Recording, files: tuple[Certificate, TLSFiles]
) -> None:
    secure = ServerOptions(address="127.0.0.1:0", tls=files[1])
    tokens = BearerTokens.of(TOKEN)
    async with ToolServiceServer(backend, secure, authenticator=tokens) as server:
        known = options(server.address, tls=True, ca_file=files[1].certificate, token=TOKEN)
        async with ToolGateway(known) as gateway:
            assert (await call(gateway, "search_web")).ok
        async with ToolGateway(options(server.address, token=TOKEN, max_retries=0)) as gateway:
            assert (await call(gateway, "search_web")).reason == "TOOL_UNAVAILABLE"


async def test_with_a_client_ca_only_who_has_a_certificate_gets_through(
    backend: Recording, files: tuple[Certificate, TLSFiles]
) -> None:
    own, tls = files
    mutual = ServerOptions(address="127.0.0.1:0", tls=TLSFiles(tls.certificate, tls.key, tls.certificate))
    async with ToolServiceServer(backend, mutual) as server:
        shown = grpc.ssl_channel_credentials(own.certificate, own.key, own.certificate)
        async with grpc.aio.secure_channel(server.address, shown) as channel:
            await ask(channel, "SearchWeb", authorized=False)
        hidden = grpc.ssl_channel_credentials(own.certificate)
        async with grpc.aio.secure_channel(server.address, hidden) as channel:
            ended = await refused(channel, "SearchWeb", authorized=False, seconds=2.0)
        assert ended.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
    assert len(backend.seen) == 1


class ByCommonName:
    """Who has a certificate of this name, and a token that is kept elsewhere."""

    async def authenticate(self, credentials: Credentials) -> str:
        if credentials.certificate.get("x509_common_name") != (b"test",):
            raise UnauthenticatedError("nobody knows this certificate")
        if credentials.token != "from elsewhere":
            raise RuntimeError("postgres://app:hunter2@db/prod")
        return "the orchestrator"


async def test_a_backend_may_decide_itself_who_calls(
    backend: Recording, files: tuple[Certificate, TLSFiles]
) -> None:
    own, tls = files
    mutual = ServerOptions("127.0.0.1:0", tls=TLSFiles(tls.certificate, tls.key, tls.certificate))
    shown = grpc.ssl_channel_credentials(own.certificate, own.key, own.certificate)
    async with (
        ToolServiceServer(backend, mutual, authenticator=ByCommonName()) as server,
        grpc.aio.secure_channel(server.address, shown) as channel,
    ):
        token = ("authorization", "Bearer from elsewhere")
        await ask(channel, "SearchWeb", None, token, authorized=False)
        assert backend.seen[0].call.caller == "the orchestrator"
        ended = await refused(channel, "SearchWeb", authorized=False)
        assert ended.code is grpc.StatusCode.INTERNAL
        assert "hunter2" not in ended.everything
    async with (
        ToolServiceServer(backend, ANYWHERE, authenticator=ByCommonName()) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        assert (await refused(channel, "SearchWeb", None, token, authorized=False)).code is UNAUTHENTICATED
    assert len(backend.seen) == 1


async def test_a_missing_certificate_is_named(backend: Recording, tmp_path: Path) -> None:
    tls = TLSFiles(tmp_path / "none.pem", tmp_path / "none.key")
    with pytest.raises(TLSFileError, match=r"none\.key"):
        await ToolServiceServer(backend, ServerOptions("127.0.0.1:0", tls=tls)).__aenter__()


@pytest.mark.parametrize("address", ["0.0.0.0:50052", "[::]:50052", "tools.example.org:50052", "10.0.0.7:1"])
def test_beyond_this_machine_it_serves_nobody_in_plain_text_and_no_stranger(
    backend: Recording, address: str
) -> None:
    tls = TLSFiles(Path("certificate.pem"), Path("key.pem"))
    for unsafe in (
        ServerOptions(address),
        ServerOptions(address, tls=tls),
        ServerOptions(address, allow_plaintext=True),
        ServerOptions(address, allow_anyone=True),
    ):
        with pytest.raises(UnsafeAddressError):
            ToolServiceServer(backend, unsafe)
    tokens = BearerTokens.of(TOKEN)
    ToolServiceServer(backend, ServerOptions(address, tls=tls), authenticator=tokens)
    ToolServiceServer(backend, ServerOptions(address, allow_plaintext=True), authenticator=tokens)


@pytest.mark.parametrize("address", ["127.0.0.1:50052", "localhost:50052", "[::1]:50052", "unix:/tmp/x"])
def test_on_this_machine_neither_is_needed(backend: Recording, address: str) -> None:
    ToolServiceServer(backend, ServerOptions(address))

"""The programs that call the service, against one that is closed; and what the process itself says."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc

from orchestrator.identity.making import token_line
from state.embedded.launch import free_port
from tests.fakes.scripted_provider.provider import ScriptedProvider
from tests.harness.certificates import Authority, authority
from tests.harness.identity import AUDIENCE, ISSUER, Issuer, identities_file, stub_with
from tests.harness.process import ROOT, OrchestratorProcess, orchestrator_process, run_main
from tests.harness.service import chat_request, text_of
from tests.integration.identity.encrypted import TLSFiles

SUBJECT = "canary-subject"


@dataclass
class Closed:
    """A process with TLS and authentication, and its logs at their most talkative."""

    process: OrchestratorProcess
    ca: Authority
    ca_file: Path
    tokens: dict[str, str]
    issuer: Issuer
    key: bytes
    metrics: str


@asynccontextmanager
async def closed_process(folder: Path, dsn: str, provider: ScriptedProvider) -> AsyncIterator[Closed]:
    ca, files, issuer = authority(), TLSFiles(folder), Issuer()
    shown = ca.issued()
    files.put(shown)
    (folder / "ca.crt").write_bytes(ca.certificate)
    (folder / "jwt.pem").write_bytes(issuer.public_pem())
    identities, tokens = identities_file(folder)
    environment = {
        "DATABASE_URL": dsn,
        "OPENAI_BASE_URL": provider.base_url,
        "ORCHESTRATOR_LOG_LEVEL": "debug",
        "ORCHESTRATOR_SERVER__ADDRESS": "0.0.0.0:0",  # which needs no override: it is closed
        "ORCHESTRATOR_SECURITY__CERTIFICATE_FILE": "tls.crt",
        "ORCHESTRATOR_SECURITY__KEY_FILE": "tls.key",
        "ORCHESTRATOR_SECURITY__IDENTITIES_FILE": str(identities),
        "ORCHESTRATOR_SECURITY__JWT_ISSUER": ISSUER,
        "ORCHESTRATOR_SECURITY__JWT_AUDIENCE": AUDIENCE,
        "ORCHESTRATOR_SECURITY__JWT_KEY_FILE": "jwt.pem",
    }
    metrics = f"127.0.0.1:{free_port()}"
    async with orchestrator_process(folder, ORCHESTRATOR_METRICS__ADDRESS=metrics, **environment) as process:
        yield Closed(process, ca, folder / "ca.crt", tokens, issuer, shown.key, metrics)


async def run(folder: Path, closed: Closed, *command: str, token: str = "", **more: str) -> tuple[int, str]:
    """A program's exit code and output."""
    own = {"ORCHESTRATOR_TOKEN": token} if token else {}
    address = closed.process.address.replace("0.0.0.0", "127.0.0.1")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}:{ROOT / 'client'}",
            "ORCHESTRATOR_SERVER__ADDRESS": address,
            "ORCHESTRATOR_TARGET": address,
            "ORCHESTRATOR_METRICS__ADDRESS": closed.metrics,
            **own,
            **more,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_the_programs_show_tokens_and_trust_certificates(
    tmp_path: Path, dsn: str, provider: ScriptedProvider
) -> None:
    health, chat = ("-m", "deploy.healthcheck"), ("-m", "deploy.chat", "Say hello.")
    cli = ("-m", "llm_orchestrator_client", "chat", "Say hello.")
    async with closed_process(tmp_path, dsn, provider) as closed:
        ca = {"ORCHESTRATOR_TLS_CA": str(closed.ca_file)}
        own = {"ORCHESTRATOR_SECURITY__CERTIFICATE_FILE": "tls.crt"}
        ann, backend = closed.tokens["ann"], closed.tokens["backend"]
        # The image's health check knows the service's own settings only.
        assert await run(tmp_path, closed, *health, **own) == (0, "ready\n")
        assert (await run(tmp_path, closed, *health))[0] == 1
        for program in (cli, (str(ROOT / "deploy/test_grpc.py"),)):
            code, output = await run(tmp_path, closed, *program, token=ann, **ca)
            assert code == 0, output
        code, output = await run(tmp_path, closed, *chat, token=backend, ORCHESTRATOR_USER="ann", **ca)
        assert code == 0, output
        assert (await run(tmp_path, closed, *cli, token="wrong" * 8, **ca))[0] == 1


async def test_no_token_key_or_claim_is_in_what_the_process_prints(
    tmp_path: Path, dsn: str, provider: ScriptedProvider
) -> None:
    async with closed_process(tmp_path, dsn, provider) as closed:
        good, bad = closed.issuer.token(SUBJECT), Issuer().token(SUBJECT)
        expired = closed.issuer.token(SUBJECT, exp=1_700_000_001)
        credentials = grpc.ssl_channel_credentials(closed.ca.certificate)
        address = closed.process.address.replace("0.0.0.0", "127.0.0.1")
        told = []
        async with grpc.aio.secure_channel(address, credentials) as channel:
            for token in (
                good,
                closed.tokens["backend"],
                bad,
                expired,
                f"{good}x",
                closed.tokens["ann"] + "x",
            ):
                stub = stub_with(channel, (("authorization", f"Bearer {token}"),))
                for user in (SUBJECT, "somebody"):
                    try:
                        answer = [c async for c in stub.StreamChat(chat_request(user_id=user))]
                        assert text_of(answer)
                    except grpc.aio.AioRpcError as error:
                        told.append(f"{error.details()} {error.trailing_metadata()}")
        (tmp_path / "identities.toml").write_text(f'[tokens]\na = "{closed.tokens["ann"]}"\n')
        await closed.process.complains("changed files are refused")
        lines = [*closed.process.output, *closed.process.errors, *told]
        assert len(told) == 9
        secrets = [*closed.tokens.values(), *good.split("."), *bad.split(".")[1:], *expired.split(".")[1:]]
        secrets += [SUBJECT, ISSUER, AUDIENCE + '"', "1700000001", *closed.key.decode().splitlines()[1:-1]]
    assert [secret for secret in secrets if any(secret in line for line in lines)] == []
    assert "NO TLS" not in str(lines)


async def test_the_override_is_logged_loudly_at_every_start(
    tmp_path: Path, dsn: str, provider: ScriptedProvider
) -> None:
    environment = {
        "DATABASE_URL": dsn,
        "OPENAI_BASE_URL": provider.base_url,
        "ORCHESTRATOR_SERVER__ADDRESS": "0.0.0.0:0",
    }
    code, _, errors = await run_main(tmp_path, **environment)
    assert (code, errors.count("\n")) == (2, 1)
    assert "is not loopback" in errors
    async with orchestrator_process(
        tmp_path, **environment, ORCHESTRATOR_SERVER__ALLOW_PLAINTEXT="true"
    ) as process:
        for words in ("NO TLS", "NO AUTHENTICATION"):
            assert '"level": "warning"' in await process.complains(words)


async def test_a_certificate_that_cannot_be_used_is_one_line_at_the_start(tmp_path: Path, dsn: str) -> None:
    files = TLSFiles(tmp_path)
    files.put(authority().issued())
    (tmp_path / "tls.key").write_bytes(b"nothing")
    code, _, errors = await run_main(
        tmp_path,
        DATABASE_URL=dsn,
        ORCHESTRATOR_SECURITY__CERTIFICATE_FILE="tls.crt",
        ORCHESTRATOR_SECURITY__KEY_FILE="tls.key",
    )
    assert code == 1
    assert errors.splitlines()[-1] == (
        "llm-orchestrator: tls.crt, tls.key: the key is none in PEM, or has a password"
    )


async def test_the_command_prints_a_token_and_its_line(tmp_path: Path) -> None:
    code, output, errors = await run_main(
        tmp_path, "token", "mine", "--for", "*", ORCHESTRATOR_SERVER__ADDRESS="0.0.0.0:50051"
    )
    assert (code, errors) == (0, "")
    _, token, _, _, line = output.strip().splitlines()
    assert line == token_line("mine", token, users=["*"])
    assert token not in line

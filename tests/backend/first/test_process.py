"""`python -m backend` as a person starts it."""

import asyncio
import os
import re
import sys

import pytest

from backend.passwords import PasswordCheck
from backend.settings import UnusableSettingsError, load
from tests.backend.first.running import ROOT


async def run(*arguments: str, stdin: str = "", **environment: str) -> tuple[int, str, str]:
    """Exit code, output and errors."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "backend",
        *arguments,
        cwd=ROOT,
        env={**kept, "PYTHONPATH": "client", **environment},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


REFUSED = {
    "a misspelt name": ({"BACKEND_SERVER__ADRESS": "x"}, "did you mean BACKEND_SERVER__ADDRESS?"),
    "an open address": ({"BACKEND_SERVER__ADDRESS": "0.0.0.0:0"}, "is not loopback"),
    "an open address without users": (
        {"BACKEND_SERVER__ADDRESS": "0.0.0.0:0", "BACKEND_SERVER__ALLOW_PLAINTEXT": "true"},
        "BACKEND_USERS is needed",
    ),
    "a short key": ({"BACKEND_SESSION__KEY": "short"}, "at least 32 characters"),
    "no JSON": ({"BACKEND_USERS": "ann"}, "users"),
    "a table that is none": ({"BACKEND_USERS": '{"ann": {"pasword": "x"}}'}, "pasword"),
}


@pytest.mark.parametrize(("environment", "line"), REFUSED.values(), ids=REFUSED)
def test_a_setting_that_cannot_be_is_refused(
    environment: dict[str, str], line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UnusableSettingsError, match=re.escape(line)):
        load(environment)


async def test_what_cannot_be_used_is_one_line_and_no_start() -> None:
    code, output, errors = await run(BACKEND_SERVER__ADRESS="x")
    assert (code, output, errors.count("\n")) == (2, "", 1)
    code, _, errors = await run(
        BACKEND_ORCHESTRATOR__TARGET="orchestrator.example:1", BACKEND_ORCHESTRATOR__TOKEN="t" * 20
    )
    assert (code, errors.count("\n")) == (1, 1)
    assert "plain text" in errors
    assert "t" * 20 not in errors


async def test_a_password_is_hashed_and_only_it_matches() -> None:
    code, output, _ = await run("hash-password", stdin="secret\n")
    check = PasswordCheck()
    assert code == 0
    assert await check.matches("secret", output.strip())
    assert not await check.matches("Secret", output.strip())
    assert not await check.matches("secret", "")
    assert not await check.matches("secret", "no hash")

"""The README's commands, as a reader would type them."""

import asyncio
import json
import re
import sys
from pathlib import Path
from typing import Any

from tests.harness.process import ROOT

README = (ROOT / "README.md").read_text()
GRPCURL = Path(sys.executable).with_name("grpcurl")
_SECONDS = 90


def section(title: str) -> str:
    """The text under a heading."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def grpcurl_commands(title: str) -> list[str]:
    """Every grpcurl call in a section's code blocks, joined over its line ends."""
    blocks = re.findall(r"```(?:sh|bash)\n(.*?)```", section(title), re.DOTALL)
    joined = "\n".join(blocks).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.startswith("grpcurl ")]


def shown_messages(title: str) -> list[dict[str, Any]]:
    """What a section shows of the answers."""
    blocks = re.findall(r"```json\n(.*?)```", section(title), re.DOTALL)
    return [message for block in blocks for message in messages(block)]


async def run(program: str, *arguments: str, cwd: Path = ROOT) -> tuple[int, str]:
    """A program's exit code and output."""
    started = await asyncio.create_subprocess_exec(
        program, *arguments, cwd=cwd, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(_SECONDS):
        output, _ = await started.communicate()
    return started.returncode or 0, output.decode()


async def readme_command(address: str, command: str) -> str:
    """What a README command prints, asked of the service at this address."""
    port = address.rpartition(":")[2]
    here = command.replace("localhost:50051", f"127.0.0.1:{port}").replace("grpcurl", str(GRPCURL), 1)
    code, output = await run("bash", "-c", here)
    assert code == 0, output
    return output


def messages(output: str) -> list[dict[str, Any]]:
    """The JSON objects that grpcurl prints one after another."""
    decoder, found, position = json.JSONDecoder(), [], 0
    while position < len(output.rstrip()):
        value, position = decoder.raw_decode(output, position)
        found.append(value)
        position += len(output[position:]) - len(output[position:].lstrip())
    return found

"""The process never lets LangGraph run what stored bytes say, in whatever environment it is started."""

import asyncio
import os
import sys
from pathlib import Path

import ormsgpack
import pytest

from tests.harness.process import ROOT

VARIABLE = "LANGGRAPH_STRICT_MSGPACK"
START = """
import runpy, sys
sys.argv = ["main.py", "--version"]
try:
    runpy.run_path("main.py", run_name="__main__")
except SystemExit as ended:
    if ended.code:
        raise
"""
LOAD = """
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
print("loaded", JsonPlusSerializer().loads_typed(("msgpack", bytes.fromhex("%s"))))
"""


async def python(program: str, *, value: str | None = None) -> tuple[int, str, str]:
    """Exit code and both outputs of a process with the variable as given."""
    environment = {name: text for name, text in os.environ.items() if name != VARIABLE}
    if value is not None:
        environment[VARIABLE] = value
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program),
        cwd=ROOT,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@pytest.mark.parametrize("value", ["false", "0", "no", "off", " "])
async def test_a_process_told_to_be_lenient_does_not_start(value: str) -> None:
    code, _, errors = await python(START, value=value)
    assert code == 2
    assert errors.count("\n") == 1
    assert errors.startswith(f"llm-orchestrator: {VARIABLE}={value} ")


@pytest.mark.parametrize("value", [None, ""])
async def test_a_process_that_imported_langgraph_before_does_not_start(value: str | None) -> None:
    code, _, errors = await python("import langgraph.graph" + START, value=value)
    assert code == 2
    assert errors.count("\n") == 1
    assert errors.startswith(f"llm-orchestrator: langgraph was imported before {VARIABLE} was set")


@pytest.mark.parametrize("value", ["true", "1", "YES"])
async def test_a_process_that_imported_a_strict_langgraph_before_starts(value: str) -> None:
    code, _, errors = await python("import langgraph.graph" + START, value=value)
    assert (code, errors) == (0, "")


@pytest.mark.parametrize("value", [None, "", "true"])
async def test_the_started_process_runs_nothing_that_stored_bytes_name(
    tmp_path: Path, value: str | None
) -> None:
    marker = tmp_path / "owned"
    call = ormsgpack.packb(("os", "system", (f"touch {marker}",)))
    crafted = ormsgpack.packb(ormsgpack.Ext(1, call)).hex()
    load = LOAD % crafted
    code, output, _ = await python(START + load, value=value)
    assert code == 0
    assert "loaded" in output
    assert not marker.exists()
    await python(load)
    assert marker.exists(), "the bytes do nothing in a lenient process either: the test shows nothing"

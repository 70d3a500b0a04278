"""The generated stubs load where callers are, are up to date, and cannot drift from a released contract."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.old_caller import ROOT, golden_bytes

OLD_PYTHON = ROOT / ".venv-protos" / "bin" / "python"
STUBS = ("protos", "client/llm_orchestrator_client/protos")
BUF = Path(sys.executable).with_name("buf")

# Warnings are errors there too. The last lines read and write what an old caller does.
LOADS = """
from pathlib import Path
import grpc
import protos.orchestrator_pb2 as chat, protos.orchestrator_pb2_grpc as chat_grpc
import protos.tool_service_pb2 as tools, protos.tool_service_pb2_grpc as tools_grpc

with grpc.insecure_channel("localhost:1") as channel:
    assert callable(chat_grpc.OrchestratorServiceStub(channel).StreamChat)
    assert callable(tools_grpc.ToolServiceStub(channel).InvokeTool)
request = chat.ChatRequest(user_id="u", request_id="r", metadata={"a": "1"})
request.limits.max_duration.seconds = 5
assert chat.ChatRequest.FromString(request.SerializeToString()) == request

for module in (chat, tools):
    name = module.DESCRIPTOR.package
    text = Path(f"tests/contract/golden/{name}.hex").read_text().replace("\\n ", " ")
    for message, *digits in map(str.split, text.splitlines()):
        golden = bytes.fromhex("".join(digits))
        read = getattr(module, message).FromString(golden)
        assert read.SerializeToString(deterministic=True) == golden, message
        print(message)
"""


@pytest.fixture
def old_python() -> Path:
    if not OLD_PYTHON.exists():
        pytest.fail(
            "There is no .venv-protos, the environment that old callers have: `make test` creates it from "
            "requirements-protos.txt."
        )
    return OLD_PYTHON


# Whichever copy is imported first, the other one is the same classes under another name.
LOADS_BOTH = """
import sys, types
package = sys.modules["llm_orchestrator_client"] = types.ModuleType("llm_orchestrator_client")
package.__path__ = ["client/llm_orchestrator_client"]  # the stubs alone: the rest needs more than gRPC
for first in sys.argv[1:]:
    __import__(first + ".orchestrator_pb2_grpc")
    __import__(first + ".tool_service_pb2_grpc")
import grpc
from protos import orchestrator_pb2 as ours, tool_service_pb2 as tools
from llm_orchestrator_client.protos import orchestrator_pb2 as copy, tool_service_pb2 as copied_tools
from llm_orchestrator_client.protos import orchestrator_pb2_grpc as copy_grpc

for one, other in ((ours, copy), (tools, copied_tools)):
    assert one is not other
    assert one.DESCRIPTOR is other.DESCRIPTOR
    for message in one.DESCRIPTOR.message_types_by_name:
        assert getattr(one, message) is getattr(other, message), message
with grpc.insecure_channel("localhost:1") as channel:
    assert callable(copy_grpc.OrchestratorServiceStub(channel).StreamChat)
"""


def run_in(python: Path, script: str = LOADS, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-W", "error", "-c", script, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_stubs_load_and_keep_the_golden_bytes_in_the_oldest_environment(old_python: Path) -> None:
    result = run_in(old_python)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == [name.partition(".")[2] for name in golden_bytes()]


def test_the_stubs_load_and_keep_the_golden_bytes_in_this_environment() -> None:
    result = run_in(Path(sys.executable))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.split() == [name.partition(".")[2] for name in golden_bytes()]


COPIES = ["protos", "llm_orchestrator_client.protos"]


@pytest.mark.parametrize("order", [COPIES, COPIES[::-1]], ids=["ours first", "the client's first"])
def test_one_process_takes_our_stubs_and_the_client_packages(old_python: Path, order: list[str]) -> None:
    for python in (old_python, Path(sys.executable)):
        result = run_in(python, LOADS_BOTH, *order)
        assert (result.returncode, result.stderr) == (0, "")


def generated(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*_pb2*.py*")}


def test_the_committed_stubs_are_what_the_protos_generate(old_python: Path, tmp_path: Path) -> None:
    subprocess.run(
        [ROOT / "protos" / "generate.sh", tmp_path], env=tools(old_python), check=True, capture_output=True
    )
    for folder in STUBS:
        assert generated(ROOT / folder)
        assert generated(ROOT / folder) == generated(tmp_path / folder)


def tools(old_python: Path) -> dict[str, str]:
    return {**os.environ, "BUF": str(BUF), "PROTOS_PYTHON": str(old_python)}


class Copy:
    """A copy of the contract that a test may spoil."""

    def __init__(self, folder: Path, old_python: Path) -> None:
        self.protos = folder / "protos"
        self._tools = tools(old_python)
        for stubs in STUBS:
            shutil.copytree(ROOT / stubs, folder / stubs, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "buf.yaml", folder)

    def edit(self, file: str, before: str, after: str) -> None:
        path = self.protos / file
        text = path.read_text(encoding="utf-8")
        assert text.count(before) == 1
        path.write_text(text.replace(before, after), encoding="utf-8")

    def keep_only_image(self, image: str) -> None:
        for path in (self.protos / "released").iterdir():
            if path.name != image:
                path.unlink()

    def check(self) -> tuple[int, list[str]]:
        """The exit code of check.sh, and the lines it printed."""
        result = subprocess.run(
            [self.protos / "check.sh"], env=self._tools, capture_output=True, text=True, check=False
        )
        return result.returncode, result.stdout.splitlines()


@pytest.fixture
def copy(tmp_path: Path, old_python: Path) -> Copy:
    return Copy(tmp_path, old_python)


def test_the_check_passes_on_the_contract_as_it_is(copy: Copy) -> None:
    code, lines = copy.check()
    assert code == 0
    assert [line.split()[0] for line in lines] == ["ok"] * len(lines)
    assert len(lines) == 2 + len(list((copy.protos / "released").iterdir()))


BREAKS = {
    "a renamed core field": (
        "orchestrator.proto",
        "string base_checkpoint_id = 15;",
        "string base_checkpoint = 15;",
    ),
    "a core field of another type": (
        "orchestrator.proto",
        "string priority = 4;",
        "TaskPriority priority = 4;",
    ),
    "a deleted core RPC": (
        "orchestrator.proto",
        "  rpc GetTaskStatus(TaskStatusRequest) returns (TaskStatusResponse);\n",
        "",
    ),
    "a core tool field with another label": (
        "tool_service.proto",
        "repeated string expanded_queries = 2;",
        "string expanded_queries = 2;",
    ),
}


@pytest.mark.parametrize("change", BREAKS)
def test_the_check_refuses_a_break_of_the_original_contract(copy: Copy, change: str) -> None:
    copy.keep_only_image("core.binpb")
    copy.edit(*BREAKS[change])
    code, lines = copy.check()
    assert code == 1
    assert lines[-1].startswith("FAILED  nothing that core.binpb promised is broken: callers")


def test_the_check_refuses_a_break_of_a_later_release(copy: Copy) -> None:
    copy.edit("orchestrator.proto", "string request_id = 100;", "string request_id = 107;")
    code, lines = copy.check()
    assert code == 1
    assert lines[-1].startswith("FAILED  nothing that 0.1.0.binpb promised is broken")


def test_the_check_refuses_bad_style(copy: Copy) -> None:
    copy.edit("orchestrator.proto", "message Heartbeat {}", "message Heartbeat { bool isLast = 1; }")
    code, lines = copy.check()
    assert code == 1
    assert lines == ["FAILED  lint: change the .proto as buf says"]


def test_the_check_refuses_stubs_that_are_behind_their_proto(copy: Copy) -> None:
    copy.edit("orchestrator.proto", "message Heartbeat {}", "message Heartbeat { bool last = 1; }")
    code, lines = copy.check()
    assert code == 1
    assert lines[-1] == "FAILED  stubs are up to date: run make protos and commit the result"

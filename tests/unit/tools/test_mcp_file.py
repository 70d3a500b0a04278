"""The file of MCP servers."""

from pathlib import Path

import pytest

from tools.mcp.file import McpFileError, read_servers

GOOD = """
[servers.files]
command = ["npx", "-y", "server-files", "/data"]
env = ["FILES_KEY"]
tools = ["read_*", "list"]
operation_type = "file_read"
[servers.files.tool.read_file]
read_only = true
[servers.issues]
url = "https://mcp.example.org/mcp"
token_env = "ISSUES_TOKEN"
tools = ["*"]
"""


def read(tmp_path: Path, text: str, **environment: str) -> object:
    file = tmp_path / "mcp.toml"
    file.write_text(text)
    return read_servers(file, environment)


def test_a_file_names_servers_and_never_a_secret(tmp_path: Path) -> None:
    file = tmp_path / "mcp.toml"
    file.write_text(GOOD)
    servers = read_servers(file, {"FILES_KEY": "canary-1", "ISSUES_TOKEN": "canary-2"})
    assert list(servers) == ["files", "issues"]
    assert servers["files"].tool["read_file"].read_only
    assert "canary" not in repr(servers)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[servers", "cannot be read as TOML"),
        ("[servers.a]\ntools = ['*']", "needs either a command or a url"),
        ("[servers.a]\ncommand = ['x']\nurl = 'https://x'\ntools = ['*']", "needs either a command or a url"),
        ("[servers.a]\ncommand = ['x']", "servers.a.tools"),
        ("[servers.a]\ncommand = ['x']\ntools = []", "servers.a.tools"),
        ("[servers.a]\nurl = 'ftp://x'\ntools = ['*']", "must begin with http"),
        ("[servers.a]\nurl = 'https://x'\nenv = ['K']\ntools = ['*']", "are for commands"),
        ("[servers.a]\ncommand = ['x']\ntoken_env = 'K'\ntools = ['*']", "is for urls"),
        ("[servers.a]\nurl = 'http://x/mcp'\ntoken_env = 'K'\ntools = ['*']", "is for urls"),
        ("[servers.a]\ncommand = ['x']\ntools = ['*']\nnonsense = 1", "nonsense"),
        ("[servers.A_B]\ncommand = ['x']\ntools = ['*']", "servers.A_B"),
        ("[servers.a__b]\ncommand = ['x']\ntools = ['*']", "servers.a__b"),
        ("[servers.a]\ncommand = ['x']\ntools = ['*']\ntool.b.read_only = 'maybe'", "tool.b.read_only"),
        ("[servers.a]\ncommand = ['x']\nenv = ['MISSING']\ntools = ['*']", "MISSING is not set"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(McpFileError) as raised:
        read(tmp_path, text)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(McpFileError, match="cannot be read"):
        read_servers(tmp_path / "none.toml", {})

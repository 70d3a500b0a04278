"""Settings: where they come from, and what is said when they are wrong."""

import os
from pathlib import Path

import pytest

from config.load import SettingsError, load
from config.names import example, variables
from tests.harness.process import ROOT

SECRET = "canary-secret-5d1"


@pytest.fixture(autouse=True)
def only_these(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of whoever runs the tests, and no .env but the test's own."""
    for variable in variables():
        monkeypatch.delenv(variable.name, raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("ORCHESTRATOR_SERVER__ADRESS", "x", "did you mean ORCHESTRATOR_SERVER__ADDRESS?"),
        ("ORCHESTRATOR_NONSENSE", "x", "ORCHESTRATOR_NONSENSE is no setting"),
        ("orchestrator_log_levl", "x", "did you mean ORCHESTRATOR_LOG_LEVEL?"),
        ("ORCHESTRATOR_LOG_LEVEL", "loud", "ORCHESTRATOR_LOG_LEVEL: "),
        ("ORCHESTRATOR_DATABASE__POOL_SIZE", "0", "ORCHESTRATOR_DATABASE__POOL_SIZE: "),
        ("ORCHESTRATOR_DATABASE__SCHEMA_NAME", "public", "ORCHESTRATOR_DATABASE__SCHEMA_NAME: "),
        ("ORCHESTRATOR_DATABASE__SCHEMA_NAME", 'a"b', "ORCHESTRATOR_DATABASE__SCHEMA_NAME: "),
        ("ORCHESTRATOR_SERVER__ADDRESS", "0.0.0.0:50051", "is not loopback"),
        ("ORCHESTRATOR_SERVER__ADDRESS", "[::]:50051", "is not loopback"),
        ("ORCHESTRATOR_SERVER__ADDRESS", "example.org:50051", "is not loopback"),
        ("DATABASE_URL", f"mysql://{SECRET}", "DATABASE_URL: "),
        ("OPENAI_BASE_URL", "ftp://example.org", "OPENAI_BASE_URL: "),
        ("ORCHESTRATOR_RETENTION__INTERVAL_SECONDS", "0", "ORCHESTRATOR_RETENTION__INTERVAL_SECONDS: "),
        ("ORCHESTRATOR_RETENTION__EVENTS_SECONDS", "0", "ORCHESTRATOR_RETENTION__EVENTS_SECONDS: "),
        ("ORCHESTRATOR_RETENTION__RUNS_SECONDS", "0", "ORCHESTRATOR_RETENTION__RUNS_SECONDS: "),
        ("ORCHESTRATOR_RETENTION__RUNS_SECONDS", "nan", "ORCHESTRATOR_RETENTION__RUNS_SECONDS: "),
        ("ORCHESTRATOR_RETENTION__RUNS_SECONDS", "3600", "runs_seconds must be at least events_seconds"),
        ("ORCHESTRATOR_RETENTION__EVENTS_SECONDS", "9e6", "runs_seconds must be at least events_seconds"),
        (
            "ORCHESTRATOR_RETENTION__CHECKPOINTS_IDLE_SECONDS",
            "0",
            "ORCHESTRATOR_RETENTION__CHECKPOINTS_IDLE_SECONDS: ",
        ),
    ],
)
def test_a_wrong_setting_is_one_line_in_the_environments_words(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, line: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as raised:
        load()
    assert len(raised.value.lines) == 1
    assert line in raised.value.lines[0]
    assert SECRET not in raised.value.lines[0]


@pytest.mark.parametrize("address", ["127.0.0.1:1", "localhost:1", "[::1]:1", "127.8.8.8:1", "unix:/tmp/s"])
def test_loopback_addresses_need_no_override(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("ORCHESTRATOR_SERVER__ADDRESS", address)
    assert load().server.address == address


def test_everything_that_is_wrong_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_LOG_LEVEL", "loud")
    monkeypatch.setenv("ORCHESTRATOR_LOG_LEVL", "info")
    with pytest.raises(SettingsError) as raised:
        load()
    assert len(raised.value.lines) == 2


def test_the_env_file_is_read_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("ORCHESTRATOR_LOG_LEVEL=debug\nORCHESTRATOR_DATABASE__POOL_SIZE=7\n")
    monkeypatch.setenv("ORCHESTRATOR_LOG_LEVEL", "error")
    settings = load()
    assert (settings.log_level, settings.database.pool_size) == ("error", 7)


def test_a_misspelt_name_in_the_env_file_is_found(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("ORCHESTRATOR_LOG_LEVL=info\nSOMEBODY_ELSES=1\n")
    with pytest.raises(SettingsError, match="did you mean ORCHESTRATOR_LOG_LEVEL"):
        load()


def test_an_empty_variable_is_an_absent_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "OPENAI_API_KEY", "OPENAI_BASE_URL", "ORCHESTRATOR_DATABASE__POOL_SIZE"):
        monkeypatch.setenv(name, "")
    settings = load()
    assert (settings.database_url, settings.openai_api_key, settings.openai_base_url) == (None, None, None)


def test_secrets_do_not_show_in_the_settings_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("DATABASE_URL", f"postgresql://user:{SECRET}@host/db")
    assert SECRET not in repr(load())


def test_the_example_file_lists_every_setting_with_its_default() -> None:
    assert (ROOT / ".env.example").read_text() == example()
    assert all(variable.description for variable in variables())


def test_the_example_file_without_its_hashes_is_a_valid_configuration(tmp_path: Path) -> None:
    lines = (ROOT / ".env.example").read_text().splitlines()
    settings = [line.removeprefix("# ") for line in lines if "=" in line and not line.startswith("# its")]
    (tmp_path / ".env").write_text("\n".join(line for line in settings if " " not in line))
    assert load() == load_without(tmp_path)


def load_without(folder: Path) -> object:
    os.unlink(folder / ".env")
    return load()

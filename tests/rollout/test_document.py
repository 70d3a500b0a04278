"""What docs/rollout.md shows is what works."""

import re
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from llm_orchestrator_client.rollout.flag_file import document_of
from llm_orchestrator_client.rollout.flags import Flag
from tests.harness.process import ROOT
from tests.harness.service import Service

TEXT = (ROOT / "docs/rollout.md").read_text()


def shown(language: str) -> str:
    [block] = re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    return str(block)


async def test_the_example_runs(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ORCHESTRATOR_TARGET", f"127.0.0.1:{service.port}")
    before = set(REGISTRY._collector_to_names)
    names: dict[str, object] = {}
    exec(compile(shown("python"), "docs/rollout.md", "exec"), names)
    try:
        await names["main"]()  # type: ignore[operator]
    finally:
        for collector in set(REGISTRY._collector_to_names) - before:
            REGISTRY.unregister(collector)
    assert "You said: hello" in capsys.readouterr().out


def test_its_flag_file_is_one() -> None:
    flags = document_of(shown("json").encode())["flags"]
    assert flags.keys() <= set(Flag)


def test_every_flag_and_metric_is_in_it() -> None:
    assert [flag for flag in Flag if f"`{flag}`" not in TEXT] == []

"""What documents point at is there: files, headings, tests, settings."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from llm_orchestrator_client.rollout.flags import Flag
from telemetry.names import METRICS
from tests.harness.process import ROOT
from tests.harness.queries import exported

DOCUMENTS = sorted(
    file
    for pattern in ("*.md", "docs/**/*.md", "client/*.md", "deploy/**/*.md", "examples/**/*.md")
    for file in ROOT.glob(pattern)
)
SERIES = exported().keys() | {name.removesuffix("_bucket") for name in exported()}
LABELS = {label for metric in METRICS for label in metric.labels}
NO_METRICS = {"orchestrator_pb", "orchestrator_rpc", "orchestrator_worker"}
SETTINGS = set(re.findall(r"^# ([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
FLAGS = {*Flag, "GRPC_ROLLOUT_FLAGS"}
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
# Written on other branches.
FILES = {f"/{file.relative_to(ROOT)}" for file in ROOT.glob("[a-z]*/**/*.*")} | {
    f"/{file.name}" for file in ROOT.glob("*.*")
}
OF_THE_OPERATOR = {"identities.toml"}
_FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
_LINK = re.compile(r"\[[^\]]*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.M)
_ELSEWHERE = re.compile(r"^[a-z]+:")


def prose(file: Path) -> str:
    return _FENCED.sub("", file.read_text())


def anchors(file: Path) -> set[str]:
    """Those that GitHub makes of the headings."""
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title) for title in _HEADING.findall(prose(file)))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in plain}


def dead_links(file: Path) -> Iterator[str]:
    for link in _LINK.findall(prose(file)):
        path, _, anchor = unquote(link).partition("#")
        target = (file.parent / path).resolve() if path else file
        if _ELSEWHERE.match(link):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_link_leads_somewhere(file: Path) -> None:
    assert list(dead_links(file)) == []


def test_the_index_leads_to_every_document() -> None:
    listed = {(ROOT / "docs" / link).resolve() for link in _LINK.findall(prose(ROOT / "docs/README.md"))}
    assert {file for file in (ROOT / "docs").glob("*.md") if file.name != "README.md"} <= listed


def test_a_link_to_no_file_or_no_heading_is_found(tmp_path: Path) -> None:
    file = tmp_path / "one.md"
    file.write_text(
        "# A `first` heading\n[a](one.md#a-first-heading) [b](two.md) [c](#second) [d](https://e.f)\n"
    )
    assert list(dead_links(file)) == ["two.md", "#second"]


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_files_that_it_names_are_there(file: Path) -> None:
    named = set(re.findall(r"`(?!\S*NNNN)([\w/-]+\.(?:py|sql|sh|toml|pml|js))`", file.read_text()))
    named -= OF_THE_OPERATOR
    assert {name for name in named if not any(path.endswith(f"/{name}") for path in FILES)} == set()


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_metrics_settings_and_targets_that_it_names_are_there(file: Path) -> None:
    text = file.read_text()
    metrics = set(re.findall(r"\b(?:orchestrator|llm_rollout|gen_ai|rpc_server)_[a-z_]+\b", text))
    assert metrics - SERIES - LABELS - NO_METRICS == set()
    names = re.findall(r"\b(?:ORCHESTRATOR_[A-Z]+__|USE_GRPC_|GRPC_)[A-Z_]+\b(?!\*)", text)
    assert set(names) - SETTINGS - FLAGS == set()
    assert set(re.findall(r"`make ([a-z-]+)", text)) - TARGETS == set()

"""What documents point at is there: files, headings, tests, settings."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from tests.harness.process import ROOT

DOCUMENTS = sorted(
    file
    for pattern in ("*.md", "docs/**/*.md", "client/*.md", "deploy/**/*.md", "examples/**/*.md")
    for file in ROOT.glob(pattern)
)
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


def test_a_link_to_no_file_or_no_heading_is_found(tmp_path: Path) -> None:
    file = tmp_path / "one.md"
    file.write_text(
        "# A `first` heading\n[a](one.md#a-first-heading) [b](two.md) [c](#second) [d](https://e.f)\n"
    )
    assert list(dead_links(file)) == ["two.md", "#second"]

"""Nothing in the code could keep a completion to show it again."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.process import ROOT

LAYERS = ("providers", "agents", "orchestrator", "state")
FILES = [ROOT / "main.py", *(path for layer in LAYERS for path in sorted((ROOT / layer).rglob("*.py")))]
# A provider's own prefix cache is counted and priced; llama.cpp's is switched off.
NOT_OURS = re.compile(r"cached(_\w+)?|cache_ram_mib|cache_(read|creation)_input_tokens", re.IGNORECASE)


def names_in(path: Path) -> Iterator[str]:
    """Whatever a file imports, defines, calls or passes, by name."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield name
            case ast.keyword(arg=str(name)) | ast.alias(name=name) | ast.ImportFrom(module=str(name)):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_name_in_the_code_is_that_of_a_cache(path: Path) -> None:
    caches = [name for name in names_in(path) if "cache" in name.lower() and not NOT_OURS.fullmatch(name)]
    assert caches == []

"""The pages of a run: they say what its JSON says, and nothing else."""

import json
from pathlib import Path

import pytest

from bench.parts import PARTS, distilled
from bench.report_page import (
    BEGIN,
    END,
    FOLDER,
    PAGE,
    README,
    RESULTS,
    numbers,
    page,
    with_numbers,
    write_pages,
)
from tests.unit.bench.made_up import run

MEASURED = FOLDER / RESULTS


def test_the_numbers_in_the_readme_are_those_of_the_results() -> None:
    """`python -m bench.report_page` writes them anew."""
    block = numbers(json.loads(MEASURED.read_bytes())) if MEASURED.exists() else ""
    document = README.read_text()
    assert with_numbers(document, block) == document


@pytest.mark.skipif(not MEASURED.exists(), reason="no results are published")
def test_the_page_and_its_charts_are_those_of_the_results() -> None:
    said = (FOLDER / PAGE).read_text()
    charts = [chart for chart in sorted(FOLDER.glob("*.png")) if chart.name in said]
    charts.sort(key=lambda chart: said.index(chart.name))
    assert page(json.loads(MEASURED.read_bytes()), charts) == said


def test_a_run_becomes_a_page_charts_and_a_block_between_two_markers(tmp_path: Path) -> None:
    results, readme = tmp_path / RESULTS, tmp_path / "README.md"
    results.write_text(json.dumps(run()))
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_pages(results, readme)
    said = results.with_name(PAGE).read_text()
    charts = sorted(chart.name for chart in tmp_path.glob("*.png"))
    assert charts == ["first_token.png", "growth.png", "ratios.png", "throughput.png"]
    assert all(f"({chart})" in said for chart in charts)
    assert all(f"| {part.name} |" in said for part in PARTS)
    assert "another was left out: there is none" in said
    assert readme.read_text() == f"before\n{BEGIN}\n{numbers(run())}{END}\nafter\n"
    assert "commit 0123456789ab on 2 processors" in numbers(run())
    assert "| 9.7 times | pass |" in numbers(run())


def test_a_part_that_failed_leaves_its_tables_out_and_says_why() -> None:
    failed = run()
    failed["parts"] = {"streams": {"seconds": 3.0, "error": "exit code 1"}}
    said = page(failed, [])
    assert "| streams | 3 s | exit code 1 |" in said
    assert "## Streams" not in said
    assert "not measured" in said


def test_a_readme_without_its_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="no place"):
        with_numbers("no markers", "")


def test_long_lists_of_numbers_become_percentiles() -> None:
    found = distilled({"many": list(range(101)), "few": [1, 2], "words": ["a"] * 100})
    assert found["many"] == {"count": 101, "p50": 50, "p95": 95, "p99": 99}
    assert found["few"] == [1, 2]
    assert found["words"] == ["a"] * 100

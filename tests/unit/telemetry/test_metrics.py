"""What is counted, in the form that Prometheus reads, and the table of it in docs/metrics.md."""

import re
import subprocess
from pathlib import Path
from shutil import which

import pytest
from prometheus_client.parser import text_string_to_metric_families

from telemetry.families import Bins
from telemetry.instruments import instruments
from telemetry.names import CHUNK_GAP, LOOP_LAG, LOST, METRICS, QUEUE_DEPTH, Kind
from telemetry.registry import OTHER, Known, Registry
from telemetry.spans import NoSpans
from telemetry.values import ModelShare, RunBegin, RunEnd
from telemetry.waiting import LineInstrument

DOCS = Path(__file__).parents[3] / "docs"
SHARE = ModelShare("p", "m", 7, 5, 2, 1, 1, 12)


def everything() -> Registry:
    """A registry in which each instrument has counted something."""
    registry, known = Registry(), Known(lambda: ("chat", "p", "m", "look"))
    made = instruments(registry, NoSpans(), agents=known, models=known, tools=known)
    call = made.calls.began("s/M", stream=True)
    for _ in range(3):
        call.sent()
    call.ended("OK")
    run = made.runs.began(RunBegin("r", "chat", "task", 1))
    run.first_text()
    run.ended(RunEnd("chat", "task", "succeeded", "", [SHARE]))
    for end in ("put_back", "suspended", "lost"):
        another = made.runs.began(RunBegin("r", "chat", "task", 1))
        another.put_back("retry") if end == "put_back" else getattr(another, end)()
    made.runs.reaped(1)
    model = made.models.called("p", "m", str)
    model.first_piece()
    model.ended("", (7, 5), "stop")
    made.tools.called("look", "c").ended("ok")
    made.tools.refused("a model's invention", "UNKNOWN_TOOL")
    made.line.joined("r", 1.0)
    made.line.taken("r", "task", 3.0)
    made.permissions.decided("approved", 2.0)
    made.log.flushed(3, 0.01)
    registry.distribution(LOOP_LAG).of().add(0.0)
    registry.tell({QUEUE_DEPTH: 3})
    return registry


def values(registry: Registry, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in text_string_to_metric_families(registry.exposition().decode())
        for sample in family.samples
        if sample.name == name
    }


def test_every_name_is_shown_once_in_the_docs_with_its_kind_labels_and_meaning() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", (DOCS / "metrics.md").read_text(), re.M
    )
    told = {name: (kind, labels.strip(), text.strip()) for name, kind, labels, text in rows}
    assert len(rows) == len(told)
    assert told == {
        metric.name: (metric.kind.value, ", ".join(f"`{label}`" for label in metric.labels), metric.text)
        for metric in METRICS
    }


def test_counters_and_only_they_end_in_total_and_times_are_in_seconds() -> None:
    for metric in METRICS:
        assert metric.name.endswith("_total") is (metric.kind is Kind.COUNTER)
        assert bool(metric.buckets) is (metric.kind is Kind.HISTOGRAM)
        assert list(metric.buckets) == sorted(set(metric.buckets))
        assert not {"user", "user_id", "owner", "conversation_id", "run_id"} & set(metric.labels)


@pytest.mark.skipif(which("promtool") is None, reason="Prometheus' own linter is not installed")
def test_prometheus_finds_nothing_to_mend_in_what_it_reads() -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=everything().exposition(),
        capture_output=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_a_histogram_counts_each_value_up_to_its_bound_and_sums_them() -> None:
    registry = Registry()
    bins = registry.distribution(CHUNK_GAP).of("m")
    for value in (0.001, 0.0011, 70.0):
        bins.add(value)
    told = values(registry, "orchestrator_chunk_gap_seconds_bucket")
    buckets = {bound: count for (bound, _), count in told.items()}
    assert (buckets["0.001"], buckets["0.0025"], buckets["60.0"], buckets["+Inf"]) == (1, 2, 2, 3)
    assert values(registry, "orchestrator_chunk_gap_seconds_count") == {("m",): 3}
    assert values(registry, "orchestrator_chunk_gap_seconds_sum")[("m",)] == pytest.approx(70.0021)


def test_a_value_on_a_bound_belongs_to_it() -> None:
    bins = Bins((1.0, 2.0))
    bins.add(2.0)
    assert bins.counts == [0, 1, 0]


def test_what_nobody_knows_is_other_in_every_label() -> None:
    refused = values(everything(), "orchestrator_tool_refusals_total")
    assert refused == {(OTHER, "UNKNOWN_TOOL"): 1}


def test_a_run_ends_once_however_often_that_is_told() -> None:
    registry, known = Registry(), Known(lambda: ("chat",))
    made = instruments(registry, NoSpans(), agents=known, models=known, tools=known)
    run = made.runs.began(RunBegin("r", "chat", "chat", 1))
    end = RunEnd("chat", "chat", "failed", "INTERNAL")
    run.ended(end)
    run.ended(end)
    run.lost()
    run.left()
    assert values(registry, "orchestrator_runs_total") == {("chat", "chat", "failed", "INTERNAL"): 1}
    assert values(registry, "orchestrator_leases_lost_total") == {(): 0}


def test_a_counter_without_labels_begins_at_0_so_that_its_first_increase_is_seen() -> None:
    registry = Registry()
    counts = registry.counts(LOST)
    assert values(registry, LOST.name) == {(): 0}
    counts.add()
    assert values(registry, LOST.name) == {(): 1}


@pytest.mark.parametrize(("estimate", "waited", "side"), [(1.0, 3.0, "late"), (5.0, 3.0, "early")])
def test_an_estimate_is_judged_when_its_run_is_taken(estimate: float, waited: float, side: str) -> None:
    registry = Registry()
    line = LineInstrument(registry)
    line.joined("r", estimate)
    line.taken("r", "task", waited)
    line.taken("nobody's", "task", waited)
    assert values(registry, "orchestrator_queue_estimate_error_seconds_sum") == {(side,): 2.0}
    assert values(registry, "orchestrator_queue_wait_seconds_count") == {("task",): 2}


def test_what_was_told_is_shown_until_it_is_not_told_any_more() -> None:
    registry = Registry()
    registry.tell({QUEUE_DEPTH: 3})
    assert values(registry, QUEUE_DEPTH.name) == {(): 3}
    registry.tell({QUEUE_DEPTH: None})
    assert values(registry, QUEUE_DEPTH.name) == {}

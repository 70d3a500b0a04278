"""The benches run, show what they compare beside each other, and leave with 0 whatever the numbers are."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import asyncpg

from bench.growth_tables import Tables
from bench.parts import PARTS, run_part
from bench.report_page import BEGIN, END, PAGE, RESULTS
from tests.harness.postgres import SCHEMA
from tests.harness.process import ROOT


async def bench(name: str, *arguments: str) -> str:
    """What a bench prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"bench.{name}", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)  # the one it cleans up after
            await process.wait()
    assert process.returncode == 0
    return output.decode()


async def test_first_token_shows_both_sides_in_one_table(tmp_path: Path) -> None:
    wanted = tmp_path / "results.json"
    output = await bench("first_token", "--calls", "4", "--concurrency", "1", "--json", str(wanted))
    header = next(line for line in output.splitlines() if "through us" in line)
    assert header.split() == ["direct", "through", "us", "added", "ratio"]
    assert all(f"\n  {name}  " in output for name in ("p50", "p95", "p99"))
    assert "load average" in output
    series = json.loads(wanted.read_bytes())["series"]
    assert [one["calls"] for one in series] == [4, 4]
    for one in series:
        assert min(one["first_token_seconds"]["p50"]) >= 0.02
        assert one["verdict"] in ("pass", "MISSED")


async def test_startup_shows_the_cold_and_the_warm_start(tmp_path: Path) -> None:
    wanted = tmp_path / "results.json"
    output = await bench("startup", "--starts", "1", "--json", str(wanted))
    header = next(line for line in output.splitlines() if "warm median" in line)
    assert header.split()[:3] == ["cold", "warm", "median"]
    assert "importing alone" in output
    results = json.loads(wanted.read_bytes())
    assert len(results["warm_seconds"]) == 1
    assert min(results["cold_seconds"], results["import_seconds"], *results["warm_seconds"]) > 0
    assert results["verdict"] in ("pass", "MISSED")


async def test_saver_shows_ours_beside_the_official_one(tmp_path: Path) -> None:
    wanted = tmp_path / "results.json"
    output = await bench("saver", "--quick", "--json", str(wanted))
    assert output.count("\n  official, pool of 4 ") == output.count("\n  official, 1 connection ") == 5
    assert output.count("\n  no checkpoints ") == 2
    assert output.count("goal, ") == 4
    assert "load average" in output
    results = json.loads(wanted.read_bytes())
    assert set(results["goals"].values()) <= {"pass", "MISSED"}
    for one in results["series"]:
        assert min(min(rate) for rates in one["rates"].values() for rate in rates) > 0


async def test_relay_shows_what_a_token_costs_us(tmp_path: Path) -> None:
    wanted = tmp_path / "results.json"
    small = ("--streams", "2", "--tokens", "10", "--seconds", "1", "--rounds", "1")
    output = await bench("relay", "--sides", "direct,ours", *small, "--json", str(wanted))
    assert [line for line in output.splitlines() if line.startswith("round ")] == [
        "round 1 of 1: direct",
        "round 1 of 1: ours",
    ]
    assert "CPU for a token" in output
    assert "load average" in output
    results = json.loads(wanted.read_bytes())
    assert results["goals"] == []  # no peer, nothing to be better than
    for one in results["all_then_each_round"]["ours"]:
        assert min(one["cpu"], one["postgres_cpu"], one["first_token_p50"]) > 0
        assert one["message_tokens"] >= 1
    assert all(one["cpu"] == 0 for one in results["all_then_each_round"]["direct"])


async def test_tasks_shows_ours_and_its_goals(tmp_path: Path) -> None:
    wanted = tmp_path / "results.json"
    small = ("--calls", "5", "--burst", "20", "--rounds", "1")
    output = await bench("tasks", "--sides", "ours", *small, "--json", str(wanted))
    assert "round 1 of 1: ours" in output
    assert "load average" in output
    results = json.loads(wanted.read_bytes())
    assert results["ratios_of_all_then_each_round"] == {}  # no peer, nothing to be ahead of
    assert len(results["queued_seconds"]) == 4
    assert set(results["goals"].values()) <= {"pass", "MISSED"}
    for one in results["all_then_each_round"]["ours"]:
        assert min(one.values()) > 0


async def test_tools_shows_the_gateway_beside_the_plain_stub(tmp_path: Path) -> None:
    wanted = tmp_path / "results.json"
    output = await bench("tools", "--calls", "20", "--rounds", "1", "--json", str(wanted))
    assert all(f"\n  {name}  " in output for name in ("plain stub", "gateway"))
    assert output.count("goal, p") == 2
    assert "load average" in output
    results = json.loads(wanted.read_bytes())
    assert [len(results["seconds"][name]) for name in ("plain stub", "gateway")] == [20, 20]
    assert set(results["goals"].values()) <= {"pass", "MISSED"}


async def test_instrumentation_shows_what_each_side_costs_beside_the_one_without_anything(
    tmp_path: Path,
) -> None:
    wanted = tmp_path / "results.json"
    small = ("--streams", "2", "--tokens", "5", "--seconds", "0.5", "--rounds", "1")
    output = await bench("instrumentation", *small, "--json", str(wanted))
    assert all(f"\n  {name}  " in output for name in ("off", "metrics", "metrics and traces"))
    results = json.loads(wanted.read_bytes())
    assert set(results["ratios"]) == {"off", "metrics", "metrics and traces"}
    assert results["ratios"]["off"] == [1.0]
    assert results["spans"] > 0
    assert ("pass" in output) is (results["ratio"] <= 1.05)


async def test_streams_shows_ours_at_every_level_and_the_most_that_were_carried(tmp_path: Path) -> None:
    wanted = tmp_path / "results.json"
    small = (
        "--levels",
        "1,3",
        "--tokens",
        "10",
        "--seconds",
        "0.6",
        "--rounds",
        "1",
        "--steps",
        "1",
        "--most",
        "6",
    )
    output = await bench("streams", "--sides", "direct,ours", *small, "--json", str(wanted))
    assert "round 1 of 1: ours" in output
    assert "aegra is left out: not asked for" in output or "aegra is left out: make peers" in output
    assert "load average" in output
    results = json.loads(wanted.read_bytes())
    assert results["ratios"] == {}  # no peer, nothing to be better than
    assert set(results["skipped"]) == {"aegra", "LiteLLM proxy", "afternoon server"}
    ours = results["sides"]["ours"]["1"]
    assert ours["calls"] > 3  # answers of 0.2 s, one after the other
    assert ours["failed"] == 0
    assert min(ours["cpu"], ours["memory"], ours["first_token"]["p50"]) > 0
    assert results["sides"]["direct"]["1"]["cpu"] == 0
    assert results["carried"]["ours"]["streams"] in range(7)


async def test_growth_shows_each_statement_at_each_size(tmp_path: Path) -> None:
    wanted = tmp_path / "results.json"
    small = ("--events", "4", "--queued", "3", "--calls", "3", "--turns", "3", "--fill-seconds", "60")
    await bench("growth", *small, "--json", str(wanted))
    results = json.loads(wanted.read_bytes())
    assert results["line"]["rows"] == [100, 1000]
    assert set(results["line"]["seconds"]) == {"claim", "place in line", "status of a queued task"}
    assert results["events"]["rows"] == [10_000]
    assert set(results["events"]["seconds"]) == {"append to a log", "read a log", "status of a task"}
    assert set(results["history"]["seconds"]) == {"direct", "ours"}


async def test_growth_leaves_out_what_would_take_too_long_to_fill(dsn: str, tmp_path: Path) -> None:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": SCHEMA})
    try:
        tables = Tables(connection, tmp_path, seconds=0.01)
        assert (await tables.grow("queued", 100))[1] == ""
        taken, why_not = await tables.grow("queued", 100_000)
        assert (taken, await connection.fetchval("SELECT count(*) FROM runs")) == (0, 100)
        assert "0 s are left" in why_not
    finally:
        await connection.close()


async def test_the_whole_run_writes_results_a_page_and_the_numbers(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n")
    places = ("--folder", str(tmp_path), "--readme", str(readme))
    output = await bench("__main__", "--size", "quick", "--only", "tools", *places)
    assert "1 of 1: a call of a tool (180 s left)" in output
    assert "load average" in output
    run = json.loads((tmp_path / RESULTS).read_bytes())
    assert set(run["parts"]) == {"tools"}
    assert run["machine"]["processors"] > 0
    assert "not measured" in readme.read_text()
    assert "through the gateway" in (tmp_path / PAGE).read_text()


async def test_a_part_that_is_not_done_in_its_time_is_stopped_and_said(tmp_path: Path) -> None:
    found = await run_part(PARTS[0], ["--sides", "direct,ours"], 0.5, tmp_path)
    assert found["error"] == "stopped after 0.5 s"
    assert "results" not in found

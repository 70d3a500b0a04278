"""A whole run of `python -m bench` that was never measured."""

from typing import Any

from bench.peers.sides import AEGRA, AFTERNOON, DIRECT, LITELLM, OURS

LEVELS = (1, 16, 64, 256)


def point(level: int, added: float, cpu: float) -> dict[str, Any]:
    """A side at so many streams, as `bench.streams` writes it."""
    return {
        "calls": 100,
        "failed": 0.0,
        "delivered": 0.98,
        "tokens_a_second": 49.0 * level,
        "gap_p99": 0.05,
        "cpu": cpu,
        "added_first_token": {"p50": added, "p95": 1.5 * added, "p99": 2 * added},
    }


def _streams() -> dict[str, Any]:
    return {
        "skipped": {"another": "there is none"},
        "ratios": {
            LITELLM: {"added first token p50 at 16": 9.7, "streams carried": 7.5},
            AEGRA: {"added first token p50 at 16": 5.1},
            AFTERNOON: {"added first token p50 at 16": 1.05},
        },
        "sides": {
            DIRECT: {str(level): point(level, 0.0, 0.0) for level in LEVELS},
            LITELLM: {str(level): point(level, 0.01 * level, 8e-4) for level in LEVELS[:3]},
            AFTERNOON: {str(level): point(level, 0.001 * level, 6e-4) for level in LEVELS[:3]},
            OURS: {str(level): point(level, 0.005 + level * 5e-5, 2e-4 + 2e-3 / level) for level in LEVELS},
        },
        "memory_of_a_stream": {OURS: 90_000.0, LITELLM: 400_000.0},
        "idle_memory": {OURS: 150e6, LITELLM: 315e6},
        "carried": {
            OURS: {"streams": 144, "not_carried": 160, "tried": {}},
            LITELLM: {"streams": 20, "not_carried": None, "tried": {}},
        },
    }


def _growth() -> dict[str, Any]:
    return {
        "events": {
            "rows": [10**4, 10**5, 10**6, 10**7],
            "seconds": {"append to a log": [5e-4, 6e-4, 6e-4, 7e-4], "read a log": [3e-4, 2e-4, 3e-4, 3e-4]},
            "times": {"append to a log": 1.4, "read a log": 1.0},
        },
        "line": {
            "rows": [100, 10**3, 10**4, 10**5, 10**6],
            "seconds": {
                "claim": [6e-4, 7e-4, 6e-4, 8e-4, 7e-4],
                "place in line": [2e-4, 4e-4, 1e-3, 1e-3, 1e-3],
            },
            "times": {"claim": 1.2, "place in line": 1.0},
        },
        "history": {
            "turns": [1, 10, 100],
            "seconds": {"direct": [1e-3, 1e-3, 2e-3], "ours": [9e-3, 8e-3, 9e-3]},
        },
    }


_TASKS = {
    "accepted_p50": 0.0049,
    "accepted_p95": 0.008,
    "begun_p50": 0.005,
    "in_a_row_p50": 0.0051,
    "rate": 207.0,
}


def run() -> dict[str, Any]:
    """All that the page has a place for."""
    results = {
        "streams": _streams(),
        "growth": _growth(),
        "tasks": {
            "all_then_each_round": {OURS: [_TASKS]},
            "ratios_of_all_then_each_round": {"pgqueuer": {"until begun": [0.67, 0.67]}},
        },
        "startup": {"cold_seconds": 4.0, "warm_seconds": [1.5, 1.6, 1.4]},
        "saver": {
            "series": [
                {
                    "title": "64 at once: operations",
                    "rates": {OURS: [[4500.0, 2e-4]], "official": [[1100.0, 9e-4]]},
                }
            ]
        },
        "tools": {"seconds": {"plain stub": {"p50": 0.0009}, "gateway": {"p50": 0.0013}}},
        "instrumentation": {"ratio": 1.03},
        "backend": {"series": [{"name": "1 caller", "added_seconds": {"p50": 0.013}}]},
    }
    return {
        "size": "normal",
        "machine": {
            "date": "2026-11-22T17:00:00+00:00",
            "processors": 2,
            "processor": "a processor",
            "memory_bytes": 24 * 2**30,
            "kernel": "Linux 6.1",
            "python": "3.11.7",
            "commit": "0123456789ab",
            "changed": False,
        },
        "load_before": [0.5, 0.6, 0.7],
        "load_after": [1.5, 1.6, 1.7],
        "parts": {name: {"seconds": 12.0, "results": found} for name, found in results.items()},
    }

"""What the backend tells of the rollout, of the providers and of itself, and who may halt it."""

import pytest

from tests.backend.first.reading import Browser, Browsers
from tests.backend.first.running import NOBODY, Running, running_backend, settings_of
from tests.harness.service import Service


async def test_the_state_counts_both_paths(service: Service, browsers: Browsers) -> None:
    flags = {
        "USE_GRPC_ORCHESTRATOR": "true",
        "GRPC_ORCHESTRATOR_PERCENTAGE": "12.5",
        "GRPC_ORCHESTRATOR_ALLOWED_USERS": "ann",
        "GRPC_ORCHESTRATOR_DENIED_USERS": "bob",
    }
    settings = settings_of(f"127.0.0.1:{service.port}", local={"base_url": service.provider.base_url})
    async with running_backend(settings, flags) as backend:
        ann, bob = browsers.at(backend.address), browsers.at(backend.address, "bob")
        for browser in (ann, ann, bob):
            await browser.chat()
        status, state, _ = await bob.call("GET", "/rollout")
    assert status == 200
    assert (state["enabled"], state["percentage"], state["halted"]) == (True, 12.5, "")
    assert {(d["path"], d["reason"]): d["count"] for d in state["decisions"]} == {
        ("orchestrator", "allowed"): 2,
        ("local", "denied"): 1,
    }
    assert [state["paths"][path]["samples"] for path in ("orchestrator", "local")] == [2, 1]
    for path in state["paths"].values():
        assert path["error_ratio"] == 0
        assert path["latency_seconds"] > 0


async def test_an_administrator_halts_and_releases(
    service: Service, ann: Browser, root: Browser, backend: Running
) -> None:
    assert (await ann.call("POST", "/rollout/halt", {}))[0] == 403
    assert (await ann.call("GET", "/rollout"))[1]["halted"] == ""
    status, state, _ = await root.call("POST", "/rollout/halt", {})
    assert (status, state["halted"]) == (200, "administrator")
    assert (await ann.chat())[-1].data["metadata"]["path"] == "local"
    assert (await ann.call("POST", "/rollout/release", {}))[0] == 403
    status, state, _ = await root.call("POST", "/rollout/release", {})
    assert (status, state["halted"]) == (200, "")
    assert (await ann.chat())[-1].data["run_id"]
    assert "llm_rollout_decisions_total" in (await ann.call("GET", "/metrics"))[1]


async def test_the_providers_and_the_line_are_told(service: Service, ann: Browser) -> None:
    status, found, _ = await ann.call("GET", "/providers")
    assert (status, found["accepting_tasks"], found["queued"]) == (200, True, 0)
    assert [(p["name"], p["state"]) for p in found["providers"]] == [("scripted", "AVAILABLE")]


@pytest.mark.parametrize(("local", "away"), [("http://127.0.0.1:1/v1", 200), ("", 503)])
async def test_ready_with_a_local_path_whatever_the_orchestrator_does(
    service: Service, browsers: Browsers, local: str, away: int
) -> None:
    for target, expected in ((f"127.0.0.1:{service.port}", 200), ("127.0.0.1:1", away)):
        async with running_backend(settings_of(target, local={"base_url": local}), NOBODY) as backend:
            stranger = browsers.at(backend.address, "")
            assert (await stranger.call("GET", "/readyz"))[0] == expected
            assert (await stranger.call("GET", "/healthz"))[0] == 200


async def test_what_is_not_there_is_a_problem_too(ann: Browser) -> None:
    for method, path, expected in (("GET", "/nothing", 404), ("PUT", "/chat", 405), ("POST", "/chat", 422)):
        status, problem, headers = await ann.call(method, path)
        assert (status, problem["status"]) == (expected, expected)
        assert headers["Content-Type"] == "application/problem+json"


async def test_every_endpoint_but_the_probes_and_the_login_wants_to_know_who_calls(
    browsers: Browsers, away: Running
) -> None:
    stranger = browsers.at(away.address, "")
    status, described, _ = await stranger.call("GET", "/openapi.json")
    assert status == 200
    open_to_all = set()
    for path, methods in described["paths"].items():
        for method in methods:
            body: dict[str, str] | None = {} if method == "post" else None
            status, _, _ = await stranger.call(method.upper(), path.replace("{", "").replace("}", ""), body)
            if status != 401:
                open_to_all.add((method, path))
    assert open_to_all == {
        ("get", "/healthz"),
        ("get", "/readyz"),
        ("get", "/metrics"),
        ("post", "/session"),
    }

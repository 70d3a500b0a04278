"""Who calls is what the session or the token proves, and nothing that a request says of itself."""

import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from backend.cookies import CookieSigner
from tests.backend.first.reading import PASSWORD, Browser, Browsers
from tests.backend.first.running import Running, running_backend, settings_of
from tests.fakes.scripted_provider.script import Script
from tests.harness.service import Service

SAYING: dict[str, dict[str, Any]] = {
    "a field": {"user_id": "bob"},
    "a field in camel case": {"userId": "bob"},
    "an owner": {"owner": "bob"},
    "a hint": {"metadata": {"user_id": "bob"}},
    "something deep": {"conversation_history": [{"role": "user", "metadata": {"USER_ID": "bob"}}]},
    "a grant": {"permission_grants": {"web_search_permission": True}},
    "a field of nobody's": {"on_behalf_of": "bob"},
}


async def owners(dsn: str) -> list[str]:
    """Whose the runs are."""
    connection = await asyncpg.connect(dsn)
    try:
        return [row["owner"] for row in await connection.fetch("SELECT owner FROM orchestrator.runs")]
    finally:
        await connection.close()


async def test_a_body_that_says_who_is_refused(service: Service, ann: Browser) -> None:
    for path, hints in (("/chat", "metadata"), ("/tasks", "context")):
        for name, said in SAYING.items():
            body = {hints if key == "metadata" else key: value for key, value in said.items()}
            status, problem, headers = await ann.call("POST", path, {"query": "hello", **body})
            assert (status, headers["Content-Type"]) == (400, "application/problem+json"), (path, name)
            assert problem["status"] == 400
    assert await owners(service.dsn) == []


async def test_neither_query_nor_header_says_who(service: Service, ann: Browser) -> None:
    for name in ("user_id", "userId", "user", "owner"):
        status, _, _ = await ann.call("POST", f"/tasks?{name}=bob", {"query": "hello"})
        assert status == 400
    assert await owners(service.dsn) == []
    said = {"X-User-Id": "bob", "X-Forwarded-User": "bob", "X-Remote-User": "bob", "Cookie": "user=bob"}
    status, _, _ = await ann.call("POST", "/tasks", {"query": "hello"}, **said)
    assert status in (200, 202)
    assert await owners(service.dsn) == ["ann"]


@pytest.mark.parametrize("header", ["", "Bearer ", "Bearer nobodys", "Basic YW5uOmFubg==", "Bearer ann"])
async def test_without_proof_nobody_gets_in(browsers: Browsers, header: str) -> None:
    async with running_backend(settings_of()) as backend:
        await refused_everywhere(
            browsers.at(backend.address, ""), {"Authorization": header} if header else {}
        )


async def refused_everywhere(stranger: Browser, proof: dict[str, str]) -> None:
    for method, path in (
        ("POST", "/chat"),
        ("GET", "/chat/1/events"),
        ("POST", "/tasks"),
        ("GET", "/tasks"),
        ("GET", "/permissions"),
        ("DELETE", "/conversations/c1"),
        ("GET", "/providers"),
        ("GET", "/rollout"),
        ("POST", "/rollout/halt"),
        ("GET", "/session"),
    ):
        status, problem, headers = await stranger.call(
            method, path, {} if method == "POST" else None, **proof
        )
        assert (status, problem["status"], headers["WWW-Authenticate"]) == (401, 401, "Bearer"), path


async def signed_in(browsers: Browsers, backend: Running, **headers: str) -> Browser:
    browser = browsers.at(backend.address, "")
    login = {"user": "ann", "password": PASSWORD}
    status, _, answered = await browser.call("POST", "/session", login, **headers)
    assert status == 204
    cookie = answered["Set-Cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    return browser


async def test_a_session_begins_with_a_password_and_ends_when_it_is_ended(
    browsers: Browsers, away: Running
) -> None:
    browser = await signed_in(browsers, away)
    status, who, _ = await browser.call("GET", "/session")
    assert (status, who) == (200, {"user_id": "ann", "administrator": False})
    own = {"Origin": browser.base}
    assert (await browser.call("DELETE", "/session", None, **own))[0] == 204
    assert (await browser.call("GET", "/session"))[0] == 401


@pytest.mark.parametrize("login", [("ann", "wrong"), ("bob", ""), ("nobody", PASSWORD), ("root", PASSWORD)])
async def test_no_other_password_signs_in(browsers: Browsers, away: Running, login: tuple[str, str]) -> None:
    browser = browsers.at(away.address, "")
    status, problem, headers = await browser.call(
        "POST", "/session", dict(zip(("user", "password"), login, strict=True))
    )
    assert (status, problem["detail"]) == (401, "no such user and password")
    assert "Set-Cookie" not in headers


async def test_another_sites_page_cannot_use_a_session(
    service: Service, browsers: Browsers, backend: Running
) -> None:
    browser = await signed_in(browsers, backend)
    foreign = [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    ]
    for headers in foreign:
        status, _, _ = await browser.call("POST", "/tasks", {"query": "x"}, **headers)
        assert status == 403, headers
    assert await owners(service.dsn) == []
    for headers in ({"Origin": browser.base}, {"Sec-Fetch-Site": "same-origin"}):
        status, _, _ = await browser.call("POST", "/tasks", {"query": "x"}, **headers)
        assert status in (200, 202)
    login = {"user": "ann", "password": PASSWORD}
    status, _, _ = await browser.call("POST", "/session", login, Origin="https://evil.example")
    assert status == 403


async def test_a_page_of_a_named_origin_may_write(service: Service, browsers: Browsers) -> None:
    settings = settings_of(f"127.0.0.1:{service.port}", session={"origins": ["https://app.example"]})
    async with running_backend(settings) as backend:
        browser = await signed_in(browsers, backend)
        status, _, _ = await browser.call("POST", "/tasks", {"query": "x"}, Origin="https://app.example")
    assert status in (200, 202)


def test_a_cookie_is_good_for_who_signed_in_until_it_is_over() -> None:
    now = time.time()
    signer = CookieSigner("k" * 32, seconds=60, clock=lambda: now)
    cookie = signer.sign("ann", "kept")
    assert signer.user_of(cookie, {"ann": "kept"}.get) == "ann"
    assert signer.user_of(cookie, {"ann": "changed"}.get) is None
    assert signer.user_of(cookie, {"bob": "kept"}.get) is None
    for wrong in (cookie[1:], cookie + "A", cookie.partition(".")[0], "", "a.b.c", "é.é", f".{cookie}"):
        assert signer.user_of(wrong, {"ann": "kept"}.get) is None
    assert CookieSigner("o" * 32, seconds=60).user_of(cookie, {"ann": "kept"}.get) is None
    body, _, signature = cookie.partition(".")
    other = signer.sign("bob", "kept").partition(".")[0]
    assert signer.user_of(f"{other}.{signature}", {"ann": "kept", "bob": "kept"}.get) is None
    now += 61
    assert signer.user_of(cookie, {"ann": "kept"}.get) is None
    assert body


async def test_another_users_conversation_run_and_permission_are_none(
    service: Service, ann: Browser, bob: Browser, tmp_path: Path
) -> None:
    service.provider.default = Script(tokens=("hi",))
    run_id = (await ann.chat(conversation_id="c1"))[0].data["run_id"]
    assert (await bob.call("GET", f"/chat/{run_id}/events"))[0] == 404
    assert (await bob.call("GET", "/conversations/c1/checkpoints"))[0] == 404
    assert (await bob.call("DELETE", "/conversations/c1"))[0] == 404
    assert (await bob.call("POST", f"/permissions/{'0' * 32}", {"decision": "deny"}))[0] == 404
    status, listed, _ = await ann.call("GET", "/conversations/c1/checkpoints")
    assert (status, [c["head"] for c in listed["checkpoints"]].count(True)) == (200, 1)
    status, deleted, _ = await ann.call("DELETE", "/conversations/c1")
    assert (status, deleted) == (200, {"deleted_runs": 1})
    assert (await ann.call("GET", f"/chat/{run_id}/events"))[0] == 404

"""The page's files, as any client gets them, and the dial's endpoint."""

from pathlib import Path

import pytest

from backend.console.routes import PAGE
from tests.backend.first.reading import Browsers
from tests.backend.first.running import running_backend, settings_of


async def test_files_come_with_a_policy_and_are_not_sent_twice(browsers: Browsers) -> None:
    async with running_backend(settings_of()) as backend:
        stranger = browsers.at(backend.address, "")
        for path in ("/", "/console/", *(f"/console/{file.name}" for file in PAGE.iterdir())):
            status, _, headers = await stranger.call("GET", path)
            assert (status, headers["X-Content-Type-Options"]) == (200, "nosniff"), path
            assert headers["Content-Security-Policy"].startswith("default-src 'self'; base-uri 'none'")
            kept = {"If-None-Match": headers["ETag"]}
            status, body, _ = await stranger.call("GET", path, **kept)
            assert (status, body) == (304, ""), path
        for path in ("nothing.js", "../routes.py", "..%2froutes.py", "%2e%2e/routes.py", "page/main.js"):
            assert (await stranger.call("GET", f"/console/{path}"))[0] == 404, path


async def test_who_is_signed_in_is_told_without_an_error(browsers: Browsers) -> None:
    async with running_backend(settings_of()) as backend:
        for user, known in (("", None), ("bob", "bob"), ("root", "root")):
            status, who, headers = await browsers.at(backend.address, user).call("GET", "/console/session")
            assert (status, who["user_id"], who["administrator"]) == (200, known, user == "root")
            assert headers["Cache-Control"] == "no-store"


async def test_only_a_flag_file_is_turned_and_only_within_bounds(browsers: Browsers, tmp_path: Path) -> None:
    async with running_backend(settings_of()) as backend:
        root = browsers.at(backend.address, "root")
        status, problem, _ = await root.call("PUT", "/rollout/percentage", {"percentage": 5})
        assert (status, problem["reason"]) == (409, "NO_FLAG_FILE")
        assert (await root.call("GET", "/rollout"))[1]["adjustable"] is False
    file = tmp_path / "flags.json"
    file.write_text('{"flags": {}}')
    async with running_backend(settings_of(), {"GRPC_ROLLOUT_FLAGS": f"file:{file}"}) as backend:
        root = browsers.at(backend.address, "root")
        for wrong in (-1, 100.1, "NaN", None, [5]):
            status, _, _ = await root.call("PUT", "/rollout/percentage", {"percentage": wrong})
            assert status == 422, wrong
        assert (await root.call("PUT", "/rollout/percentage", {"percentage": 12.5}))[0] == 200
        assert "12.5" in file.read_text()
        status, _, _ = await browsers.at(backend.address, "bob").call(
            "PUT", "/rollout/percentage", {"percentage": 5}
        )
        assert status == 403
        file.write_text("none")
        status, problem, _ = await root.call("PUT", "/rollout/percentage", {"percentage": 5})
        assert (status, problem["reason"]) == (409, "BAD_FLAG_FILE")


@pytest.mark.parametrize("file", sorted(PAGE.iterdir()), ids=lambda path: path.name)
def test_no_file_reads_text_as_markup_or_asks_elsewhere(file: Path) -> None:
    text = file.read_text().replace("http://www.w3.org/2000/svg", "")
    for forbidden in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser"):
        assert forbidden not in text
    assert "://" not in text.replace("https?://", "").replace("https?:\\/\\/", "")
    assert len(text.splitlines()) <= 300

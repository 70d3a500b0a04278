"""`make audit` tells clean from not asked, with the real pip-audit and an advisory service of our own."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import run
from threading import Thread
from typing import Any

import pytest

from deploy.audit import Ending, locked, verdict
from tests.harness.process import ROOT

LOCK = f"grpcio==1.50.0 \\\n    --hash=sha256:{'0' * 64}\nprotobuf==3.0.0 \\\n    --hash=sha256:{'1' * 64}\n"
BAD = {
    "vulns": [
        {
            "id": "PYSEC-1",
            "modified": "2024-01-01T00:00:00Z",
            "published": "2024-01-01T00:00:00Z",
            "affected": [
                {
                    "package": {"name": "protobuf", "ecosystem": "PyPI"},
                    "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9"}]}],
                    "versions": ["3.0.0"],
                }
            ],
        }
    ]
}


@contextmanager
def advisory_service(answers: Mapping[str, object]) -> Iterator[str]:
    """Speaks OSV's protocol: what it knows, by package; other packages are nothing it has. Yields its URL."""

    class Answering(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            body = json.dumps(answers.get(asked["package"]["name"], {})).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def audited(folder: Path, url: str) -> tuple[int, str]:
    lock = folder / "lock.txt"
    lock.write_text(LOCK)
    command = [sys.executable, "-m", "deploy.audit", "-s", "osv", f"--osv-url={url}", str(lock)]
    ended = run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    return ended.returncode, ended.stdout


def test_a_service_that_knows_of_nothing_is_clean(tmp_path: Path) -> None:
    with advisory_service({}) as url:
        code, said = audited(tmp_path, url)
    assert (code, "clean: 2 packages" in said) == (Ending.CLEAN, True)


def test_a_known_vulnerability_is_named_with_what_mends_it(tmp_path: Path) -> None:
    with advisory_service({"protobuf": BAD}) as url:
        code, said = audited(tmp_path, url)
    assert code == Ending.VULNERABLE
    assert "protobuf 3.0.0: PYSEC-1, mended in 9" in said


def test_a_service_that_cannot_be_asked_is_not_clean(tmp_path: Path) -> None:
    code, said = audited(tmp_path, "http://127.0.0.1:9/")
    assert (code, "not asked: could not ask" in said) == (Ending.NOT_ASKED, True)


SKIPPED: dict[str, Any] = {
    "name": "a",
    "skip_reason": "Dependency not found on PyPI and could not be audited",
}
FINE: dict[str, Any] = {"name": "b", "version": "1", "vulns": []}


@pytest.mark.parametrize(
    ("dependencies", "ending"),
    [
        ([], Ending.NOT_ASKED),
        ([SKIPPED, SKIPPED], Ending.NOT_ASKED),
        ([SKIPPED, FINE], Ending.NOT_ASKED),
        ([FINE], Ending.NOT_ASKED),
        ([FINE, FINE], Ending.CLEAN),
    ],
)
def test_a_report_that_leaves_a_package_out_is_not_clean(
    dependencies: list[dict[str, Any]], ending: Ending
) -> None:
    assert verdict({"dependencies": dependencies}, 2).ending is ending


def test_packages_for_other_machines_are_not_counted() -> None:
    assert locked(LOCK + 'x==1 ; sys_platform == "nowhere" \\\n    --hash=sha256:0\n# y==1\n') == 2

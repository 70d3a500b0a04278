"""A pytest plugin that notes which test functions have failed by themselves, and runs each until it has.

Not noted: what fails in a fixture, or because the mutant does not even load. Such a failure says nothing of
the trap.
"""

from collections.abc import Generator
from pathlib import Path

import pytest

_NOT_LOADED = (ImportError, NameError, SyntaxError)


def function_id(node_id: str) -> str:
    """A test's name without its parameters."""
    return node_id.partition("[")[0]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--witness", type=Path, required=True, help="the file to note failed functions in")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Witness(config.getoption("--witness")))


class _Witness:
    def __init__(self, notes: Path) -> None:
        self._notes = notes
        self._failed: set[str] = set()

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if function_id(item.nodeid) in self._failed:
            pytest.skip("it has failed already")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if report.failed and call.when == "call" and call.excinfo and not _not_loaded(call.excinfo.value):
            self._failed.add(function_id(item.nodeid))
            with self._notes.open("a") as notes:  # at once: the whole session may yet be killed
                notes.write(f"{function_id(item.nodeid)}\n")
        return report


def _not_loaded(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(map(_not_loaded, error.exceptions))
    return isinstance(error, _NOT_LOADED)

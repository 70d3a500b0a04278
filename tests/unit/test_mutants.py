"""Each test of a proven trap has been seen to fail: a mutant stands for it, and still fits the code."""

import ast
from collections import Counter
from pathlib import Path

import pytest

from tests.mutants.catalogue import ROOT, Mutant, MutantError, load
from tests.mutants.trial import Verdict, judged

CATALOGUE = load()
FOLDERS = ("edge", "transport", "life")
NAMED = sorted({test for mutant in CATALOGUE.mutants for test in mutant.tests})
EXEMPT = sorted(exempt.test for exempt in CATALOGUE.exempt)
MUTANT = Mutant("group", "name", "trap", "file.py", "old", "new", ("tests/test_it.py::test_it",))


def functions_of(path: Path) -> set[str]:
    """The test functions of a file, named as pytest names them."""
    functions = (
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    return {f"{path.relative_to(ROOT)}::{f.name}" for f in functions if f.name.startswith("test_")}


def trap_tests() -> set[str]:
    """Every test that stands for a proven trap."""
    files = [path for folder in FOLDERS for path in (ROOT / "tests/integration" / folder).glob("test_*.py")]
    return set().union(*map(functions_of, [*files, ROOT / "tests/unit/test_errors_on_the_wire.py"]))


def test_every_test_of_a_trap_has_a_mutant_or_a_reason_why_not() -> None:
    assert trap_tests() - set(NAMED) - set(EXEMPT) == set()


def test_no_test_has_both_a_mutant_and_a_reason_why_not() -> None:
    assert set(NAMED) & set(EXEMPT) == set()
    assert all(exempt.reason for exempt in CATALOGUE.exempt)


@pytest.mark.parametrize("test", [*NAMED, *EXEMPT])
def test_what_a_mutant_names_is_a_test(test: str) -> None:
    path = ROOT / test.partition("::")[0]
    assert path.is_file()
    assert test in functions_of(path)


@pytest.mark.parametrize("mutant", CATALOGUE.mutants, ids=lambda mutant: mutant.name)
def test_a_mutant_fits_its_file_and_names_its_trap(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text()
    applied = mutant.applied(text)
    assert applied != text
    assert mutant.trap
    assert mutant.tests
    if mutant.file.endswith(".py"):
        compile(applied, mutant.file, "exec")


def test_no_two_mutants_have_the_same_name() -> None:
    names = Counter(name for mutant in CATALOGUE.mutants for name in {mutant.name, mutant.group})
    groups = {mutant.group for mutant in CATALOGUE.mutants}
    assert [name for name, count in names.items() if count > 1 and name not in groups] == []
    assert groups & {mutant.name for mutant in CATALOGUE.mutants} == set()


@pytest.mark.parametrize("text", ["", "old and old"])
def test_a_mutant_whose_old_text_does_not_stand_there_just_once_is_refused(text: str) -> None:
    with pytest.raises(MutantError, match=r"name: its old text stands [02] times in file\.py"):
        MUTANT.applied(text)


@pytest.mark.parametrize(
    ("exit_code", "passed", "verdict"),
    [
        (1, (), Verdict.KILLED),
        (1, MUTANT.tests, Verdict.SURVIVED),
        (0, MUTANT.tests, Verdict.SURVIVED),
        (2, (), Verdict.BROKEN),
        (4, MUTANT.tests, Verdict.BROKEN),
        (None, (), Verdict.BROKEN),
    ],
)
def test_a_mutant_is_killed_only_by_tests_that_ran_and_all_failed(
    exit_code: int | None, passed: tuple[str, ...], verdict: Verdict
) -> None:
    assert judged(exit_code, passed) is verdict


def test_a_name_that_is_no_mutant_and_no_group_is_refused() -> None:
    with pytest.raises(MutantError, match="nobody"):
        CATALOGUE.chosen(["nobody"])
    assert CATALOGUE.chosen([]) == CATALOGUE.mutants

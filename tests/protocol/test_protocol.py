"""The protocol of a run in all its interleavings: what holds, and that each defect of the model is found."""

import re
from collections.abc import Callable

import pytest

from tests.harness.scale import SOAK, report
from tests.protocol.mutants import AS_THE_CODE_IS, FRAMES, MUTANTS, SIZES, Mutant
from tests.protocol.spin import FOLDER, LIVENESS, Model, Result, missing

ROOT = FOLDER.parent.parent
MIGRATIONS = ROOT / "state/postgres/migrations"

SMALL = {
    "run": {"FAULTS": 1, "DEFERRALS": 1, "QUESTIONS": 1},
    "conversation": {"REQUEUES": 1},
    "consent": {"FAULTS": 2, "FURTHER": 1},
}
"""Large enough for every mutant to be found."""
FAULTY = {"FAULTS": 2, "DEFERRALS": 1, "QUESTIONS": 0}
"""Two faults are what it takes until a run is given up."""
SMALLEST = {**SMALL, "run": {"FAULTS": 1, "DEFERRALS": 0, "QUESTIONS": 1}}
LARGE = {
    "run": {"FAULTS": 2, "DEFERRALS": 1, "QUESTIONS": 1},
    "conversation": {"REQUEUES": 3, "QUESTIONS": 4},
    "consent": {"FAULTS": 3, "FURTHER": 2},
}
LONGEST_SECONDS = 3600 if SOAK else 120

pytestmark = pytest.mark.timeout(LONGEST_SECONDS)

Checker = Callable[[str, dict[str, int], bool], Model]


def text_of(model: str) -> str:
    """A model with what it includes."""
    text = (FOLDER / f"{model}.pml").read_text()
    return re.sub(r'#include "(.+)"', lambda part: (FOLDER / part[1]).read_text(), text)


def properties_of(model: str) -> list[str]:
    return re.findall(r"^ltl (\w+)", text_of(model), re.MULTILINE)


PROPERTIES = [(model, prop) for model in SMALL for prop in properties_of(model)]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Checker:
    """Models by name and defines; one that was compiled is used again."""
    if reason := missing():
        pytest.skip(reason)
    compiled: dict[str, Model] = {}

    def model(name: str, defines: dict[str, int], fast: bool) -> Model:
        key = f"{name} {defines} {fast}"
        if key not in compiled:
            compiled[key] = Model(name, defines, tmp_path_factory.mktemp(name), fast=fast)
        return compiled[key]

    return model


def holds(result: Result, what: str) -> None:
    report(f"{what}: {result}")
    assert not result.truncated, result.output
    assert result.errors == 0, result.output


@pytest.mark.parametrize(("model", "prop"), PROPERTIES, ids=[prop for _, prop in PROPERTIES])
def test_the_protocol_keeps_its_promise(models: Checker, model: str, prop: str) -> None:
    size = LARGE if SOAK else SMALL if prop in LIVENESS else SMALLEST
    holds(models(model, size[model], True).check(prop), prop)


def test_a_run_that_is_lost_twice_ends_and_breaks_no_promise(models: Checker) -> None:
    lost_twice = models("run", FAULTY, True)
    for prop in ("nothing_goes_wrong", "every_run_ends"):
        holds(lost_twice.check(prop), f"{prop}, lost twice")


@pytest.mark.parametrize("mutant", [*MUTANTS, *AS_THE_CODE_IS], ids=lambda mutant: mutant.name)
def test_a_mutant_of_the_protocol_breaks_its_promise(models: Checker, mutant: Mutant) -> None:
    assert counterexamples(models, mutant) == 1


def counterexamples(models: Checker, mutant: Mutant) -> int:
    defines = {**SMALL[mutant.model], mutant.name: 1, **mutant.beside}
    return models(mutant.model, defines, False).check(mutant.breaks).errors


def test_every_promise_is_broken_by_some_mutant() -> None:
    broken = {(mutant.model, mutant.breaks) for mutant in (*MUTANTS, *AS_THE_CODE_IS)}
    assert set(PROPERTIES) - broken == {("run", "nothing_goes_wrong")}


@pytest.mark.parametrize("model", SMALL)
def test_every_switch_of_a_model_is_a_mutant_and_the_reverse(model: str) -> None:
    switches = set(re.findall(r"^#(?:ifdef|ifndef) (\w+)|defined\((\w+)\)", text_of(model), re.MULTILINE))
    named = {mutant.name for mutant in (*MUTANTS, *AS_THE_CODE_IS) if mutant.model == model}
    assert {first or second for first, second in switches} - SIZES - FRAMES == named


def table_of_the_database() -> set[tuple[str, str]]:
    """What the migrations put into run_transitions."""
    sql = "\n".join(path.read_text() for path in sorted(MIGRATIONS.glob("*.sql")))
    assert not re.search(r"(DELETE FROM|UPDATE|TRUNCATE) run_transitions", sql), "read these, too"
    inserts = re.findall(r"INSERT INTO run_transitions[^;]*VALUES([^;]*);", sql)
    assert inserts
    return set(re.findall(r"\('(\w+)', '(\w+)'\)", "".join(inserts)))


def test_the_model_has_the_table_of_transitions_of_the_database() -> None:
    pairs = re.findall(r"from == (\w+) && to == (\w+)", text_of("run"))
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == table_of_the_database()


def test_every_transition_of_the_table_happens_in_the_model_and_no_other(models: Checker) -> None:
    declared = re.search(r"mtype = \{([^}]*)\}", text_of("run"))
    assert declared is not None
    names = [name.strip() for name in declared[1].split(",")]
    number = {len(names) - place: name for place, name in enumerate(names)}  # SPIN counts from the last one
    result = models("run", SMALL["run"], True).check("nothing_goes_wrong")
    holds(result, "nothing_goes_wrong, with deferrals and questions")
    happened = result.transitions
    assert {(number[a], number[b]) for a, b in happened} == table_of_the_database()

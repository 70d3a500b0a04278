"""The defects that chaos is tried on still fit the code."""

import pytest

from tests.chaos.mutants import chosen, load
from tests.mutants.catalogue import ROOT, Mutant, MutantError


@pytest.mark.parametrize("mutant", load(), ids=lambda mutant: mutant.name)
def test_a_mutant_of_chaos_fits_its_file_and_names_its_trap(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text()
    applied = mutant.applied(text)
    assert applied != text
    assert mutant.trap
    compile(applied, mutant.file, "exec")


def test_a_mutant_that_is_not_there_is_refused() -> None:
    with pytest.raises(MutantError, match="no mutant is called nobody"):
        list(chosen(["nobody"]))

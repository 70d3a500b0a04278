"""The short form: a target on its seeds, on what is near them and on noise, without any guidance."""

import random
from collections.abc import Sequence

from tests.fuzz.picking import mutated
from tests.fuzz.targets import Target

_LONGEST_NOISE = 120


def tried(target: Target, seeds: Sequence[bytes], *, inputs: int, seed: int) -> None:
    """Give a target so many inputs, always the same ones for one seed.

    Raises:
        AssertionError: It failed; says by which input and seed, with the failure as the cause.
    """
    source = random.Random(seed)
    for number in range(inputs):
        data = _input(source, seeds, number)
        try:
            target(data)
        except Exception as error:
            raise AssertionError(f"input {number} of seed {seed}: {data!r}") from error


def _input(source: random.Random, seeds: Sequence[bytes], number: int) -> bytes:
    if number < len(seeds):
        return seeds[number]
    if seeds and source.random() < 0.6:
        return mutated(source, source.choice(seeds))
    return source.randbytes(source.randrange(_LONGEST_NOISE))

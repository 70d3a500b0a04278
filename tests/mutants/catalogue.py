"""The mutants as the TOML files beside this one list them, and the tests that need none."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).parent


class MutantError(Exception):
    """The data does not fit the code; the message says where."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """One defect: `old`, which stands just once in `file`, becomes `new`, and each of `tests` must fail.

    `trap` says what the defect brings back: an item of the list of proven traps, or its name in a few words.
    `tests` name functions as pytest does, without parameters: a function fails when it does so for any.
    """

    group: str
    name: str
    trap: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """The file's text with the defect."""
        count = text.count(self.old)
        if count != 1:
            raise MutantError(f"{self.name}: its old text stands {count} times in {self.file}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Exempt:
    """A test that no defect of ours can break, and why."""

    test: str
    reason: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every mutant and every exemption."""

    mutants: tuple[Mutant, ...]
    exempt: tuple[Exempt, ...]

    def chosen(self, names: Iterable[str]) -> tuple[Mutant, ...]:
        """Those of these names or groups; all of them without any."""
        wanted = set(names)
        known = {name for mutant in self.mutants for name in (mutant.name, mutant.group)}
        if unknown := wanted - known:
            raise MutantError(f"no mutant and no group is called {', '.join(sorted(unknown))}")
        return tuple(m for m in self.mutants if not wanted or {m.name, m.group} & wanted)


def load() -> Catalogue:
    """Read every TOML file; each is a group of its own name."""
    mutants: list[Mutant] = []
    exempt: list[Exempt] = []
    for path in sorted(FOLDER.glob("*.toml")):
        data = tomllib.loads(path.read_text())
        mutants += [_mutant(path.stem, entry) for entry in data.get("mutant", [])]
        exempt += [Exempt(**entry) for entry in data.get("exempt", [])]
    return Catalogue(tuple(mutants), tuple(exempt))


def _mutant(group: str, entry: dict[str, Any]) -> Mutant:
    wanted = {field.name for field in fields(Mutant)} - {"group"}
    if set(entry) != wanted:
        raise MutantError(f"{group}.toml: {entry.get('name')} has {sorted(entry)}, not {sorted(wanted)}")
    return Mutant(group=group, **{**entry, "tests": tuple(entry["tests"])})

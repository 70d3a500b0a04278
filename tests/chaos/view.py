"""Evidence, looked at from the side of the operations."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from tests.chaos.evidence import Evidence
from tests.chaos.outside import LABEL
from tests.integration.tasks.tables import Tables


@dataclass
class View:
    """`users`: whose each operation is. `accepted`: the operation of each task that was acknowledged, by its
    id; `ids`: the ids that were told for each. `calls_of`: the provider's calls for each."""

    evidence: Evidence
    users: dict[str, str] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)
    ids: dict[str, set[str]] = field(default_factory=dict)
    calls_of: dict[str, list[int]] = field(default_factory=dict)

    @classmethod
    def of(cls, evidence: Evidence) -> Self:
        view = cls(evidence)
        calls: defaultdict[str, list[int]] = defaultdict(list)
        for number, label in sorted(evidence.model_calls.items()):
            calls[label].append(number)
        view.calls_of = dict(calls)
        for line in evidence.history:
            if line["what"] == "invoke":
                view.users.setdefault(line["op"], line["user"])
            for task_id in line.get("task_ids", ()):
                view.accepted[task_id] = line["op"]
                if line["kind"] == "start":
                    view.ids.setdefault(line["op"], set()).add(task_id)
        return view

    @property
    def tables(self) -> Tables:
        return self.evidence.tables

    @property
    def runs(self) -> dict[str, dict[str, Any]]:
        return self.evidence.runs

    @property
    def facts(self) -> dict[str, Any]:
        return self.evidence.facts

    def label_of(self, run_id: str) -> str:
        """The operation that a run was begun for; of one that was tried again, the first one's."""
        found = LABEL.search(self.runs[run_id]["query"]) if run_id in self.runs else None
        return found[1] if found else ""

    def lines(self, *what: str) -> Iterator[dict[str, Any]]:
        """Those of the history that are of these sorts."""
        return (line for line in self.evidence.history if line["what"] in what)

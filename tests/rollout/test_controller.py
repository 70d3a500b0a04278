"""The controller steps up while the budget holds."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from llm_orchestrator_client.rollout.budget import Budget, BudgetSettings
from llm_orchestrator_client.rollout.controller import ControllerSettings, RolloutController, Step
from llm_orchestrator_client.rollout.conversations import Path as Route
from llm_orchestrator_client.rollout.flag_file import document_of
from llm_orchestrator_client.rollout.flags import Flag
from llm_orchestrator_client.rollout.halt import MemoryHalt
from llm_orchestrator_client.rollout.metrics import RolloutMetrics
from llm_orchestrator_client.rollout.targets import FlagFileTarget
from tests.rollout.rolling import flags_on

STEPS = tuple(Step(percentage, 10.0) for percentage in (10, 25, 50, 100))


class Stage:
    """A controller whose waits are the turns of a play: the test says what happens in each."""

    def __init__(self, file: Path, *, minimum_samples: int = 0) -> None:
        self.file = file
        self.halt = MemoryHalt()
        self.budget = Budget(
            BudgetSettings(minimum_samples=5), self.halt, RolloutMetrics(CollectorRegistry())
        )
        settings = ControllerSettings(steps=STEPS, minimum_samples=minimum_samples, look_seconds=5.0)
        self.controller = RolloutController(FlagFileTarget(file), self.budget, settings, wait=self._wait)
        self.seen: list[float] = []
        self.happens: dict[int, object] = {}
        self.each_turn = 1

    async def _wait(self, seconds: float) -> None:
        assert seconds == 5.0
        self.seen.append(self.percentage)
        match self.happens.get(len(self.seen)):
            case "errors":
                for _ in range(5):
                    self.budget.record(Route.ORCHESTRATOR, failed=True, first_byte=None)
            case "released":
                self.budget.release()
            case _:
                for _ in range(self.each_turn):
                    self.budget.record(Route.ORCHESTRATOR, failed=False, first_byte=0.1)

    @property
    def percentage(self) -> float:
        flag = document_of(self.file.read_bytes())["flags"][Flag.PERCENTAGE]
        return float(flag["variants"][flag["defaultVariant"]])


async def test_it_holds_each_step_and_ends_at_a_hundred(tmp_path: Path) -> None:
    stage = Stage(flags_on(tmp_path / "flags.json", 0))
    await stage.controller.run()
    assert stage.seen == [10, 10, 25, 25, 50, 50, 100, 100]


async def test_it_goes_on_above_where_the_rollout_stands(tmp_path: Path) -> None:
    stage = Stage(flags_on(tmp_path / "flags.json", 25))
    await stage.controller.run(above=25)
    assert stage.seen == [50, 50, 100, 100]


async def test_a_halt_keeps_it_there_and_after_the_release_the_step_begins_anew(tmp_path: Path) -> None:
    stage = Stage(flags_on(tmp_path / "flags.json", 0))
    stage.happens = {3: "errors", 4: "nothing", 5: "nothing", 6: "released"}
    await stage.controller.run()
    assert stage.seen == [10, 10, *[25] * 4, 25, 25, 50, 50, 100, 100]


async def test_without_calls_to_judge_by_it_does_not_move(tmp_path: Path) -> None:
    stage = Stage(flags_on(tmp_path / "flags.json", 0), minimum_samples=8)
    stage.each_turn = 2
    await stage.controller.run()
    assert stage.seen == [10] * 4 + [25] * 4 + [50] * 4 + [100] * 4

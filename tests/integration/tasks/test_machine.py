"""The stores beside an oracle in memory: two workers, in every order that Hypothesis finds."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from state.effects import Effect, EffectState, NewEffect
from state.errors import OrchestratorError
from state.models import Attempt, Record
from state.permissions import Answer, Decision, PermissionScope, Question
from tests.harness.questions import HOUR, question, replaced, resolved
from tests.harness.scale import SOAK, scaled
from tests.integration.tasks.consent import Consent, OracleQuestion
from tests.integration.tasks.machine import WORKERS, Machine
from tests.integration.tasks.oracle import Refusal
from tests.integration.tasks.world import World, opened_world

pytestmark = pytest.mark.timeout(600)

ANSWERS = st.sampled_from(
    [
        Answer(Decision.APPROVED, "ann"),
        Answer(Decision.APPROVED, "ann"),
        Answer(Decision.APPROVED, "ann", PermissionScope.RUN),
        Answer(Decision.DENIED, "ann"),
        Answer(Decision.REVOKED, "ann"),
    ]
)
SELDOM = st.sampled_from([False, False, False, True])
PERMISSIONS = "SELECT permission_id, state, scope FROM permissions"
EFFECTS = "SELECT tool_call_id, run_id, state, permission_ids FROM effects"


class AskingMachine(Machine):
    """The machine of runs, with runs that ask and act."""

    attempts: Bundle[Attempt] = Machine.attempts
    calls: Bundle[str] = Bundle("calls")

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._consent = Consent(self._oracle)

    def _drawn(self, data: st.DataObject, *states: str) -> OracleQuestion:
        asked = self._consent.questions.values()
        return data.draw(st.sampled_from([one for one in asked if not states or one.state in states]))

    def _owning(self, data: st.DataObject, attempt: Attempt) -> Attempt:
        """Mostly one that owns its run, if there is any."""
        running = self._in_state("running")
        if not running or data.draw(SELDOM):
            return attempt
        run = data.draw(st.sampled_from(running))
        return Attempt(run.run.owner, run.run.run_id, run.attempt)

    @rule(
        target=calls,
        attempt=attempts,
        worker=WORKERS,
        again=st.none() | calls,
        more=st.booleans(),
        data=st.data(),
    )
    def suspend(
        self, attempt: Attempt, worker: int, again: str | None, more: bool, data: st.DataObject
    ) -> str | MultipleResults[str]:
        """Ask about a call, perhaps one that was asked about before, and perhaps about another one too."""
        attempt = self._owning(data, attempt)
        asked = [question() if again is None else question(tool_call_id=again)]
        asked += [question()] if more else []
        self._written += 1
        sequence = len(self._oracle.runs[attempt.run_id].log) + 1
        last = [Record(sequence, f"asks {self._written}".encode())]
        expected = self._consent.suspend(attempt, asked)
        for _ in range(2 if expected is None else 1):  # whose answer is lost on its way asks again
            step = self._world.workers[worker].suspension.suspend(attempt, asked, HOUR, last)
            self._raises(step, expected)
        return multiple() if expected else asked[0].tool_call_id

    @precondition(lambda self: self._consent.questions)
    @rule(data=st.data(), worker=WORKERS, answers=st.lists(ANSWERS, min_size=1, max_size=3))
    def decide(self, data: st.DataObject, worker: int, answers: list[Answer]) -> None:
        asked = self._drawn(data)
        for answer in answers:
            self._decide(asked, worker, answer)

    def _decide(self, asked: OracleQuestion, worker: int, answer: Answer) -> None:
        expected, repeated = self._consent.decide(asked, answer)
        store, one = self._world.workers[worker].permissions, asked.question.permission_id

        async def decided() -> Refusal:
            try:
                permission, already = await store.decide(asked.run.run.owner, one, answer, resolved)
            except OrchestratorError as error:
                return type(error)
            assert (permission.state, already) == (asked.state, repeated)
            return None

        assert self._world.run(decided()) is expected

    @precondition(lambda self: any(one.state == "pending" for one in self._consent.questions.values()))
    @rule(data=st.data(), worker=WORKERS)
    def let_expire(self, data: st.DataObject, worker: int) -> None:
        asked = self._drawn(data, "pending")
        statement = "UPDATE permissions SET expire_time = now() WHERE permission_id = $1"
        self._world.run(self._world.execute(statement, UUID(asked.question.permission_id)))
        settle = self._world.workers[worker].permissions.settle
        assert self._world.run(settle(resolved, replaced)) == 1
        self._consent.expire(asked)

    @rule(target=calls, attempt=attempts, worker=WORKERS, known=st.none() | calls, data=st.data())
    def act_unasked(self, attempt: Attempt, worker: int, known: str | None, data: st.DataObject) -> str:
        attempt = self._owning(data, attempt)
        call = known or uuid4().hex
        effect = NewEffect(call, "write_file", question().digest)
        self._begins(attempt, worker, effect, self._consent.begin(attempt, call, None))
        return call

    @precondition(lambda self: self._consent.questions)
    @rule(attempt=attempts, worker=WORKERS, data=st.data(), others=SELDOM, unasked=SELDOM)
    def act(self, attempt: Attempt, worker: int, data: st.DataObject, others: bool, unasked: bool) -> None:
        """Make a call that somebody was asked about; seldom as another run, or as if nobody had been."""
        asked = self._drawn(data)
        going = [one for one in self._consent.questions.values() if one.run.state == "running"]
        if going and not others:
            asked = data.draw(st.sampled_from(going))
            attempt = replace(attempt, run_id=asked.run.run.run_id, number=asked.run.attempt)
        if unasked:
            effect = replace(_effect(asked.question), permission_id="")
            call = effect.tool_call_id
            self._begins(attempt, worker, effect, self._consent.begin(attempt, call, None))
            return
        expected = self._consent.begin(attempt, asked.question.tool_call_id, asked)
        self._begins(attempt, worker, _effect(asked.question), expected)

    def _begins(
        self, attempt: Attempt, worker: int, effect: NewEffect, expected: Refusal | EffectState
    ) -> None:
        async def begun() -> object:
            try:
                return await self._world.workers[worker].effects.begin(attempt, effect)
            except OrchestratorError as error:
                return type(error)

        outcome = b"done" if expected is EffectState.DONE else b""
        wanted = Effect(expected, outcome) if isinstance(expected, EffectState) else expected
        assert self._world.run(begun()) == wanted

    @rule(attempt=attempts, worker=WORKERS, call=calls, data=st.data())
    def finish_call(self, attempt: Attempt, worker: int, call: str, data: st.DataObject) -> None:
        attempt = self._owning(data, attempt)
        step = self._world.workers[worker].effects.finish(attempt, call, b"done")
        self._raises(step, self._consent.finish(attempt, call))

    @invariant()
    def questions_and_effects_are_as_the_oracle_says(self) -> None:
        rows = self._world.run(self._world.fetch(PERMISSIONS))
        assert {row["permission_id"].hex: (row["state"], row["scope"]) for row in rows} == {
            permission_id: (asked.state, asked.scope)
            for permission_id, asked in self._consent.questions.items()
        }
        effects = self._world.run(self._world.fetch(EFFECTS))
        assert {
            row["tool_call_id"].hex: (
                row["run_id"].hex,
                row["state"] == "done",
                {permission_id.hex for permission_id in row["permission_ids"]},
            )
            for row in effects
        } == {
            call: (effect.run_id, effect.done, effect.rested_on)
            for call, effect in self._consent.effects.items()
        }


def _effect(asked: Question) -> NewEffect:
    return NewEffect(asked.tool_call_id, asked.tool_name, asked.digest, asked.permission_id)


def test_the_stores_do_what_the_oracle_does(server_dsn: str) -> None:
    with opened_world(server_dsn) as world:
        run_state_machine_as_test(
            lambda: AskingMachine(world),  # type: ignore[arg-type]  # its documentation says "a factory"
            settings=settings(
                max_examples=scaled(120),
                stateful_step_count=40,
                deadline=None,
                database=None,
                derandomize=not SOAK,
                suppress_health_check=list(HealthCheck),
            ),
        )

"""Where the rollout stands, and for administrators its halt and release."""

from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Response
from prometheus_client import Counter
from pydantic import BaseModel, ConfigDict, Field

from backend.parts import Parts
from backend.plain import json_response, plain
from backend.problems import ProblemError
from backend.sessions import Caller, Who
from llm_orchestrator_client.rollout.conversations import Path

HALTED_BY_HAND = "administrator"


class Dial(BaseModel):
    """How many of the users are to go to the orchestrator."""

    model_config = ConfigDict(extra="forbid")

    percentage: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]


class RolloutRoutes:
    """Whoever is known may look, an administrator may act."""

    def __init__(self, parts: Parts) -> None:
        self._rollout = parts.rollout
        self._halt = parts.halt
        self._dial = parts.dial

    def router(self) -> APIRouter:
        """Its endpoints."""
        router = APIRouter(prefix="/rollout", tags=["rollout"])
        router.add_api_route("", self.state, methods=["GET"], response_class=Response)
        router.add_api_route("/halt", self.halt, methods=["POST"], response_class=Response)
        router.add_api_route("/release", self.release, methods=["POST"], response_class=Response)
        router.add_api_route("/percentage", self.turn, methods=["PUT"], response_class=Response)
        return router

    async def state(self) -> Response:
        """Flags, halt, decisions and fallbacks since the start, and both paths in the budget's window."""
        return json_response(self._state())

    async def halt(self, who: Who) -> Response:
        """Send everybody but the allowed users to the local path."""
        _demand_administrator(who)
        self._halt.stop(HALTED_BY_HAND)
        return json_response(self._state())

    async def release(self, who: Who) -> Response:
        """Let the rollout go on, judged from now."""
        _demand_administrator(who)
        self._rollout.budget.release()
        return json_response(self._state())

    async def turn(self, who: Who, dial: Dial) -> Response:
        """Write the percentage into the flag file, which is in force when it is read again."""
        _demand_administrator(who)
        if self._dial is None:
            raise ProblemError(HTTPStatus.CONFLICT, "the flags are not in a file", reason="NO_FLAG_FILE")
        try:
            self._dial.set(dial.percentage)
        except ValueError as error:
            raise ProblemError(
                HTTPStatus.CONFLICT, "the flag file is none", reason="BAD_FLAG_FILE"
            ) from error
        return json_response(self._state())

    def _state(self) -> dict[str, Any]:
        enabled, percentage = self._rollout.flags.now()
        metrics, budget = self._rollout.metrics, self._rollout.budget
        return {
            "enabled": enabled,
            "percentage": percentage,
            "adjustable": self._dial is not None,
            "halted": budget.cause(),
            "breaker_open": not self._rollout.breaker.closed,
            "decisions": _counted(metrics.decisions),
            "fallbacks": _counted(metrics.fallbacks),
            "paths": {path.value: plain(budget.seen(path)) for path in Path},
        }


def _counted(counter: Counter) -> list[dict[str, Any]]:
    samples = [sample for family in counter.collect() for sample in family.samples]
    return [{**s.labels, "count": int(s.value)} for s in samples if s.name.endswith("_total")]


def _demand_administrator(who: Caller) -> None:
    if not who.administrator:
        raise ProblemError(HTTPStatus.FORBIDDEN, "only an administrator may do that")

"""What goes wrong, as RFC 9457 tells it: application/problem+json, and when to come back."""

import json
import math
from collections.abc import Mapping
from datetime import timedelta
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from llm_orchestrator_client import errors

STATUS: Mapping[type[errors.OrchestratorError], HTTPStatus] = {
    errors.InvalidRequestError: HTTPStatus.BAD_REQUEST,
    errors.UnauthenticatedError: HTTPStatus.BAD_GATEWAY,  # our own credentials, not the caller's
    errors.PermissionDeniedError: HTTPStatus.FORBIDDEN,
    errors.NotFoundError: HTTPStatus.NOT_FOUND,
    errors.ConversationBusyError: HTTPStatus.CONFLICT,
    errors.AlreadyExistsError: HTTPStatus.CONFLICT,
    errors.PreconditionError: HTTPStatus.CONFLICT,
    errors.SequenceError: HTTPStatus.BAD_REQUEST,
    errors.SaturatedError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.QuotaError: HTTPStatus.TOO_MANY_REQUESTS,
    errors.UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.LostError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeadlineError: HTTPStatus.GATEWAY_TIMEOUT,
    errors.CancelledError: HTTPStatus.CONFLICT,
    errors.UnsupportedError: HTTPStatus.NOT_IMPLEMENTED,
    errors.ServerError: HTTPStatus.BAD_GATEWAY,
    errors.OrchestratorError: HTTPStatus.BAD_GATEWAY,
}
_COME_BACK = frozenset({HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS})


class ProblemError(Exception):
    """A request that this backend itself refuses. `detail` is shown."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        reason: str = "",
        headers: Mapping[str, str] | None = None,
        violations: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.reason = reason
        self.headers = dict(headers or {})
        self.violations = dict(violations or {})


def problem(status: HTTPStatus, detail: str, **more: object) -> dict[str, Any]:
    """The body; members that are empty are left out."""
    body = {"type": "about:blank", "title": status.phrase, "status": int(status), "detail": detail, **more}
    return {name: value for name, value in body.items() if value not in ("", None, {}, ())}


def of_error(error: errors.OrchestratorError) -> dict[str, Any]:
    """The body for what the orchestrator, or the client, says. No text of a connection's failure is shown."""
    status = STATUS[type(error)]
    detail = error.message if error.reason else f"the orchestrator: {error.code.name}"
    after = None if error.retry_after is None else error.retry_after.total_seconds()
    return problem(
        status,
        detail,
        reason=error.reason or error.code.name,
        retryable=error.retryable,
        retry_after_seconds=after,
        metadata=error.metadata,
        violations=error.violations,
    )


def retry_after(after: timedelta | None, *, default: int = 1) -> str:
    """The header's value: whole seconds, at least one."""
    return str(default if after is None else max(1, math.ceil(after.total_seconds())))


def problem_response(body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A response with that body."""
    content = json.dumps(body, ensure_ascii=False)
    return Response(content, body["status"], dict(headers or {}), media_type="application/problem+json")


async def _orchestrator_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, errors.OrchestratorError)
    body = of_error(error)
    headers = {"Retry-After": retry_after(error.retry_after)} if body["status"] in _COME_BACK else {}
    return problem_response(body, headers)


async def _own_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    body = problem(error.status, error.detail, reason=error.reason, violations=error.violations)
    return problem_response(body, error.headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    wrong = {".".join(map(str, item["loc"])): str(item["msg"]) for item in error.errors()}
    body = problem(HTTPStatus.UNPROCESSABLE_ENTITY, "the request does not fit", violations=wrong)
    return problem_response(body)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    return problem_response(problem(status, str(error.detail)), error.headers)


def answer_problems(app: FastAPI) -> None:
    """Let every error be told as a problem."""
    app.add_exception_handler(errors.OrchestratorError, _orchestrator_error)
    app.add_exception_handler(ProblemError, _own_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)

"""The outermost edge of a request: whatever was not foreseen ends here, told to nobody but the log."""

import logging
import traceback
from http import HTTPStatus
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.problems import problem, problem_response

logger = logging.getLogger(__name__)


class Edge:
    """An exception is logged by type and place, and answered with an id that the log has."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 - the edge
            incident = uuid4().hex
            at = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{at.filename.rpartition('/')[2]}:{at.lineno}"
            found = {"error": type(error).__name__, "at": place, "incident": incident}
            logger.error("request failed", extra=found)  # noqa: TRY400 - its text may hold a secret
            if not started:
                body = problem(HTTPStatus.INTERNAL_SERVER_ERROR, f"internal error {incident}")
                await problem_response(body)(scope, receive, send)

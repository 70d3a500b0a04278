"""What waits for a person, and the person's answer."""

from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from backend.parts import Parts
from backend.plain import first, json_response, plain
from backend.problems import ProblemError
from backend.sessions import Who
from llm_orchestrator_client.records import Decision
from llm_orchestrator_client.values import Permission, PermissionScope

_MOST = 200


class Answer(BaseModel):
    """`approve` and `edit` name the arguments that were shown by their digest: no others are approved."""

    model_config = ConfigDict(extra="forbid")

    decision: Literal["approve", "deny", "edit", "revoke"]
    arguments_digest: str = ""
    arguments: dict[str, Any] | None = Field(default=None, description="for `edit`: what runs instead")
    scope: Literal["ONCE", "RUN", "CONVERSATION"] = "ONCE"
    reason: Annotated[str, Field(max_length=1000)] = ""


class PermissionRoutes:
    """The caller's own permissions."""

    def __init__(self, parts: Parts) -> None:
        self._permissions = parts.client.permissions

    def router(self) -> APIRouter:
        """Its endpoints."""
        router = APIRouter(prefix="/permissions", tags=["permissions"])
        router.add_api_route("", self.list, methods=["GET"], response_class=Response)
        router.add_api_route("/{permission_id}", self.decide, methods=["POST"], response_class=Response)
        return router

    async def list(
        self,
        who: Who,
        conversation_id: str = "",
        run_id: str = "",
        limit: Annotated[int, Query(ge=1, le=_MOST)] = 50,
    ) -> Response:
        """Those that wait, the newest first."""
        listed = self._permissions.list(
            user_id=who.user_id, conversation_id=conversation_id, run_id=run_id, page_size=limit
        )
        return json_response({"permissions": await first(listed, limit)})

    async def decide(self, who: Who, permission_id: str, answer: Answer) -> Response:
        """Approve it, deny it, approve it with other arguments, or take an approval back."""
        if answer.decision in ("approve", "edit") and not answer.arguments_digest:
            raise _wrong("arguments_digest", "is needed: it says which arguments were shown")
        if (answer.decision == "edit") != (answer.arguments is not None):
            raise _wrong("arguments", "is for `edit`, and needed there")
        return json_response(plain(await self._decided(who.user_id, permission_id, answer)))

    async def _decided(self, user_id: str, permission_id: str, answer: Answer) -> Decision:
        shown = Permission(permission_id=permission_id, arguments_digest=answer.arguments_digest)
        match answer.decision:
            case "approve" | "edit":
                return await self._permissions.approve(
                    shown,
                    scope=PermissionScope[answer.scope],
                    edited_arguments=answer.arguments,
                    reason=answer.reason,
                    user_id=user_id,
                )
            case "deny":
                return await self._permissions.deny(shown, reason=answer.reason, user_id=user_id)
            case "revoke":
                return await self._permissions.revoke(shown, reason=answer.reason, user_id=user_id)


def _wrong(name: str, why: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, f"{name}: {why}", violations={name: why})

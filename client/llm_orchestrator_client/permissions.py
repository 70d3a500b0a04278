"""What people decide: list what waits, approve it as shown or edited, deny it, take an approval back."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from uuid import uuid4

from llm_orchestrator_client import pages
from llm_orchestrator_client.channel import Connection
from llm_orchestrator_client.protos import orchestrator_pb2 as pb
from llm_orchestrator_client.records import Decision, decision_of
from llm_orchestrator_client.values import Permission, PermissionScope, PermissionState, permission_of


class Permissions:
    """The permissions of one connection. `user_id`: whose; empty = the options'.

    A decision about a `Permission` covers exactly the arguments that it holds: were they others meanwhile,
    PreconditionError. About an id alone it covers whatever is asked under it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stub = connection.stub

    async def list(
        self,
        *,
        user_id: str = "",
        conversation_id: str = "",
        run_id: str = "",
        states: Sequence[PermissionState] = (),
        page_size: int = 0,
    ) -> AsyncGenerator[Permission]:
        """The user's permissions, the newest first; those that wait, unless `states` says otherwise."""
        request = pb.PermissionRequest(
            user_id=user_id or self._connection.options.user_id,
            conversation_id=conversation_id,
            run_id=run_id,
            states=[pb.PermissionState.ValueType(state) for state in states],
            page_size=page_size,
        )
        found = pages.items(self._fetch, request, lambda page: map(permission_of, page.permissions))
        async with aclosing(found) as permissions:
            async for permission in permissions:
                yield permission

    async def approve(
        self,
        permission: Permission | str,
        *,
        scope: PermissionScope = PermissionScope.ONCE,
        edited_arguments: Mapping[str, Any] | None = None,
        reason: str = "",
        user_id: str = "",
        request_id: str = "",
    ) -> Decision:
        """Let the call be made, with the arguments that were shown or with others.

        Raises:
            PreconditionError: Decided differently already, expired, cancelled, or the arguments have changed.
            InvalidRequestError: A scope that is not allowed, or arguments that the tool refuses.
            OrchestratorError: As its other classes say.
        """
        request = self._decision(permission, "approved", reason, user_id, request_id)
        request.scope = pb.PermissionScope.ValueType(scope)
        if edited_arguments is not None:
            request.edited_arguments.SetInParent()  # also when there are none left
            request.edited_arguments.update(dict(edited_arguments))
        return await self._decide(request)

    async def edit(
        self, permission: Permission | str, arguments: Mapping[str, Any], *, user_id: str = ""
    ) -> Decision:
        """Approve it with these arguments instead. Raises as `approve`."""
        return await self.approve(permission, edited_arguments=arguments, user_id=user_id)

    async def deny(
        self, permission: Permission | str, *, reason: str = "", user_id: str = "", request_id: str = ""
    ) -> Decision:
        """Refuse the call; the model is told the reason. Raises as `approve`."""
        return await self._decide(self._decision(permission, "denied", reason, user_id, request_id))

    async def revoke(self, permission: Permission | str, *, reason: str = "", user_id: str = "") -> Decision:
        """Take back an approval that covers more than one call. Raises as `approve`."""
        return await self._decide(self._decision(permission, "revoked", reason, user_id, ""))

    def _decision(
        self, permission: Permission | str, word: str, reason: str, user_id: str, request_id: str
    ) -> pb.PermissionApproval:
        shown = permission if isinstance(permission, Permission) else Permission(permission_id=permission)
        return pb.PermissionApproval(
            user_id=user_id or self._connection.options.user_id,
            permission_id=shown.permission_id,
            arguments_digest=shown.arguments_digest,
            approval_decision=word,
            reason=reason,
            request_id=request_id or uuid4().hex,
        )

    async def _decide(self, request: pb.PermissionApproval) -> Decision:
        return decision_of(await self._connection.call(self._stub.ApprovePermission, request))

    async def _fetch(self, request: pb.PermissionRequest) -> pb.PermissionList:
        return await self._connection.call(self._stub.GetPendingPermissions, request)

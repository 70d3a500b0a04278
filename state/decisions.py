"""Which decision a permission takes, and which it refuses."""

from hashlib import sha256

from state.errors import WrongStateError
from state.permissions import Answer, Decision, Permission, PermissionScope, PermissionState
from state.violations import PreconditionViolation

_DECIDED = {
    Decision.APPROVED: PermissionState.APPROVED,
    Decision.DENIED: PermissionState.DENIED,
    Decision.REVOKED: PermissionState.REVOKED,
}


def decided_as(answer: Answer) -> PermissionState:
    """What a permission is once the answer was taken."""
    return _DECIDED[answer.decision]


def repeats(permission: Permission, answer: Answer) -> bool:
    """Whether just this was decided before: an approval of the same bytes, as far as the same scope."""
    if permission.state is not decided_as(answer):
        return False
    if answer.decision is not Decision.APPROVED:
        return True
    return (permission.scope, permission.edited_digest) == (answer.scope, answer.edited_digest)


def check(permission: Permission, answer: Answer) -> None:
    """Return when the answer can be taken; `permission` as it stands.

    Raises:
        WrongStateError: It cannot.
    """
    if answer.decision is Decision.REVOKED:
        if permission.state is not PermissionState.APPROVED or permission.scope is PermissionScope.ONCE:
            raise refused(permission, "only an approval that covers more than one call can be revoked")
        return
    if permission.state is not PermissionState.PENDING:
        raise refused(permission, f"the permission is {permission.state}")
    if answer.decision is Decision.DENIED:
        return
    if answer.scope not in permission.question.allowed_scopes:
        raise refused(permission, f"the scope {answer.scope} is not among those allowed")
    if answer.edited_digest != ("" if answer.edited is None else sha256(answer.edited).hexdigest()):
        raise refused(permission, "the digest is not of the edited arguments")


def check_shown(permission: Permission, answer: Answer) -> None:
    """Return when the person has seen what was asked.

    Raises:
        WrongStateError: It was something else.
    """
    if answer.shown_digest and answer.shown_digest != permission.question.digest:
        raise refused(permission, "the arguments_digest is of other arguments than were asked about")


def refused(permission: Permission, why: str) -> WrongStateError:
    """What a decision gets that the permission does not take."""
    permission_id = permission.question.permission_id
    return WrongStateError(
        why,
        PreconditionViolation("PERMISSION", permission_id, why),
        metadata={"permission_id": permission_id, "state": permission.state},
    )

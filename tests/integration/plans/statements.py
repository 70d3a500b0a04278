"""Every statement of the stores: those that are asked all the time, and those that may look at more."""

from collections.abc import Mapping

from tests.integration.plans.explaining import Hot
from tests.integration.plans.rows import uuid

RUN, CHAT, QUEUED, ENDED = (f"'{uuid(n)}'" for n in (100, 900, 2000, 2019))
_MINE = f"{RUN}, 'u100', 1"
_NEW = f"'{uuid(2**40)}'"
_PK = frozenset({"runs_pkey"})
_EVENTS = frozenset({"run_events_pkey"})
_THREAD = "'t100', ''"
_CHECKPOINT = frozenset({"checkpoints_newest"})
_WRITES = "array[0], array['m'], array['x'], array['b'::bytea]"
_BLOBS = "array['m'], array['9'], array['x'], array['b'::bytea]"
_LONG_AGO = "86400 * 2, 100"


def _hot(values: str, *indexes: str, blocks: int = 400, by: str = "worker") -> Hot:
    return Hot(values, frozenset(indexes), blocks, by)  # type: ignore[arg-type]


_TURN: Mapping[str, Hot] = {
    "runs_sql.HOLDER": _hot("'u100', 'a100'", "runs_one_active"),
    "runs_sql.BEGIN": _hot(
        f"{_NEW}, 'u1', 'chat', 'new', 'chat', 'q', array[1], array['p'::bytea], {_NEW}, false, 'class:0',"
        " 't1', 30, 2::smallint, '{}', NULL, 0, false, '', '', '', ''"
    ),
    "runs_sql.FINISH": _hot(
        f"{_MINE}, array[2], array['p'::bytea], array[true], 'succeeded', 'stop', '', 'r', NULL, 2",
        "runs_pkey",
    ),
    "runs_sql.REQUEUE": _hot(f"{_MINE}, NULL", "runs_pkey"),
    "runs_sql.DEFER": _hot(f"{_MINE}, 1, NULL", "runs_pkey"),
    "runs_sql.RETRY": _hot(f"{_MINE}, 1, NULL", "runs_pkey"),
    "runs_sql.CHOOSE": _hot(f"{_MINE}, 'a', '', '', '', 'class:0'", "runs_pkey"),
    "runs_sql.MARK_CANCELLING": _hot(_MINE, "runs_pkey"),
    "runs_sql.STANDS": _hot(_MINE, "runs_pkey", "run_events_pkey"),
    "runs_sql.LOCK": _hot(f"'u100', {RUN}", "runs_pkey", by="asking"),
    "runs_sql.ASK_TO_END": _hot(f"{RUN}, false", "runs_pkey", by="asking"),
    "runs_sql.GET": _hot(f"'u100', {RUN}", "runs_pkey", by="asked"),
    "runs_sql.LATEST": _hot("'u100', 'c0'", "runs_by_conversation", by="asked"),
    "events._APPEND": _hot(
        f"{RUN[:-1]},{uuid(101)}', array['u100', 'u101'], '1,1', '1,2', '2,2', array['a', 'b']::bytea[]"
    ),
    "events._READ": _hot(f"'u100', {RUN}, 0, 100", "run_events_pkey", by="asked"),
    "request_keys._TAKE": _hot(f"'u100', 'StartTask', 'new', 'd', {RUN}", by="asking"),
    "request_keys._HOLDER": _hot("'u100', 'StartTask', 'r100'", "request_keys_pkey", by="asked"),
    "request_keys._ANY_HOLDER": _hot("'u100', 'r100'", "request_keys_pkey", by="asked"),
}
_LINE: Mapping[str, Hot] = {
    "line_sql.JOIN": _hot(
        f"{_NEW}, 'u1', 'task', 'new', 'chat', 'q', true, 'class:0', 1, 0, 30, array[1], array['p'::bytea],"
        " NULL, 2::smallint, NULL, '{}', NULL, false, '', '', '', ''",
        "runs_in_line_of_owner",
    ),
    "line_sql.LOAD": _hot("1000", blocks=2500),
    "line_sql.FIRST": _hot("array['class:0', 'class:1']", "runs_in_line"),
    "line_sql.CLAIM": _hot(f"{_NEW}, 'class:0'", "runs_in_line", "runs_pkey"),
    "line_sql.CLAIM_QUARANTINED": _hot(f"{_NEW}, 'class:0'", "runs_quarantined"),
    "line_sql.QUARANTINED": _hot(f"{_NEW}, 1, 1", "runs_quarantined"),
    "line_sql.WANTED": _hot("", "runs_in_line"),
    "line_sql.QUIET": _hot("", "runs_in_line"),
    "line_sql.PLACES": _hot(f"array[{QUEUED}]::uuid[]", "runs_in_line", blocks=12_000),
    "line_sql.OVERDUE": _hot("", "runs_that_wait"),
    "leases._LOST": _hot(f"6, {_NEW}, array[]::uuid[], array[]::uuid[]", "runs_executed", blocks=4000),
    "leases._CANCELLING": _hot(RUN, "runs_executed"),
    "unattended._REQUEUE": _hot(f"{RUN}, {_NEW}", "runs_pkey"),
    "unattended._LAST_RECORD": _hot(f"{RUN}, 2, 'u100', 'p'"),
    "unattended._END": _hot(f"{RUN}, 'cancelling', 'X', 2", "runs_pkey"),
}
_TASKS: Mapping[str, Hot] = {
    "tasks._GET": _hot(f"'u0', {QUEUED}", "runs_pkey", blocks=12_000, by="asked"),
    "tasks._LIST": _hot(
        "'u19', NULL, array[]::text[], NULL, '{}', NULL, NULL, 51",
        "runs_tasks_of_owner",
        blocks=600,
        by="asked",
    ),
    "tasks._REQUEST": _hot(f"'u100', {RUN}", "runs_pkey", by="asked"),
    "usage._SUMS": _hot("'u100', now() - interval '1 day', NULL, 'EUR'", "usage_sums_of_owner", by="asked"),
    "usage._TODAY": _hot("'u100', 'EUR'", "usage_sums_of_owner", "runs_not_ended", blocks=2500, by="asked"),
}
_PERMISSIONS: Mapping[str, Hot] = {
    "permissions_sql.GET": _hot(f"'u100', {RUN}", "permissions_pkey", by="asked"),
    "permissions_sql.LOCK": _hot(f"'u100', {RUN}", "permissions_pkey", by="asking"),
    "permissions_sql.MATCH": _hot("'u0', 'a500', 'file_write'", "permissions_pending_of_owner", by="asked"),
    "permissions_sql.LIST": _hot(
        "'u100', NULL, NULL, array['approved'], NULL, NULL, 51",
        "permissions_of_owner",
        blocks=600,
        by="asked",
    ),
    "permissions_sql.LIST_PENDING": _hot(
        "'u100', NULL, NULL, array['pending'], NULL, NULL, 51", "permissions_pending_of_owner", by="asked"
    ),
    "permissions_sql.DECIDED": _hot(f"'u100', {RUN}, array[{RUN}]::uuid[]"),
    "permissions_sql.STANDING": _hot(f"'u100', 'a100', {RUN}", "permissions_standing"),
    "permissions_sql.BY_REQUEST": _hot("'u100', 'r100'", "permission_audit_by_request", by="asked"),
    "permissions_sql.EXPIRE": _hot(RUN),
    "permissions_sql.GO_ON": _hot(RUN),
    "permissions_sql.SOMEBODY_WAITS": _hot("", "runs_waiting"),
    "permissions_sql.DUE": _hot("100", "permissions_due"),
    "permissions_sql.WAITING_CHATS": _hot(f"{CHAT}, 100", "runs_waiting_chats", blocks=2000),
    "permissions_sql.COUNT_PENDING": _hot(RUN),
    "permissions_sql.SUSPENDED": _hot(f"{RUN}, 'u100', 1", "runs_pkey", "run_events_pkey"),
    "effects._OWNED": _hot(_MINE, "runs_pkey"),
    "effects._FIND": _hot(RUN, "effects_pkey"),
    "effects._PERMISSION": _hot(f"'u100', {RUN}, {RUN}"),
    "effects._ASKED": _hot(f"{RUN}, {RUN}"),
    "effects._FINISH": _hot(f"{_MINE}, {RUN}, 'o'"),
}
_CHECKPOINTS: Mapping[str, Hot] = {
    "checkpoints.sql.SELECT_NEWEST": _hot(f"'u100', {_THREAD}", "checkpoints_newest"),
    "checkpoints.sql.SELECT_ONE": _hot(f"'u100', {_THREAD}, '1001'"),
    "checkpoints.sql.LIST_THREAD": _hot(
        "'u100', 't100', '', NULL, '{}', 9223372036854775807, NULL, 100", "checkpoints_newest", blocks=400
    ),
    "checkpoints.sql.PUT": _hot(
        f"{_MINE}, {_THREAD}, 'z', '1009', '{{}}', '{{}}', {_BLOBS}", "runs_pkey", "checkpoints_newest"
    ),
    "checkpoints.sql.PUT_BRANCH": _hot(
        f"{_MINE}, {_THREAD}, 'z', '1009', '{{}}', '{{}}', {_BLOBS}, 1009", "runs_pkey", "checkpoints_newest"
    ),
    "checkpoints.sql.PUT_WRITES_ONCE": _hot(f"{_MINE}, {_THREAD}, '1009', 'n', '', {_WRITES}", "runs_pkey"),
    "checkpoints.sql.PUT_WRITES_AGAIN": _hot(f"{_MINE}, {_THREAD}, '1009', 't', '', {_WRITES}", "runs_pkey"),
    "checkpoints.delta.SELECT_HISTORY": _hot(
        f"'u100', {_THREAD}, NULL, array['m']", "checkpoints_newest", blocks=400
    ),
    "conversations._ACTIVE": _hot(f"'u100', 'a100', {_NEW}", by="asking"),
    "conversations._DELETE_CHECKPOINTS": _hot("'t100'", by="asking"),
}
_UPKEEP: Mapping[str, Hot] = {
    "outbox._NEXT": _hot("'15s', 100", "outbox_pkey"),
    "outbox._AFTER": _hot("100, array[]::bigint[], 100", "outbox_pkey"),
    "outbox._FORGET": _hot("array[1, 2, 3]", "outbox_pkey"),
    "retention_sql.OLD_RUNS": _hot(_LONG_AGO, "runs_with_thread", blocks=600),
    "retention_sql.MARK_PRUNED": _hot(f"array[{RUN}]::uuid[]", "runs_pkey"),
    "retention_sql.LOCK_CHECKPOINTS": _hot("array['t100'], array['u100'], array['c9'], 60, 100"),
    "retention_sql.DELETE_CHECKPOINTS": _hot(
        "array['t100'], array['u100'], array['c9'], 60, array['t100'], array[''], array['1001']"
    ),
    "retention_sql.DELETE_WRITES": _hot("array['t100'], array['u100'], array['c9'], 60, 100"),
    "retention_sql.DELETE_BLOBS": _hot("array['t100'], array['u100'], array['c9'], 60, 100"),
    "retention_sql.FORGET_PARENTS": _hot("array['t100'], array['u100'], array['c9'], 60"),
    "retention_sql.DELETE_EVENTS": _hot("86400 * 2, 100, 100", "runs_with_log", blocks=3000),
    "retention_sql.DELETE_RUNS": _hot(_LONG_AGO, "runs_pruned", blocks=6000),
    "retention_sql.DELETE_USAGE": _hot(_LONG_AGO, "usage_sums_by_time", blocks=1000),
    "retention_sql.DELETE_REQUEST_KEYS": _hot(_LONG_AGO, "request_keys_by_age", blocks=2000),
    "retention_sql.DELETE_OUTBOX": _hot(_LONG_AGO, "outbox_by_age", blocks=1000),
}
HOT: Mapping[str, Hot] = {**_TURN, **_LINE, **_TASKS, **_PERMISSIONS, **_CHECKPOINTS, **_UPKEEP}
"""By module and name below state.postgres."""

SELDOM: Mapping[str, str] = {
    "agent_versions._KEEP": "when agents' files change",
    "agent_versions._FIND": "by primary key of a small table",
    "asking._AS_OWNER": "a form around others",
    "asking.NAME_OWNER": "no table",
    "checkpoints.branches._FIND": "when a branch begins",
    "checkpoints.branches._IS_EMPTY": "when a branch begins",
    "checkpoints.branches._COPY": "when a branch begins",
    "checkpoints.sql._HEAD": "a part of others",
    "checkpoints.sql._LIST": "a form of others",
    "checkpoints.sql.LIST_OWNER": "of the saver's interface; the service never asks it",
    "checkpoints.sql.PUT_UNFENCED": "of the saver outside the service",
    "checkpoints.sql.PUT_WRITES_ONCE_UNFENCED": "of the saver outside the service",
    "checkpoints.sql.PUT_WRITES_AGAIN_UNFENCED": "of the saver outside the service",
    **{
        f"checkpoints.upkeep_sql.{name}": "of the saver's interface, for a person's upkeep"
        for name in ("DELETE", "COPY", "LOCK_THREAD", "_DELTA_CHANNELS", "KEEP_LATEST", "DELETE_RUNS")
    },
    **{
        f"checkpoints.resealing.{name}": "by primary key of one thread, when a branch is made of sealed rows"
        for name in ("_BLOBS", "_WRITES", "_CHECKPOINTS", "_SET_BLOB", "_SET_WRITE", "_SET_CHECKPOINT")
    },
    **{
        name: "when a process starts or a backup is put back"
        for name in (
            "migration._LEDGER",
            "migrate._APPLIED",
            "migrate._TURN",
            "restoring._NEXT_EVENT",
            "restoring._AT_WORK",
            "restoring._EXISTS",
        )
    },
    "readings._OLDEST": "the first by primary key, when metrics are asked for",
    "conversations._TAKE_PLACE": "the same insertion as runs_sql.BEGIN",
    "conversations._DELETE_RUNS": "deletes what there is of a conversation",
    "drain._SINCE": "replicas, of which there are few",
    "effects._BEGIN": "an insertion by primary key",
    "leases.LOCKED": "a form around others",
    "leases._BEAT": "replicas, of which there are few",
    "leases._LEAVE": "replicas, of which there are few",
    **{f"line_sql.{name}": "one row" for name in ("REFUSE", "TELL_FULL", "TELL_ACCEPTING", "REFUSING")},
    "line_sql._TAKE": "a form of others",
    "migrate._MAY_ONLY_LOOK": "no table of ours",
    "outbox._KEEP": "no table",
    "outbox._LAG": "counts, up to a million, when metrics are asked for",
    "permissions_sql.SELECT": "a part of others",
    "permissions_sql.DECIDE": "by primary key, once a person has decided",
    "permissions_sql.REVOKE": "by primary key, once a person has decided",
    "permissions_sql.RECORD": "an insertion",
    "permissions_sql.IS_DISPLACED": "a part of WAITING_CHATS",
    "permissions_sql.THESE": "by primary key, of those that WAITING_CHATS found",
    "permissions_sql.SUSPEND": "the same as runs_sql.REQUEUE, with events",
    "permissions_sql.ASK": "an insertion by primary key",
    "providers_down._TELL": "providers, of which there are few",
    "providers_down._FORGET": "providers, of which there are few",
    "readings._PENDING": "counts when metrics are asked for",
    "retention_sql.TAKE_TURN": "no table",
    **{f"roles.{name}": "Postgres' own tables" for name in ("_EXISTING", "_TABLES", "_GRANTED", "_POLICIES")},
    **{f"roles.{name}": "Postgres' own tables" for name in ("_USES", "_STANDS")},
    "runs_sql.HURRY": "by primary key, when a person cancels twice",
    "runs_sql.SELECT_RUN": "a part of others",
    "storage._TABLES": "for `make storage`, which may look at everything",
    "storage._LARGEST": "for `make storage`, which may look at everything",
    "tasks._SELECT": "a part of others",
}
"""Statements of which no plan is pinned, and why they may do as they do."""

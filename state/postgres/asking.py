"""Asking for an owner: the statement tells Postgres whose rows there are, for as long as it runs.

Row-level security (migration 0024) compares each row's owner with a setting of the transaction. To set it in
a statement of its own would cost a transaction with three round trips more: the reading statement sets it.
"""

from functools import cache

# LATERAL and OFFSET 0 are the guarantee: the inner query needs a value of the outer one and may not be merged
# with it, so nothing of it is evaluated before the setting is made. Were that ever otherwise, it would see
# nothing: the setting of a transaction ends with it.
_AS_OWNER = """
WITH asking AS MATERIALIZED (SELECT set_config('orchestrator.owner', $1::text, true) AS owner)
SELECT answer.* FROM asking CROSS JOIN LATERAL (
    SELECT * FROM ({}) AS answer WHERE asking.owner = $1 OFFSET 0
) AS answer
"""

NAME_OWNER = """
SELECT set_config('orchestrator.owner', $1, true), set_config('orchestrator.thread', $2, true)
"""
"""The same for the statements that come after it in a transaction."""


@cache
def as_owner(statement: str) -> str:
    """A reading statement whose $1 is an owner, as one that sees this owner's rows alone."""
    return _AS_OWNER.format(statement)

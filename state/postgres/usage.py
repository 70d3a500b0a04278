"""What runs have used, by user and time; migration 0012 tells how it is counted."""

from datetime import datetime

import asyncpg

from state.models import Owner
from state.postgres.database import Database
from state.usage import AgentUsage, ModelUsage, Usage, UsedToday

# Costs in another currency than the one of now cannot be added to it.
_SUMS = """
SELECT agent_name, provider, model,
    sum(input_tokens)::bigint AS input_tokens,
    sum(output_tokens)::bigint AS output_tokens,
    sum(cached_input_tokens)::bigint AS cached_input_tokens,
    sum(reasoning_tokens)::bigint AS reasoning_tokens,
    sum(model_calls)::bigint AS model_calls,
    sum(tool_calls)::bigint AS tool_calls,
    coalesce(sum(cost_micros) FILTER (WHERE currency = $4), 0)::bigint AS cost_micros,
    bool_or(estimated) AS estimated
FROM usage_sums
WHERE owner = $1 AND since >= coalesce($2, '-infinity'::timestamptz)
    AND since < coalesce($3, 'infinity'::timestamptz)
GROUP BY agent_name, provider, model
ORDER BY agent_name, provider, model
"""

# What has not ended counts as a run, and nothing more is known of it yet.
_TODAY = """
WITH day AS (SELECT date_trunc('day', now(), 'UTC') AS begins)
SELECT day.begins,
    extract(epoch FROM day.begins + interval '1 day' - now())::float8 AS seconds_left,
    coalesce(sum(u.runs), 0)::bigint + (
        SELECT count(*) FROM runs r
        WHERE r.owner = $1 AND r.end_time IS NULL AND r.create_time >= day.begins
    ) AS runs,
    coalesce(sum(u.input_tokens + u.output_tokens), 0)::bigint AS tokens,
    coalesce(sum(u.cost_micros) FILTER (WHERE u.currency = $2), 0)::bigint AS cost_micros
FROM day LEFT JOIN usage_sums u ON u.owner = $1 AND u.since >= day.begins
GROUP BY day.begins
"""

_KEPT = tuple(field for field in ModelUsage.__match_args__ if field != "calls_beside")
"""What the sums have: which of the calls were steps concerns a run alone."""


class PostgresUsage:
    """Implements `orchestrator.usage.UsageStore` and `orchestrator.budgets.DayStore`."""

    def __init__(self, callers: Database) -> None:
        self._callers = callers

    async def by_agent(
        self, owner: Owner, begins: datetime | None, ends: datetime | None, currency: str
    ) -> list[AgentUsage]:
        rows = await self._callers.asked(_SUMS, owner, begins, ends, currency)
        agents: dict[str, list[asyncpg.Record]] = {}
        for row in rows:
            agents.setdefault(row["agent_name"], []).append(row)
        return [_agent(name, parts, currency) for name, parts in agents.items()]

    async def today(self, owner: Owner, currency: str) -> UsedToday:
        (row,) = await self._callers.asked(_TODAY, owner, currency)
        return UsedToday(**row)


def _agent(name: str, rows: list[asyncpg.Record], currency: str) -> AgentUsage:
    """The rows of models, and the one that counts the runs."""
    parts = [ModelUsage(**{f: row[f] for f in _KEPT}) for row in rows if row["model"]]
    tool_calls = sum(row["tool_calls"] for row in rows)
    return AgentUsage(name, Usage.of(parts, tool_calls=tool_calls, currency=currency))

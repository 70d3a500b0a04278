"""Usage as the wire shows it, and requests for it."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from orchestrator.codec.validation import Violations, check_user
from orchestrator.usage import SLICE_SECONDS, Report
from protos import orchestrator_pb2 as pb
from state.models import Owner
from state.usage import Usage

_FIRST_SECOND = int(datetime(1, 1, 1, tzinfo=UTC).timestamp())
_LAST_SECOND = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())


def span(request: pb.GetUsageRequest) -> tuple[Owner, datetime | None, datetime | None]:
    """Whose usage, from when on, and until when.

    Raises:
        InvalidRequestError: With every field that breaks a rule.
    """
    check = Violations()
    check_user(check, request.user_id)
    start = _time(check, "start_time", request.start_time) if request.HasField("start_time") else None
    end = _time(check, "end_time", request.end_time) if request.HasField("end_time") else None
    if start and end and end < start:
        check.add("end_time", "may not be before start_time")
    check.done()
    return Owner(request.user_id), start, end


def response(report: Report) -> pb.GetUsageResponse:
    message = pb.GetUsageResponse(
        usage=usage(report.usage),
        by_agent=[
            pb.AgentUsage(agent_name=agent.agent_name, usage=usage(agent.usage)) for agent in report.by_agent
        ],
    )
    for quota in report.quotas:
        status = message.quotas.add(name=quota.name, limit=quota.limit, used=quota.used)
        status.reset_time.FromDatetime(quota.reset_time)
    return message


def usage(value: Usage) -> pb.Usage:
    total = value.total
    return pb.Usage(
        input_tokens=total.input_tokens,
        output_tokens=total.output_tokens,
        cached_input_tokens=total.cached_input_tokens,
        reasoning_tokens=total.reasoning_tokens,
        model_calls=total.model_calls,
        tool_calls=value.tool_calls,
        cost_micros=total.cost_micros,
        currency=value.currency,
        estimated=total.estimated,
        by_model=[
            pb.ModelUsage(
                provider=one.provider,
                model=one.model,
                input_tokens=one.input_tokens,
                output_tokens=one.output_tokens,
                cost_micros=one.cost_micros,
            )
            for one in value.by_model
        ],
    )


def _time(check: Violations, field: str, time: Timestamp) -> datetime | None:
    if not _FIRST_SECOND <= time.seconds <= _LAST_SECOND:
        check.add(field, "must be from year 1 to 9999")
    elif time.nanos or time.seconds % SLICE_SECONDS:
        # Rounded it would mean something else than it says.
        check.add(field, "must be a whole quarter of an hour: usage is counted by these")
    else:
        return time.ToDatetime(UTC)
    return None

"""Every metric by its name, with what it means: docs/metrics.md is checked against this table.

Names are OpenTelemetry's where it has one, as Prometheus writes them (`rpc.server.call.duration` becomes
`rpc_server_call_duration_seconds`). No label ever holds a user, a conversation or any text of a caller's.
"""

from dataclasses import dataclass
from enum import StrEnum

LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
"""Seconds. gRPC's own end at 100 s, a run may take an hour."""
FIRST = (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 20, 30, 60)
GAP = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 15, 30, 60)
BRIEF = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
HUMAN = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 24 * 3600, 7 * 24 * 3600)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Kind(StrEnum):
    """As Prometheus has them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One family. `buckets`: the upper bounds of a histogram's."""

    name: str
    kind: Kind
    text: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.COUNTER, text, labels)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, Kind.GAUGE, text, labels)


def _histogram(name: str, buckets: tuple[float, ...], text: str, *labels: str) -> Metric:
    return Metric(name, Kind.HISTOGRAM, text, labels, buckets)


_METHOD = "rpc_method"
_MODEL = ("gen_ai_provider_name", "gen_ai_request_model")
_AGENT = "gen_ai_agent_name"
_TOOL = "gen_ai_tool_name"

CALLS = _histogram(
    "rpc_server_call_duration_seconds",
    LONG,
    "Calls of this server that have ended, by method and status.",
    _METHOD,
    "rpc_response_status_code",
)
FIRST_CHUNK = _histogram(
    "orchestrator_time_to_first_chunk_seconds",
    FIRST,
    "From the arrival of a stream's call to its first message, whatever that is.",
    _METHOD,
)
CHUNK_GAP = _histogram(
    "orchestrator_chunk_gap_seconds", GAP, "Between two messages of one stream, heartbeats too.", _METHOD
)
STREAMS = _gauge("orchestrator_active_streams", "Streams that are open now.", _METHOD)

RUNS = _counter(
    "orchestrator_runs_total",
    "Runs that have ended; reason is that of an error, empty where there is none.",
    _AGENT,
    "kind",
    "outcome",
    "reason",
)
RUN_DURATION = _histogram(
    "gen_ai_invoke_agent_duration_seconds",
    LONG,
    "The attempt of a run that ended it, from its beginning here.",
    _AGENT,
    "kind",
    "outcome",
)
RUN_FIRST_TEXT = _histogram(
    "orchestrator_run_first_text_seconds",
    FIRST,
    "From the beginning of an attempt to its first piece of text.",
    "kind",
)
ACTIVE_RUNS = _gauge("orchestrator_active_runs", "Runs that this process executes now.")
PUT_BACK = _counter(
    "orchestrator_run_put_back_total",
    "Attempts after which a run went back to the line: deferral, retry or handed_back.",
    "how",
)
SUSPENDED = _counter("orchestrator_run_suspended_total", "Attempts that ended in a question to a person.")
LOST = _counter("orchestrator_leases_lost_total", "Attempts here that another one has taken the run from.")
REAPED = _counter("orchestrator_runs_reaped_total", "Runs of dead replicas that this one has settled.")
TOKENS_USED = _counter(
    "orchestrator_tokens_total",
    "Tokens of runs that have ended, of all attempts; type is input, output, cached_input or reasoning.",
    _AGENT,
    *_MODEL,
    "gen_ai_token_type",
)
COST = _counter(
    "orchestrator_cost_micros_total",
    "Cost of runs that have ended, in millionths of the currency of the provider file.",
    _AGENT,
    *_MODEL,
)
RUN_MODEL_CALLS = _counter(
    "orchestrator_run_model_calls_total",
    "Answers of models in runs that have ended, as they are accounted for.",
    _AGENT,
    *_MODEL,
)

MODEL_CALLS = _histogram(
    "gen_ai_client_operation_duration_seconds",
    LONG,
    "Calls of models; error_type is empty where the answer came whole.",
    *_MODEL,
    "error_type",
)
MODEL_FIRST = _histogram(
    "gen_ai_client_operation_time_to_first_chunk_seconds",
    FIRST,
    "From the call of a model to the first piece of its answer.",
    *_MODEL,
)
MODEL_TOKENS = _histogram(
    "gen_ai_client_token_usage",
    TOKENS,
    "Tokens of one call; type is input or output.",
    *_MODEL,
    "gen_ai_token_type",
)
PROVIDER_STATE = _gauge(
    "orchestrator_provider_state",
    "1 for the state that a model is in: available, saturated, unavailable or probing.",
    *_MODEL,
    "state",
)
PROVIDER_IN_FLIGHT = _gauge("orchestrator_provider_in_flight", "Calls that have a permit now.", *_MODEL)
PROVIDER_LIMIT = _gauge("orchestrator_provider_limit", "How many calls may have one at present.", *_MODEL)
PROVIDER_REFUSALS = _counter(
    "orchestrator_provider_refusals_total",
    "Permits that were asked for and not given; reason is concurrency, requests, tokens, vendor or down.",
    *_MODEL,
    "reason",
)

QUEUE_DEPTH = _gauge(
    "orchestrator_queue_depth", "Runs in line, of all replicas, counted up to the high mark."
)
QUEUE_ACTIVE = _gauge("orchestrator_queue_active", "Runs in line or executed, counted in the same way.")
QUEUE_REFUSING = _gauge("orchestrator_queue_refusing", "1 while nobody may join the line.")
QUEUE_WAIT = _histogram(
    "orchestrator_queue_wait_seconds",
    LONG,
    "How long a run stood in line that was taken from it, by the database's clock.",
    "kind",
)
ESTIMATE_ERROR = _histogram(
    "orchestrator_queue_estimate_error_seconds",
    LONG,
    "How far the wait was from the estimate at joining; side is early (it came sooner) or late.",
    "side",
)

PERMISSIONS_WAITING = _gauge("orchestrator_permissions_waiting", "Questions that nobody has answered yet.")
PERMISSION_WAIT = _histogram(
    "orchestrator_permission_wait_seconds",
    HUMAN,
    "From a question to its decision; decision is approved, denied, expired or revoked.",
    "decision",
)

TOOLS = _histogram(
    "gen_ai_execute_tool_duration_seconds",
    LONG,
    "Tools that were called; outcome is ok, failed or cut.",
    _TOOL,
    "outcome",
)
TOOLS_REFUSED = _counter(
    "orchestrator_tool_refusals_total", "Wishes for a tool that were not carried out.", _TOOL, "reason"
)

FLUSH = _histogram("orchestrator_log_flush_seconds", BRIEF, "Writing one batch of the runs' logs.")
FLUSH_RECORDS = _histogram("orchestrator_log_flush_records", SIZES, "Records in one batch of it.")
POOL_SIZE = _gauge("orchestrator_db_pool_connections", "Connections to Postgres that callers and runs share.")
POOL_IN_USE = _gauge("orchestrator_db_pool_in_use", "Those that are taken now.")
EVENT_LAG = _gauge("orchestrator_event_lag_seconds", "Age of the oldest event that was not passed on.")
JOURNAL_TASKS = _gauge("orchestrator_journal_tasks", "Tasks in the outage journal of this process.")
LOOP_LAG = _histogram("orchestrator_event_loop_lag_seconds", BRIEF, "How late the event loop was.")
ASYNCIO_TASKS = _gauge("orchestrator_asyncio_tasks", "Tasks of the event loop that have not ended.")
SCRAPE_FAILED = _gauge(
    "orchestrator_scrape_incomplete", "1 if what is in Postgres could not be read for this scrape."
)
SPANS = _counter("orchestrator_spans_total", "Spans, by result: exported, failed or dropped.", "result")

METRICS = tuple(value for value in list(globals().values()) if isinstance(value, Metric))

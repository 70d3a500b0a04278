"""Every target by its name: the long form and the short one run the same functions."""

from collections.abc import Callable, Mapping

from tests.fuzz import requests, stored, streams, tooling

Target = Callable[[bytes], None]
"""Returns for any bytes; whatever it raises is a fault."""

TARGETS: Mapping[str, Target] = {
    target.__name__: target
    for target in (
        requests.request_bytes,
        requests.page_tokens,
        requests.trace_headers,
        streams.events,
        streams.openai,
        streams.anthropic,
        streams.gemini,
        streams.remote_chunks,
        streams.client_events,
        tooling.arguments,
        tooling.requests_of_tools,
        tooling.results,
        tooling.outputs,
        tooling.sources,
        tooling.schemas,
        tooling.specs,
        tooling.answers,
        stored.checkpoints,
        stored.agent_files,
        stored.flag_files,
    )
}

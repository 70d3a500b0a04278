"""What readers of a log are shown of tools."""

from datetime import UTC, datetime

import pytest

from agents.events import ToolAnswered
from orchestrator.codec.chunks import ReaderOptions, decode, encode
from orchestrator.events import ChunkHeader
from state.models import RunId
from tools.gateway import failures

HEADER = ChunkHeader(RunId("0" * 32), "rss", 7, datetime(2026, 1, 2, tzinfo=UTC))
FAILURES = {one.reason for one in vars(failures).values() if isinstance(one, failures.Failure)}


@pytest.mark.parametrize("reason", sorted(FAILURES | {"TOOL_REFUSED", "INVALID_ARGUMENTS", "UNKNOWN_TOOL"}))
def test_every_reason_why_a_tool_has_failed_has_a_code(reason: str) -> None:
    event = ToolAnswered("c1", "list_rss_feeds", ok=False, summary="failed", reason=reason)
    result = decode(encode(event, HEADER), ReaderOptions()).tool_result
    assert result.error.reason == reason
    assert result.error.code not in (0, 2)

"""What gRPC cannot hold is a setting that is refused, never a traceback at the start."""

import grpc
import pytest
from pydantic import ValidationError

from tests.harness.service import settings_for_tests
from wiring.limits import edge_of

TIMES = (
    "keepalive_seconds",
    "keepalive_timeout_seconds",
    "min_ping_interval_seconds",
    "connection_age_seconds",
    "stream_seconds",
)
SIZES = ("max_receive_bytes", "max_send_bytes", "max_metadata_bytes")
BEYOND = [*((name, 2.0**31) for name in TIMES), *((name, 2**31) for name in SIZES)]


@pytest.mark.parametrize(("name", "value"), BEYOND, ids=[name for name, _ in BEYOND])
async def test_a_server_starts_with_whatever_the_settings_accept(name: str, value: float) -> None:
    try:
        settings = settings_for_tests(server={name: value})
    except ValidationError:
        return
    _, options = edge_of(settings.server)
    server = grpc.aio.server(options=options.channel_arguments())
    await server.start()
    await server.stop(None)

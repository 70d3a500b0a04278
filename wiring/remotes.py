"""Other services whose agents may answer here."""

from collections.abc import Mapping

from agents.remote.file import RemoteEntry, read_remotes
from agents.remote.remotes import Remotes
from agents.remote.service import RemoteOptions
from config.load import environment, picked
from config.settings import Settings
from providers.breaker import BreakerSettings
from tools.gateway.channel import ChannelOptions


def remotes_of(settings: Settings) -> Remotes:
    """Those of the file.

    Raises:
        RemoteFileError: The file is not what it should be.
    """
    known = environment(settings)
    options = {
        name: _options(entry, known.get(entry.token_env, "")) for name, entry in entries_of(settings).items()
    }
    return Remotes(options, max_hops=settings.remotes.max_hops)


def entries_of(settings: Settings) -> Mapping[str, RemoteEntry]:
    """The remotes by name; none without a file.

    Raises:
        RemoteFileError: The file is not what it should be.
    """
    file = settings.remotes.file
    return read_remotes(file, environment(settings)) if file else {}


def _options(entry: RemoteEntry, token: str) -> RemoteOptions:
    channel = ChannelOptions(entry.address, entry.tls, entry.ca_file, token)
    breaker = BreakerSettings(
        consecutive_failures=entry.breaker_failures, reset_seconds=entry.breaker_seconds
    )
    return picked(RemoteOptions, entry, channel=channel, breaker=breaker)

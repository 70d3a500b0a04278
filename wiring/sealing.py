"""What seals payloads at rest."""

from config.settings import Settings
from state.sealing import Sealing, SealingKey


def sealing_of(settings: Settings) -> Sealing:
    """By the keys that the settings name; without any it seals nothing."""
    keys = [SealingKey(key_id, secret) for key_id, secret in settings.encryption.parsed()]
    return Sealing(keys, reads=not settings.encryption.writes)

"""The OpenFeature provider that a configuration names, bound to a domain of our own."""

import importlib
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from openfeature import api
from openfeature.provider import AbstractProvider, FeatureProvider
from openfeature.provider.no_op_provider import NoOpProvider

from llm_orchestrator_client.rollout.environment import EnvironmentProvider
from llm_orchestrator_client.rollout.flag_file import FlagFileProvider
from llm_orchestrator_client.rollout.flags import Refusals, RolloutFlags

VARIABLE = "GRPC_ROLLOUT_FLAGS"
DOMAIN = "llm-orchestrator-rollout"


class FlagSourceError(Exception):
    """The configuration names no provider; the text says why."""


def flag_source(environment: Mapping[str, str], refusals: Refusals) -> FeatureProvider:
    """The provider that GRPC_ROLLOUT_FLAGS names: empty or `env`; `file:PATH`; `module:attribute`, any
    vendor's.

    The attribute is a provider, or is called without arguments to make one.

    Raises:
        FlagSourceError: it cannot be imported, or is no provider
    """
    named = environment.get(VARIABLE, "").strip()
    if named in ("", "env"):
        return EnvironmentProvider(environment)
    kind, _, rest = named.partition(":")
    if kind == "file":
        return FlagFileProvider(Path(rest), refusals)
    return _imported(kind, rest)


def _imported(module: str, attribute: str) -> FeatureProvider:
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise FlagSourceError(f"{VARIABLE}: {module}:{attribute} cannot be imported") from error
    provider = found if isinstance(found, AbstractProvider) else found()
    if not hasattr(provider, "resolve_boolean_details"):
        raise FlagSourceError(f"{VARIABLE}: {module}:{attribute} is no OpenFeature provider")
    return provider


@contextmanager
def opened_flags(
    provider: FeatureProvider, refusals: Refusals, *, domain: str = DOMAIN
) -> Generator[RolloutFlags, None, None]:
    """The flags of a provider, ready. The domain is ours alone: what the application has set elsewhere stays.

    Raises whatever the provider raises that cannot start.
    """
    api.set_provider_and_wait(provider, domain)
    try:
        yield RolloutFlags(api.get_client(domain), refusals)
    finally:
        api.set_provider(NoOpProvider(), domain)  # shuts the provider down

"""What a LangChain model raises, as one of the service's own errors; never its text."""

from http import HTTPStatus

from langchain_core.exceptions import (
    ContextOverflowError,
    ModelAPIError,
    ModelAuthenticationError,
    ModelConnectionError,
    ModelInvalidRequestError,
    ModelNotFoundError,
    ModelPermissionDeniedError,
    ModelRateLimitError,
    ModelTimeoutError,
)

from providers.http.failures import error_of_status
from providers.http.waits import retry_after
from state.errors import (
    ProviderBrokenError,
    ProviderError,
    ProviderRejectedError,
    ProviderSaturatedError,
    ProviderUnavailableError,
)

_KINDS: tuple[tuple[tuple[type[Exception], ...], type[ProviderError], str], ...] = (
    ((ModelRateLimitError,), ProviderSaturatedError, "has no room now"),
    ((ModelAuthenticationError, ModelPermissionDeniedError), ProviderRejectedError, "refused the API key"),
    ((ModelNotFoundError,), ProviderRejectedError, "does not know the model"),
    ((ContextOverflowError,), ProviderRejectedError, "refused the length of the prompt"),
    ((ModelInvalidRequestError,), ProviderRejectedError, "refused the request"),
    ((ModelTimeoutError, TimeoutError), ProviderUnavailableError, "sent no token in time"),
    ((ModelAPIError,), ProviderUnavailableError, "failed"),
    ((ModelConnectionError, OSError), ProviderUnavailableError, "cannot be reached"),
)


def translated(provider: str, error: Exception, *, started: bool) -> ProviderError:
    """The error to raise instead; `started`: the answer had begun."""
    if started:
        return ProviderBrokenError(f"provider {provider!r} broke off in the middle of its answer")
    headers = getattr(getattr(error, "response", None), "headers", None)
    wait = None if headers is None else retry_after(headers)
    if (status := _status_of(error)) is not None:
        return error_of_status(provider, status, wait)
    for causes, kind, text in _KINDS:
        if isinstance(error, causes):
            return kind(f"provider {provider!r} {text}", retry_after=wait)
    return ProviderBrokenError(f"provider {provider!r} failed in a way that its integration does not explain")


def _status_of(error: Exception) -> int | None:
    """The HTTP status, where the vendors' clients keep it."""
    for name in ("status_code", "code"):
        status = getattr(error, name, None)
        if isinstance(status, int) and HTTPStatus.MULTIPLE_CHOICES <= status < 600:  # noqa: PLR2004
            return int(status)
    return None

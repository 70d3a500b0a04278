"""What went wrong with a call, as one of the service's own errors."""

from http import HTTPStatus

import aiohttp

from providers.http.sse import BrokenStreamError
from providers.http.waits import retry_after
from state.errors import (
    ProviderBrokenError,
    ProviderError,
    ProviderRejectedError,
    ProviderSaturatedError,
    ProviderUnavailableError,
)

CALL_FAILURES = (BrokenStreamError, aiohttp.ClientError, OSError)
"""All that a call raises when its provider fails; TimeoutError is an OSError."""

_OVERLOADED = 529
_EVENT_STREAM = "text/event-stream"
_FAILURES_BEFORE_START: tuple[tuple[type[Exception], type[ProviderError], str], ...] = (
    (aiohttp.ClientResponseError, ProviderBrokenError, "answered with something other than HTTP"),
    (aiohttp.ServerTimeoutError, ProviderUnavailableError, "took no connection in time"),
    (aiohttp.ClientConnectorError, ProviderUnavailableError, "cannot be reached"),
    (TimeoutError, ProviderUnavailableError, "sent no first token in time"),
    (Exception, ProviderUnavailableError, "lost the connection before its first token"),
)
_FAILURES_AFTER_START: tuple[tuple[type[Exception], type[ProviderError], str], ...] = (
    (TimeoutError, ProviderBrokenError, "did not go on with its answer in time"),
    (Exception, ProviderBrokenError, "lost the connection in the middle of its answer"),
)
_CHECKS: dict[int, str] = {
    HTTPStatus.BAD_REQUEST: "check the model name, the parameters and the length of the prompt",
    HTTPStatus.UNAUTHORIZED: "check the API key",
    HTTPStatus.PAYMENT_REQUIRED: "check the account's balance",
    HTTPStatus.FORBIDDEN: "check what the API key may use",
    HTTPStatus.NOT_FOUND: "check base_url and the model name",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "check the length of the prompt",
    HTTPStatus.UNPROCESSABLE_ENTITY: "check the model name, the parameters and the length of the prompt",
}


def check_response(
    provider: str, response: aiohttp.ClientResponse, retry_after_seconds: float | None = None
) -> None:
    """Return when the answer is an event stream. `retry_after_seconds` was told outside the headers.

    Raises:
        ProviderError: It is not.
    """
    if response.status != HTTPStatus.OK:
        wait = retry_after(response.headers)
        raise error_of_status(provider, response.status, retry_after_seconds if wait is None else wait)
    if response.content_type != _EVENT_STREAM:
        raise ProviderBrokenError(f"provider {provider!r} answered with something other than an event stream")


def from_failure(provider: str, error: Exception, *, started: bool) -> ProviderError:
    """The error for one of CALL_FAILURES; `started`: the answer had begun."""
    if isinstance(error, BrokenStreamError):
        if error.saturated and not started:
            return ProviderSaturatedError(f"provider {provider!r} has no room now")
        return ProviderBrokenError(f"provider {provider!r} {error}")
    table = _FAILURES_AFTER_START if started else _FAILURES_BEFORE_START
    kind, text = next((kind, text) for cause, kind, text in table if isinstance(error, cause))
    return kind(f"provider {provider!r} {text}")


def unreachable(provider: str) -> ProviderUnavailableError:
    """The error when no connection can be made."""
    return ProviderUnavailableError(f"provider {provider!r} cannot be reached")


def error_of_status(provider: str, status: int, wait: float | None) -> ProviderError:
    """The error for an HTTP status; `wait`: the seconds the provider wants to be left alone."""
    if status in (HTTPStatus.TOO_MANY_REQUESTS, _OVERLOADED):
        message = f"provider {provider!r} has no room now (HTTP {status})"
        return ProviderSaturatedError(message, retry_after=wait)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        message = f"provider {provider!r} failed (HTTP {status})"
        return ProviderUnavailableError(message, retry_after=wait)
    if status < HTTPStatus.MULTIPLE_CHOICES:
        return ProviderBrokenError(f"provider {provider!r} answered without an answer (HTTP {status})")
    if status < HTTPStatus.BAD_REQUEST:
        check = "check base_url: redirects are not followed"
    else:
        check = _CHECKS.get(status, "check base_url")
    return ProviderRejectedError(f"provider {provider!r} refused the request (HTTP {status}): {check}")

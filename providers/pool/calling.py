"""One call under one permit."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from providers.base import CallAccepted, ChatModel, Delta, ModelFinished, ModelRequest
from providers.gate.base import Permit
from state.errors import ProviderBrokenError, ProviderError


async def permitted(model: ChatModel, permit: Permit, request: ModelRequest) -> AsyncGenerator[Delta]:
    """Yield the answer, and tell the permit of it: exactly one end, whatever happens.

    Raises:
        ProviderError: As the model does, or when its answer has no end.
        DeadlineExceededError: As the model does; that says nothing about the provider.
    """
    ended = begun = False
    try:
        async with aclosing(model.stream(request)) as deltas:
            async for delta in deltas:
                if isinstance(delta, ModelFinished):
                    # Before the yield: many a reader leaves as soon as it has the last delta.
                    ended = True
                    permit.succeeded(delta.tokens)
                elif not begun:
                    begun = _told(permit, delta)
                yield delta
        if not ended:
            raise ProviderBrokenError("the provider's answer has no end")
    except ProviderError as error:
        if not ended:
            ended = True
            permit.failed(error)
        raise
    finally:
        if not ended:
            permit.abandoned()


def _told(permit: Permit, delta: Delta) -> bool:
    """Whether the answer has begun with this delta."""
    if isinstance(delta, CallAccepted):
        permit.accepted(delta)
        return False
    permit.first_token()
    return True

"""One call of a model under a permit."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from providers.base import CallAccepted, ChatModel, Delta, ModelFinished, ModelRequest
from providers.gate.base import Permit
from state.errors import ProviderBrokenError, ProviderError


async def gated_stream(model: ChatModel, permit: Permit, request: ModelRequest) -> AsyncGenerator[Delta]:
    """Yield what `model.stream` yields and tell the permit all of it, its end exactly once.

    The first text, reasoning or tool call is the first token. The call has succeeded when the provider has
    finished, whether or not the reader stays for it; a reader that leaves earlier, or whose deadline has
    passed, has abandoned it. Begin to read at once, under `aclosing`: the permit is in this generator's hands
    from the first read on.

    Raises:
        ProviderError: As the model does; `ProviderBrokenError` too when it ends without `ModelFinished`.
        DeadlineExceededError: The request's deadline has passed.
    """
    begun = ended = False
    try:
        async with aclosing(model.stream(request)) as deltas:
            async for delta in deltas:
                if isinstance(delta, ModelFinished):
                    # Before the yield: many a reader leaves as soon as it has the last delta.
                    ended = True
                    permit.succeeded(delta.tokens)
                elif not begun:
                    begun = _tell(permit, delta)
                yield delta
        if not ended:
            raise ProviderBrokenError(f"provider {model.info.provider!r} ended its answer without an end")
    except ProviderError as error:
        if not ended:
            ended = True
            permit.failed(error)
        raise
    finally:
        if not ended:
            permit.abandoned()


def _tell(permit: Permit, delta: Delta) -> bool:
    """Whether the answer has begun with this delta."""
    if isinstance(delta, CallAccepted):
        permit.accepted(delta)
        return False
    permit.first_token()
    return True

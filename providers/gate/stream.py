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
                match delta:
                    case CallAccepted():
                        permit.accepted(delta)
                    case ModelFinished():
                        ended = True
                        permit.succeeded(delta.tokens)
                    case _ if not begun:
                        begun = True
                        permit.first_token()
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

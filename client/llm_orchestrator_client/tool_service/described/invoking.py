"""One call of a described tool: from the arguments to the events of its answer."""

import inspect
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing

from google.protobuf.json_format import ParseDict

from llm_orchestrator_client.protos import tool_service_pb2 as pb
from llm_orchestrator_client.tool_service.call import Call
from llm_orchestrator_client.tool_service.described.tools import DescribedTool, Output, Progress, Steps

_LONGEST_PROGRESS = 500


async def steps(tool: DescribedTool, call: Call, arguments: object) -> Steps:
    """Any number of Progress, then one Output, whatever kind of function it is.

    Raises:
        TypeError: The function answers with something else, or not just one Output at its end.
    """
    answer = tool.function(call, arguments)
    if inspect.isawaitable(answer):
        yield _output(await answer)
        return
    output: Output | None = None
    async with aclosing(answer) as given:
        async for step in given:
            if output is not None:
                raise TypeError("something comes after the output")
            match step:
                case Progress():
                    yield step
                case _:
                    output = _output(step)
    if output is None:
        raise TypeError("there is no output")
    yield output


async def events(steps: Steps) -> AsyncGenerator[pb.InvokeToolResponse, None]:
    """The steps as they are sent."""
    async with aclosing(steps) as taken:
        async for step in taken:
            match step:
                case Progress():
                    yield pb.InvokeToolResponse(progress=_progress(step))
                case Output():
                    yield pb.InvokeToolResponse(output=_sent(step))


def _output(value: object) -> Output:
    if isinstance(value, str):
        return Output(value)
    if not isinstance(value, Output):
        raise TypeError("the output is neither an Output nor a text")
    return value


def _progress(step: Progress) -> pb.ToolProgress:
    progress = pb.ToolProgress(text=step.text[:_LONGEST_PROGRESS])
    if step.share is not None and math.isfinite(step.share):
        progress.progress = min(max(step.share, 0.0), 1.0)
    return progress


def _sent(output: Output) -> pb.ToolOutput:
    sent = pb.ToolOutput(
        text=output.text, truncated=output.truncated, untrusted=output.untrusted, is_error=output.is_error
    )
    if output.data is not None:
        ParseDict(dict(output.data), sent.data)
    return sent

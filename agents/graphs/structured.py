"""An answer that has to be JSON of a certain form, by schema where the model has that, else in words."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from agents.graphs.asking import Said, say
from agents.graphs.state import Context
from agents.json_answer import described, parsed
from providers.base import JsonSchema, ModelRequest

_MOST_PROBLEMS = 5
Form = TypeVar("Form", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Formed(Generic[Form]):
    """What a model has said. Either `form` is there, or `problem` tells what is wrong with it."""

    said: Said
    form: Form | None
    problem: str = ""


async def formed(
    context: Context,
    request: ModelRequest,
    wanted: type[Form],
    name: str,
    *,
    schema: Mapping[str, Any] | None = None,
) -> Formed[Form]:
    """Call the model; nothing of its answer goes out. Nothing is mended: what does not fit is a problem.

    `schema` is what it is held to, where that is narrower than `wanted`.

    Raises:
        ProviderError: The model failed.
    """
    schema = schema or wanted.model_json_schema()
    if context.model.info.json_schema:
        request = replace(request, json_schema=JsonSchema(name, schema))
    else:
        first, *others = request.messages
        told = replace(first, content=described(first.content, schema))
        request = replace(request, messages=(told, *others))
    said = await say(context, request, aloud=False)
    try:
        parsed(said.text)
        return Formed(said, wanted.model_validate_json(said.text))
    except ValidationError as error:
        return Formed(said, None, _told(error))
    except (ValueError, RecursionError) as error:
        return Formed(said, None, f"answer: not JSON as it has to be ({type(error).__name__})")


def _told(error: ValidationError) -> str:
    problems = [f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}" for e in error.errors()]
    return "; ".join(problems[:_MOST_PROBLEMS])

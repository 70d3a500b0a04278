"""An answer that has to be JSON of a certain form, by schema where the model has that, else in words."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from agents.graphs.asking import Said, say
from agents.graphs.state import Context
from providers.base import JsonSchema, ModelRequest

_IN_WORDS = "Answer with one JSON object by this JSON schema and nothing else, not even a fence around it:\n"
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
        words = _IN_WORDS + orjson.dumps(schema).decode()
        first, *others = request.messages
        request = replace(request, messages=(replace(first, content=f"{first.content}\n\n{words}"), *others))
    said = await say(context, request, aloud=False)
    try:
        return Formed(said, wanted.model_validate_json(said.text))
    except ValidationError as error:
        return Formed(said, None, _told(error))


def _told(error: ValidationError) -> str:
    problems = [f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']}" for e in error.errors()]
    return "; ".join(problems[:_MOST_PROBLEMS])

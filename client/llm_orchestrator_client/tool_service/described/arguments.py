"""The arguments of a described tool: their JSON Schema, and the values that fit it."""

from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, best_match

from llm_orchestrator_client.tool_service.errors import InvalidArgumentError

T_co = TypeVar("T_co", covariant=True)
Schema = Mapping[str, Any]

_LONGEST_MESSAGE = 300


class Arguments(Protocol[T_co]):
    """What a tool takes."""

    def schema(self) -> Schema:
        """A JSON Schema of an object."""
        ...

    def parsed(self, values: Mapping[str, Any]) -> T_co:
        """The values as the tool's function takes them.

        Raises:
            InvalidArgumentError: They do not fit.
        """
        ...


class SchemaArguments:
    """Arguments by a JSON Schema that is written out; the function takes a dict."""

    def __init__(self, schema: Schema) -> None:
        """Raises: ValueError: It is no JSON Schema."""
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ValueError("it is no JSON Schema") from error
        self._schema = schema
        self._validator = Draft202012Validator(schema)

    def schema(self) -> Schema:
        return self._schema

    def parsed(self, values: Mapping[str, Any]) -> dict[str, Any]:
        error = best_match(self._validator.iter_errors(dict(values)))
        if error is not None:
            place = ".".join(map(str, error.absolute_path))
            raise unfit(place, error.message)
        return dict(values)


class Model(Protocol):
    """What pydantic's BaseModel has. Pydantic itself is not needed here, so it is not imported."""

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]: ...

    @classmethod
    def model_validate(cls, obj: Any) -> Any: ...  # noqa: ANN401 - as pydantic has it


M = TypeVar("M", bound=Model)


class ModelArguments(Generic[M]):
    """Arguments by a pydantic model; the function takes an instance of it."""

    def __init__(self, model: type[M]) -> None:
        self._model = model

    def schema(self) -> Schema:
        return self._model.model_json_schema()

    def parsed(self, values: Mapping[str, Any]) -> M:
        try:
            return self._model.model_validate(dict(values))  # type: ignore[no-any-return]
        except ValueError as error:
            raise _unfit_model(error) from error


def unfit(place: str, message: str) -> InvalidArgumentError:
    """Arguments that do not fit; the model is told where and why."""
    told = message if len(message) <= _LONGEST_MESSAGE else "does not fit"
    text = f"{place}: {told}" if place else told
    return InvalidArgumentError(f"The arguments do not fit: {text}", field="arguments")


def plain(struct: Struct) -> dict[str, Any]:
    """A Struct as JSON. In it every number is a float; whole ones are whole again here.

    Raises:
        InvalidArgumentError: It holds NaN or infinity.
    """
    try:
        return {name: _whole(value) for name, value in MessageToDict(struct).items()}
    except ValueError as error:
        raise unfit("", "a number is none") from error


def _whole(value: object) -> object:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    return [_whole(one) for one in value] if isinstance(value, list) else value


def _unfit_model(error: ValueError) -> InvalidArgumentError:
    # A pydantic ValidationError lists what is wrong; of any other ValueError nothing is told.
    errors = getattr(error, "errors", None)
    if not callable(errors):
        return unfit("", "a value does not fit")
    first = errors(include_url=False, include_context=False, include_input=False)[0]
    return unfit(".".join(map(str, first["loc"])), str(first["msg"]))
